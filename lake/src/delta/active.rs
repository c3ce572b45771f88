//! The files of a table as its log says: those that are part of it, and those that were and may still be read.
//!
//! Bounded: beyond [`FILES_MAX`] the newest dates are left out, so that who merges files begins with the oldest ones and has all of
//! them after some runs. Who sweeps may look at what is before [`Active::known_before`] only.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, MapArray, RecordBatch, StructArray};
use arrow::datatypes::Int64Type;
use serde::Deserialize;

use super::action::{Added, RemoveFile, Removed};
use crate::date::{date_parse, date_text};
use crate::table::PARTITION;

/// Files that are held at most, and as many removed ones.
pub(crate) const FILES_MAX: usize = 100_000;

/// A file that is part of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActiveFile {
    /// As the log has it, relative to the table's folder.
    pub(crate) path: String,
    /// Partition date; `None`: the log says none that we understand.
    pub(crate) date: Option<i32>,
    pub(crate) bytes: u64,
    /// Unix milliseconds.
    pub(crate) modified_ms: i64,
    /// Rows, where the log says how many.
    pub(crate) rows: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Active {
    files: HashMap<String, ActiveFile>,
    /// When each was removed, Unix milliseconds.
    removed: HashMap<String, i64>,
    /// The objects of those files whose path is quoted in the log: other writers' only.
    quoted: HashSet<String>,
    /// From this date on files are missing here.
    cut: Option<i32>,
    /// From this date on removed files are missing here.
    blurred: Option<i32>,
    max: Option<usize>,
}

impl ActiveFile {
    /// What takes it out of the table.
    pub(crate) fn removal(&self, data_change: bool, now_ms: i64) -> RemoveFile {
        RemoveFile {
            path: self.path.clone(),
            deletion_timestamp: now_ms,
            data_change,
            extended_file_metadata: true,
            partition_values: [(PARTITION.to_owned(), self.date.map(date_text))].into(),
            size: self.bytes,
        }
    }
}

impl Active {
    /// One that holds fewer files.
    #[cfg(test)]
    fn up_to(max: usize) -> Self {
        Self { max: Some(max), ..Self::default() }
    }

    /// The files, for good.
    pub(crate) fn into_files(self) -> impl Iterator<Item = ActiveFile> {
        self.files.into_values()
    }

    /// The files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &ActiveFile> {
        self.files.values()
    }

    /// Whether the object at `path` is part of the table.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.quoted.contains(path)
    }

    /// When a file was taken out of the table, Unix milliseconds, as long as the log knows.
    pub(crate) fn removed_ms(&self, path: &str) -> Option<i64> {
        self.removed.get(path).copied()
    }

    /// Before this date everything is known; `None`: everything.
    pub(crate) fn known_before(&self) -> Option<i32> {
        self.cut.into_iter().chain(self.blurred).min()
    }

    pub(super) fn add(&mut self, file: ActiveFile) {
        if self.beyond(file.date) {
            return;
        }
        self.removed.remove(&file.path);
        if file.path.contains('%') {
            // Stays when the file is removed: it is only about what may be swept.
            let object = object_store::path::Path::from_url_path(&file.path);
            self.quoted.extend(object.map(|path| path.to_string()));
        }
        self.files.insert(file.path.clone(), file);
        if self.files.len() <= self.max.unwrap_or(FILES_MAX) {
            return;
        }
        let Some(last) = self.files.values().filter_map(|file| file.date).max() else { return };
        self.cut = Some(last);
        // Where all are of one date, some of them are better than none.
        if self.files.values().any(|file| file.date != Some(last)) {
            self.files.retain(|_, file| file.date != Some(last));
        }
    }

    pub(super) fn remove(&mut self, path: &str, at_ms: i64) {
        self.files.remove(path);
        let blurred = |at: Option<i32>| at.zip(date_in(path)).is_some_and(|(at, date)| date >= at);
        if blurred(self.blurred) {
            return;
        }
        self.removed.insert(path.to_owned(), at_ms);
        if self.removed.len() > self.max.unwrap_or(FILES_MAX) {
            let Some(last) = self.removed.keys().filter_map(|path| date_in(path)).max() else {
                return;
            };
            self.blurred = Some(last);
            self.removed.retain(|path, _| date_in(path) != Some(last));
        }
    }

    fn beyond(&self, date: Option<i32>) -> bool {
        self.cut.zip(date).is_some_and(|(cut, date)| date >= cut)
    }

    pub(super) fn added(&mut self, add: Added<'_>) {
        let date = add.partition_values.get(PARTITION).cloned().flatten();
        self.add(ActiveFile {
            date: date.as_deref().and_then(date_parse),
            bytes: add.size,
            modified_ms: add.modification_time,
            rows: add.stats.and_then(|stats| rows(&stats)),
            path: add.path.into_owned(),
        });
    }

    pub(super) fn taken(&mut self, remove: &Removed<'_>) {
        self.remove(&remove.path, remove.deletion_timestamp.unwrap_or(0));
    }

    /// Takes in a batch of a checkpoint with the columns `add` and `remove`, or says what it lacks.
    pub(super) fn checkpoint(&mut self, batch: &RecordBatch) -> Result<(), &'static str> {
        let part = |name| batch.column_by_name(name).and_then(|column| column.as_struct_opt());
        let long = |part: &StructArray, name| {
            part.column_by_name(name)?.as_primitive_opt::<Int64Type>().cloned()
        };
        let add = part("add").ok_or("add")?;
        let paths = add.column_by_name("path").and_then(|paths| paths.as_string_opt::<i32>());
        let paths = paths.ok_or("add.path")?;
        let sizes = long(add, "size").ok_or("add.size")?;
        let times = long(add, "modificationTime").ok_or("add.modificationTime")?;
        let stats = add.column_by_name("stats").and_then(|stats| stats.as_string_opt::<i32>());
        let values = add.column_by_name("partitionValues").and_then(|map| map.as_map_opt());
        for row in (0..batch.num_rows()).filter(|row| add.is_valid(*row)) {
            let stats = stats.filter(|stats| stats.is_valid(row)).map(|stats| stats.value(row));
            self.add(ActiveFile {
                path: paths.value(row).to_owned(),
                date: values.and_then(|map| date_parse(&value(map, row, PARTITION)?)),
                bytes: u64::try_from(sizes.value(row)).unwrap_or(0),
                modified_ms: times.value(row),
                rows: stats.and_then(rows),
            });
        }
        // A checkpoint of a table that nothing was removed from may lack it.
        let Some(remove) = part("remove") else { return Ok(()) };
        let paths = remove.column_by_name("path").and_then(|paths| paths.as_string_opt::<i32>());
        let paths = paths.ok_or("remove.path")?;
        let times = long(remove, "deletionTimestamp");
        for row in (0..batch.num_rows()).filter(|row| remove.is_valid(*row)) {
            let at = times.as_ref().filter(|times| times.is_valid(row));
            self.remove(paths.value(row), at.map_or(0, |times| times.value(row)));
        }
        Ok(())
    }
}

fn rows(stats: &str) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stats {
        num_records: Option<u64>,
    }
    serde_json::from_str::<Stats>(stats).ok()?.num_records
}

/// What one row of a map has under `key`.
pub(super) fn value(map: &MapArray, row: usize, key: &str) -> Option<String> {
    let entries = map.value(row);
    let (keys, values) =
        (entries.column(0).as_string_opt::<i32>()?, entries.column(1).as_string_opt::<i32>()?);
    let at = (0..keys.len()).find(|at| keys.value(*at) == key && values.is_valid(*at))?;
    Some(values.value(at).to_owned())
}

/// The partition date that a path begins with.
pub(crate) fn date_in(path: &str) -> Option<i32> {
    date_parse(path.strip_prefix(PARTITION)?.strip_prefix('=')?.split_once('/')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(date: i32, name: u32) -> ActiveFile {
        let path = format!("{PARTITION}={}/{name}.parquet", date_text(date));
        ActiveFile { path, date: Some(date), bytes: 1, modified_ms: 0, rows: Some(1) }
    }

    #[test]
    fn a_file_that_was_removed_is_none_and_one_that_came_back_is_one() {
        let mut active = Active::default();
        let (a, b) = (file(3, 1), file(3, 2));
        active.add(a.clone());
        active.add(b.clone());
        active.remove(&a.path, 9);
        assert_eq!(active.files().collect::<Vec<_>>(), [&b]);
        assert_eq!(active.removed_ms(&a.path), Some(9));
        active.add(a.clone());
        assert!(active.has(&a.path) && active.removed_ms(&a.path).is_none());
    }

    #[test]
    fn inv8_of_too_many_files_those_of_the_oldest_dates_are_held() {
        let mut active = Active::up_to(4);
        for (date, name) in [(5, 1), (3, 2), (5, 3), (4, 4), (3, 5), (5, 6), (6, 7)] {
            active.add(file(date, name));
        }
        assert_eq!(active.known_before(), Some(5));
        let mut dates: Vec<_> = active.files().filter_map(|file| file.date).collect();
        dates.sort_unstable();
        assert_eq!(dates, [3, 3, 4], "all of the older dates, none of the others");
        for name in 10..20 {
            active.remove(&file(4, name).path, 1);
        }
        assert_eq!(active.known_before(), Some(4), "nor is anything forgotten of what was removed");
        assert_eq!(active.files().count(), 3, "what is to be merged is still known");

        let mut one_date = Active::up_to(4);
        (0..9).for_each(|name| one_date.add(file(5, name)));
        assert_eq!((one_date.files().count(), one_date.known_before()), (5, Some(5)));
        one_date.remove(&file(5, 0).path, 1);
        assert!(!one_date.has(&file(5, 0).path));
    }
}
