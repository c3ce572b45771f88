//! Brings `vitals_1m` up to date: the minutes that new rows touch are made again, of the devices that they are from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use futures::TryStreamExt;

use super::follow::Followed;
use super::minutes::{MINUTE_US, Minute, Values, minute_of};
use super::rows::{Columns, at, text_at};
use super::{hash, put};
use crate::delta::FileInfo;
use crate::error::LakeError;
use crate::parquet::Within;
use crate::table::Table;
use crate::tables::{readings, vitals_1m};

/// Rows of readings that are held at once, about: of a date with more, its devices are gone through in passes.
const HELD_ROWS: u64 = 1 << 22;
/// Devices of a date that are told apart: beyond, all of its devices are touched.
const DEVICES_MAX: usize = 100_000;
const COLUMNS: [&str; 7] = ["site", "device_id", "metric", "unit", "event_ts", "value", "quality"];

/// The minutes of a date that are made again: from the first to the last that new rows are of, by device.
#[derive(Debug, Default)]
struct Touched {
    devices: HashMap<(String, String), (i64, i64)>,
    /// Of all devices.
    all: bool,
    range: Option<(i64, i64)>,
}

impl Touched {
    fn whole() -> Self {
        Self { all: true, ..Self::default() }
    }

    fn add(&mut self, site: &str, device: &str, minute: i64) {
        let wider = |(first, last): (i64, i64)| (first.min(minute), last.max(minute));
        self.range = Some(self.range.map_or((minute, minute), wider));
        if self.all {
            return;
        }
        let key = (site.to_owned(), device.to_owned());
        let range = self.devices.entry(key).or_insert((minute, minute));
        *range = wider(*range);
        if self.devices.len() > DEVICES_MAX {
            self.devices.clear();
            self.all = true;
        }
    }

    fn has(&self, site: &str, device: &str, minute: i64) -> bool {
        let within = |(first, last): (i64, i64)| (first..=last).contains(&minute);
        if self.all {
            return self.range.is_none_or(within);
        }
        // A lookup without a copy would need a map in a map.
        let key = (site.to_owned(), device.to_owned());
        self.devices.get(&key).copied().is_some_and(within)
    }

    /// What of files may be touched.
    fn within(&self) -> Within {
        let times = self.range.map(|(first, last)| (first, last + MINUTE_US - 1));
        let names = || self.devices.keys().map(|(_, device)| device);
        let devices = names().min().zip(names().max());
        Within { times, devices: devices.map(|(a, b)| (a.clone(), b.clone())) }
    }

    fn overlaps(&self, file: &FileInfo) -> bool {
        let Some((first, last)) = self.range else { return true };
        let known = file.oldest_us.zip(file.newest_us);
        known.is_none_or(|(oldest, newest)| oldest < last + MINUTE_US && newest >= first)
    }
}

/// See the module.
///
/// # Errors
/// As reading and writing do.
pub(crate) async fn update(followed: &mut Followed) -> Result<(), LakeError> {
    if followed.is_up_to_date() {
        return Ok(());
    }
    for (date, touched) in touched(followed).await? {
        let files = |files: &[FileInfo]| -> Vec<FileInfo> {
            let of_date = files.iter().filter(|file| file.date == Some(date));
            of_date.filter(|file| touched.overlaps(file)).cloned().collect()
        };
        if !followed.anew {
            let own = files(&followed.own);
            followed.take_out(own, |batch| mine(batch, &touched)).await?;
        }
        let bases = followed.bases.first().map(|base| (base.table.clone(), files(&base.files)));
        let Some((table, base)) = bases else { continue };
        let rows: u64 = base.iter().map(|file| file.rows).sum();
        let passes = if touched.all { rows.div_ceil(HELD_ROWS).max(1) } else { 1 };
        for pass in 0..passes {
            let values = gather(followed, &table, &base, &touched, (pass, passes)).await?;
            let minutes = values.minutes();
            if !minutes.is_empty() {
                let batch = batch(&followed.view, &minutes)?;
                followed.put(&[batch]).await?;
            }
        }
    }
    Ok(())
}

/// What new rows touch, by date.
async fn touched(followed: &mut Followed) -> Result<BTreeMap<i32, Touched>, LakeError> {
    let mut dates: BTreeMap<i32, Touched> = BTreeMap::new();
    let Some(base) = followed.bases.first() else { return Ok(dates) };
    let (table, added) = (base.table.clone(), base.added.clone());
    if followed.anew {
        for date in added.iter().filter_map(|file| file.date) {
            dates.insert(date, Touched::whole());
        }
        return Ok(dates);
    }
    dates.extend(base.dates.iter().map(|date| (*date, Touched::whole())));
    for file in added {
        let Some(date) = file.date else { continue };
        if dates.get(&date).is_some_and(|touched| touched.all && touched.range.is_none()) {
            continue;
        }
        let touched = dates.entry(date).or_default();
        let columns = ["site", "device_id", "event_ts"];
        let mut rows = followed.scan(&table, vec![file], &columns, &Within::default())?;
        while let Some(batch) = rows.try_next().await? {
            let columns = Columns::of(readings::NAME, &batch);
            let (site, device) = (columns.text("site")?, columns.text("device_id")?);
            let event = columns.time("event_ts")?;
            let mut last = None;
            for row in 0..batch.num_rows() {
                let this = (site.value(row), device.value(row), minute_of(event.value(row)));
                // Rows of a device stand together, by time.
                if last != Some(this) {
                    touched.add(this.0, this.1, this.2);
                    last = Some(this);
                }
            }
        }
    }
    Ok(dates)
}

/// The rows of the view that are made again.
fn mine(batch: &RecordBatch, touched: &Touched) -> BooleanArray {
    let columns = Columns::of(vitals_1m::NAME, batch);
    let (Ok(site), Ok(device), Ok(minute)) =
        (columns.text("site"), columns.text("device_id"), columns.time("minute_ts"))
    else {
        return BooleanArray::from(vec![false; batch.num_rows()]);
    };
    let of = |row| touched.has(site.value(row), device.value(row), minute.value(row));
    (0..batch.num_rows()).map(|row| Some(of(row))).collect()
}

async fn gather(
    followed: &mut Followed,
    table: &Arc<Table>,
    files: &[FileInfo],
    touched: &Touched,
    (pass, passes): (u64, u64),
) -> Result<Values, LakeError> {
    let mut values = Values::default();
    let mut rows = followed.scan(table, files.to_vec(), &COLUMNS, &touched.within())?;
    while let Some(batch) = rows.try_next().await? {
        followed.rows_read += batch.num_rows() as u64;
        let columns = Columns::of(readings::NAME, &batch);
        let [site, device, metric, unit, quality] =
            ["site", "device_id", "metric", "unit", "quality"].map(|name| columns.text(name));
        let (site, device, metric, unit) = (site?, device?, metric?, unit?);
        let (quality, value) = (quality?, columns.double("value")?);
        let event = columns.time("event_ts")?;
        // Of rows of a device, which stand together, one is looked up for each minute.
        let mut last: Option<(&str, &str, i64, bool)> = None;
        for row in 0..batch.num_rows() {
            let Some(number) = at(value, row).filter(|_| quality.value(row) != "bad") else {
                continue;
            };
            let (site, device) = (site.value(row), device.value(row));
            let minute = minute_of(event.value(row));
            let known = last.filter(|(s, d, m, _)| (*s, *d, *m) == (site, device, minute));
            let has = known.map_or_else(
                || {
                    let of_pass = passes == 1 || hash(&device) % passes == pass;
                    of_pass && touched.has(site, device, minute)
                },
                |(_, _, _, has)| has,
            );
            last = Some((site, device, minute, has));
            if has {
                let good = quality.value(row) == "good";
                let channel = [site, device, metric.value(row)];
                values.add(channel, text_at(unit, row), event.value(row), (number, good));
            }
        }
    }
    Ok(values)
}

fn batch(view: &Table, minutes: &[Minute]) -> Result<RecordBatch, LakeError> {
    let text = |of: &dyn Fn(&Minute) -> Option<String>| -> ArrayRef {
        Arc::new(minutes.iter().map(of).collect::<StringArray>())
    };
    let time = |of: &dyn Fn(&Minute) -> i64| -> ArrayRef {
        let times = minutes.iter().map(of);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let long = |of: &dyn Fn(&Minute) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(minutes.iter().map(of)))
    };
    let double = |of: &dyn Fn(&Minute) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(minutes.iter().map(of)))
    };
    let columns = vec![
        time(&|minute| minute.begin_us),
        text(&|minute| Some(minute.channel.site.clone())),
        text(&|minute| Some(minute.channel.device.clone())),
        text(&|minute| Some(minute.channel.metric.clone())),
        text(&|minute| minute.channel.unit.clone()),
        long(&|minute| minute.n),
        long(&|minute| minute.n_good),
        double(&|minute| minute.min),
        double(&|minute| minute.max),
        double(&|minute| minute.mean),
        double(&|minute| minute.median),
        double(&|minute| minute.first.1),
        double(&|minute| minute.last.1),
        time(&|minute| minute.first.0),
        time(&|minute| minute.last.0),
    ];
    put::batch(view, columns)
}
