//! Brings `completeness` up to date: what came is counted by hour, and hours are sealed that every source has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use futures::TryStreamExt;

use super::follow::Followed;
use super::hours::{self, Count, HOUR_US, Hours, KNOWN_US, Key, hour_of};
use super::put;
use super::rows::{Columns, at, text_at};
use crate::date::date_of;
use crate::delta::FileInfo;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing::is_own;
use crate::parquet::Within;
use crate::table::{Kind, Table};
use crate::tables::{completeness, dead_letters, landings};

/// An hour that a source passes only after so long stays as it is until something else touches it.
const OPEN_US: i64 = 32 * 24 * HOUR_US;

/// See the module.
///
/// # Errors
/// As reading and writing do.
pub(crate) async fn update(lake: &Lake, followed: &mut Followed) -> Result<(), LakeError> {
    if followed.lost_rows() {
        followed.begin_anew();
    }
    let mut came = Hours::new();
    count(followed, &mut came).await?;
    let now_us = followed.now_ms.saturating_mul(1000);
    let from = came.keys().next().map_or(i64::MAX, |key| key.hour_us);
    let from = if followed.anew { i64::MIN } else { from.min(hour_of(now_us - OPEN_US)) };
    let since = date_of(from.saturating_sub(KNOWN_US));
    let (mut all, mut own) = (Hours::new(), BTreeMap::<i32, Vec<FileInfo>>::new());
    if !followed.anew {
        for file in followed.own.iter().filter(|file| file.date.is_some_and(|date| date >= since)) {
            own.entry(file.date.unwrap_or(since)).or_default().push(file.clone());
        }
        read(followed, own.values().flatten().cloned().collect(), &mut all).await?;
    }
    let before = all.clone();
    for (key, count) in came {
        all.entry(key).or_default().add(&count);
    }
    let heard = lake.heard().await?;
    // In a lake that is made anew everything is looked at; hours before 1970 are nobody's.
    hours::seal(&mut all, &heard, from.max(0));
    let changed = all.iter().filter(|(key, count)| before.get(*key) != Some(*count));
    let dates: BTreeSet<i32> = changed.map(|(key, _)| date_of(key.hour_us)).collect();
    let mut rows: Vec<(&Key, &Count)> = Vec::new();
    for date in &dates {
        followed.removes.extend(own.remove(date).unwrap_or_default());
    }
    rows.extend(all.iter().filter(|(key, _)| dates.contains(&date_of(key.hour_us))));
    if rows.is_empty() {
        return Ok(());
    }
    let batch = batch(&followed.view, &rows)?;
    followed.put(&[batch]).await
}

/// Adds up what is new.
async fn count(followed: &mut Followed, hours: &mut Hours) -> Result<(), LakeError> {
    let bases: Vec<(Arc<Table>, Vec<FileInfo>)> =
        followed.bases.iter().map(|base| (base.table.clone(), base.added.clone())).collect();
    for (table, added) in bases {
        if table.name != landings::NAME && table.column("received_ts").is_none() {
            continue;
        }
        let wanted: Vec<&str> = if table.name == landings::NAME {
            vec!["source_id", "epoch", "landed_at", "received_to", "gap_count"]
        } else {
            let own = ["source_id", "epoch", "source_offset", "received_ts", "row_no"];
            own.into_iter().chain(of_sites(&table)).collect()
        };
        let mut rows = followed.scan(&table, added, &wanted, &Within::default())?;
        while let Some(batch) = rows.try_next().await? {
            followed.rows_read += batch.num_rows() as u64;
            if table.name == landings::NAME {
                landed(hours, &batch)?;
            } else {
                messages(hours, &table, &batch)?;
            }
        }
    }
    Ok(())
}

/// The columns by which rows of a table belong to an hour of a site; none: they do not.
fn of_sites(table: &Table) -> Vec<&str> {
    let site = table.column("site").is_some_and(|site| site.kind == Kind::Text);
    let by_event = table.time == "event_ts";
    if site && by_event { vec!["site", "event_ts"] } else { Vec::new() }
}

/// Counts rows of one key together: they stand together in files.
struct Run<'a> {
    hours: &'a mut Hours,
    key: Option<Key>,
    count: Count,
}

impl<'a> Run<'a> {
    fn new(hours: &'a mut Hours) -> Self {
        Self { hours, key: None, count: Count::default() }
    }

    fn at(&mut self, hour_us: i64, site: Option<&str>, source: &str, epoch: i64) -> &mut Count {
        let same = self.key.as_ref().is_some_and(|key| {
            key.hour_us == hour_us
                && key.epoch == epoch
                && key.site.as_deref() == site
                && key.source == source
        });
        if !same {
            self.end();
            let (site, source) = (site.map(str::to_owned), source.to_owned());
            self.key = Some(Key { hour_us, site, source, epoch });
        }
        &mut self.count
    }

    fn end(&mut self) {
        let count = std::mem::take(&mut self.count);
        if let Some(key) = self.key.take() {
            self.hours.entry(key).or_default().add(&count);
        }
    }
}

fn messages(hours: &mut Hours, table: &Table, batch: &RecordBatch) -> Result<(), LakeError> {
    let columns = Columns::of(&table.name, batch);
    let (source, epoch) = (columns.text("source_id")?, columns.long("epoch")?);
    let (offset, received) = (columns.long("source_offset")?, columns.time("received_ts")?);
    let number = columns.int("row_no")?;
    let letters = table.name == dead_letters::NAME;
    let mut run = Run::new(hours);
    for row in 0..batch.num_rows() {
        let hour = hour_of(received.value(row));
        let count = run.at(hour, None, source.value(row), epoch.value(row));
        count.message(offset.value(row));
        count.dead_lettered += i64::from(letters && number.value(row) == 0);
    }
    run.end();
    if of_sites(table).is_empty() {
        return Ok(());
    }
    let (site, event) = (columns.text("site")?, columns.time("event_ts")?);
    let mut run = Run::new(hours);
    for row in 0..batch.num_rows() {
        let hour = hour_of(event.value(row));
        let site = text_at(site, row);
        if site.is_none() {
            continue;
        }
        let count = run.at(hour, site, source.value(row), epoch.value(row));
        count.landed += 1;
        count.late += i64::from(received.value(row) >= hour.saturating_add(HOUR_US));
    }
    run.end();
    Ok(())
}

fn landed(hours: &mut Hours, batch: &RecordBatch) -> Result<(), LakeError> {
    let columns = Columns::of(landings::NAME, batch);
    let (source, epoch) = (columns.text("source_id")?, columns.long("epoch")?);
    let (landed, received) = (columns.time("landed_at")?, columns.time("received_to")?);
    let gaps = columns.long("gap_count")?;
    for row in 0..batch.num_rows() {
        if is_own(source.value(row)) {
            continue;
        }
        // Nobody has passed what is not over.
        let passed_us = at(received, row).map(|at| at.min(landed.value(row)));
        let key = Key {
            hour_us: hour_of(passed_us.unwrap_or_else(|| landed.value(row))),
            site: None,
            source: source.value(row).to_owned(),
            epoch: epoch.value(row),
        };
        let came = Count { gaps: gaps.value(row), passed_us, ..Count::default() };
        hours.entry(key).or_default().add(&came);
    }
    Ok(())
}

/// What the view has.
async fn read(
    followed: &Followed,
    files: Vec<FileInfo>,
    hours: &mut Hours,
) -> Result<(), LakeError> {
    let view = followed.view.clone();
    let names: Vec<&str> = view.file_columns().map(|column| column.name.as_ref()).collect();
    let mut rows = followed.scan(&view, files, &names, &Within::default())?;
    while let Some(batch) = rows.try_next().await? {
        let columns = Columns::of(completeness::NAME, &batch);
        let (hour, site) = (columns.time("hour_ts")?, columns.text("site")?);
        let (source, epoch) = (columns.text("source_id")?, columns.long("epoch")?);
        let (landed, late) = (columns.long("landed")?, columns.long("late")?);
        let (letters, gaps) = (columns.long("dead_lettered")?, columns.long("gaps")?);
        let (first, next) = (columns.long("first_offset")?, columns.long("next_offset")?);
        let (passed, sealed) = (columns.time("passed_ts")?, columns.bool("sealed")?);
        for row in 0..batch.num_rows() {
            let key = Key {
                hour_us: hour.value(row),
                site: text_at(site, row).map(str::to_owned),
                source: source.value(row).to_owned(),
                epoch: epoch.value(row),
            };
            let number = |column| at(column, row).unwrap_or(0);
            let count = Count {
                landed: number(landed),
                late: number(late),
                dead_lettered: number(letters),
                gaps: number(gaps),
                offsets: at(first, row).zip(at(next, row)),
                passed_us: at(passed, row),
                sealed: sealed.value(row),
            };
            hours.insert(key, count);
        }
    }
    Ok(())
}

fn batch(view: &Table, rows: &[(&Key, &Count)]) -> Result<RecordBatch, LakeError> {
    let text = |of: &dyn Fn(&Key) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|(key, _)| of(key)).collect::<StringArray>())
    };
    let time = |of: &dyn Fn(&Key, &Count) -> Option<i64>| -> ArrayRef {
        let times = rows.iter().map(|(key, count)| of(key, count));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let long = |of: &dyn Fn(&Key, &Count) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(|(key, count)| of(key, count)).collect::<Int64Array>())
    };
    // What is about a site has nothing to say of the source, and the other way round.
    let of_site = |key: &Key, value: i64| key.site.is_some().then_some(value);
    let of_source = |key: &Key, value: i64| key.site.is_none().then_some(value);
    let sealed: BooleanArray = rows.iter().map(|(_, count)| Some(count.sealed)).collect();
    let columns = vec![
        time(&|key, _| Some(key.hour_us)),
        text(&|key| key.site.clone()),
        text(&|key| Some(key.source.clone())),
        long(&|key, _| Some(key.epoch)),
        Arc::new(sealed) as ArrayRef,
        long(&|key, count| of_site(key, count.landed)),
        long(&|key, count| of_site(key, count.late)),
        long(&|key, count| of_source(key, count.offsets.map_or(0, |(first, next)| next - first))),
        long(&|key, count| of_source(key, count.dead_lettered)),
        long(&|key, count| of_source(key, count.gaps)),
        long(&|_, count| count.offsets.map(|(first, _)| first)),
        long(&|_, count| count.offsets.map(|(_, next)| next)),
        time(&|_, count| count.passed_us),
    ];
    put::batch(view, columns)
}
