//! Brings `device_latest` up to date: what came is folded into what is known of the devices that it is from.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use futures::TryStreamExt;

use super::follow::Followed;
use super::latest::{Device, Last, RowId, When};
use super::rows::{Columns, at, text_at};
use super::{hash, put};
use crate::delta::FileInfo;
use crate::error::LakeError;
use crate::parquet::Within;
use crate::table::Table;
use crate::tables::{device_latest, readings};

/// Metrics of devices that are held at once; of more, the view is made in passes.
const HELD_MAX: usize = 1 << 19;
const READINGS: [&str; 12] = [
    "site",
    "device_id",
    "metric",
    "event_ts",
    "received_ts",
    "value",
    "value_text",
    "unit",
    "quality",
    "source_id",
    "epoch",
    "source_offset",
];
const STATUS: [&str; 5] = ["site", "device_id", "event_ts", "received_ts", "status"];

/// Devices by site and name.
#[derive(Default)]
struct Devices {
    sites: HashMap<String, HashMap<String, Device>>,
    held: usize,
}

/// Which devices a pass is about: those whose name has this remainder.
#[derive(Clone, Copy)]
struct Pass {
    number: u64,
    of: u64,
}

impl Pass {
    fn has(self, site: &str, device: &str) -> bool {
        self.of == 1 || hash(&(site, device)) % self.of == self.number
    }
}

/// See the module.
///
/// # Errors
/// As reading and writing do.
pub(crate) async fn update(followed: &mut Followed) -> Result<(), LakeError> {
    if followed.lost_rows() {
        followed.begin_anew();
    }
    if followed.is_up_to_date() {
        return Ok(());
    }
    if !followed.anew {
        let mut devices = Devices::default();
        if fold(followed, &mut devices, Pass { number: 0, of: 1 }).await? {
            let own = followed.own.clone();
            let known = followed.take_out(own, |batch| devices.touched(batch)).await?;
            for batch in known {
                devices.known(&batch)?;
            }
            return write(followed, devices).await;
        }
        followed.begin_anew();
    }
    let mut of = 1;
    while !in_passes(followed, of).await? {
        of *= 2;
    }
    Ok(())
}

/// Makes all of it in so many passes. False: some of them had too much.
async fn in_passes(followed: &mut Followed, of: u64) -> Result<bool, LakeError> {
    followed.adds.clear();
    for number in 0..of {
        let mut devices = Devices::default();
        if !fold(followed, &mut devices, Pass { number, of }).await? {
            return Ok(false);
        }
        write(followed, devices).await?;
    }
    Ok(true)
}

/// Takes in what is new. False: there is too much of it for one pass.
async fn fold(
    followed: &mut Followed,
    devices: &mut Devices,
    pass: Pass,
) -> Result<bool, LakeError> {
    let bases: Vec<(Arc<Table>, Vec<FileInfo>)> =
        followed.bases.iter().map(|base| (base.table.clone(), base.added.clone())).collect();
    for (table, added) in bases {
        let of_readings = table.name == readings::NAME;
        let columns: Vec<&str> = if of_readings {
            READINGS.iter().copied().chain(["row_no"]).collect()
        } else {
            STATUS.into()
        };
        let mut rows = followed.scan(&table, added, &columns, &Within::default())?;
        while let Some(batch) = rows.try_next().await? {
            followed.rows_read += batch.num_rows() as u64;
            if of_readings {
                devices.readings(&batch, pass)?;
            } else {
                devices.status(&batch, pass)?;
            }
            if devices.held > HELD_MAX {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

impl Devices {
    fn device(&mut self, site: &str, device: &str) -> &mut Device {
        if !self.sites.contains_key(site) {
            self.sites.insert(site.to_owned(), HashMap::new());
        }
        let devices = self.sites.get_mut(site).expect("it was put there");
        if !devices.contains_key(device) {
            devices.insert(device.to_owned(), Device::default());
            self.held += 1;
        }
        devices.get_mut(device).expect("it was put there")
    }

    fn readings(&mut self, batch: &RecordBatch, pass: Pass) -> Result<(), LakeError> {
        let columns = Columns::of(readings::NAME, batch);
        let [site, device, metric] = ["site", "device_id", "metric"].map(|name| columns.text(name));
        let (site, device, metric) = (site?, device?, metric?);
        let values = Values::of(&columns)?;
        // Of a metric the last stands last: with it first the others are only counted.
        for row in (0..batch.num_rows()).rev() {
            if !pass.has(site.value(row), device.value(row)) {
                continue;
            }
            let known = self.device(site.value(row), device.value(row));
            known.seen(values.received.value(row));
            let before = known.metrics.len();
            let good = i64::from(values.quality.value(row) == "good");
            known.value(metric.value(row), values.time(row), (1, good), || values.last(row));
            self.held += known.metrics.len() - before;
        }
        Ok(())
    }

    fn status(&mut self, batch: &RecordBatch, pass: Pass) -> Result<(), LakeError> {
        let columns = Columns::of("device_status", batch);
        let (site, device) = (columns.text("site")?, columns.text("device_id")?);
        let (event, received) = (columns.time("event_ts")?, columns.time("received_ts")?);
        let status = columns.text("status")?;
        for row in 0..batch.num_rows() {
            if pass.has(site.value(row), device.value(row)) {
                let known = self.device(site.value(row), device.value(row));
                known.seen(received.value(row));
                known.status(event.value(row), received.value(row), status.value(row));
            }
        }
        Ok(())
    }

    /// The rows of the view that are about one of these devices.
    fn touched(&self, batch: &RecordBatch) -> BooleanArray {
        let columns = Columns::of(device_latest::NAME, batch);
        let (Ok(site), Ok(device)) = (columns.text("site"), columns.text("device_id")) else {
            return BooleanArray::from(vec![false; batch.num_rows()]);
        };
        let of = |row| {
            let devices = self.sites.get(site.value(row));
            devices.is_some_and(|devices| devices.contains_key(device.value(row)))
        };
        (0..batch.num_rows()).map(|row| Some(of(row))).collect()
    }

    /// Takes in what the view has.
    fn known(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let columns = Columns::of(device_latest::NAME, batch);
        let [site, device, metric, status] =
            ["site", "device_id", "metric", "status"].map(|name| columns.text(name));
        let (site, device, metric, status) = (site?, device?, metric?, status?);
        let seen = columns.time("last_seen_ts")?;
        let (stated, stated_received) =
            (columns.time("status_ts")?, columns.time("status_received_ts")?);
        let (n, n_good) = (columns.long("n")?, columns.long("n_good")?);
        let values = Values::of(&columns)?;
        for row in 0..batch.num_rows() {
            let known = self.device(site.value(row), device.value(row));
            known.seen(seen.value(row));
            if let Some(status) = text_at(status, row) {
                known.status(stated.value(row), stated_received.value(row), status);
            }
            if let Some(metric) = text_at(metric, row) {
                let counts = (n.value(row), n_good.value(row));
                known.value(metric, values.time(row), counts, || values.last(row));
            }
        }
        Ok(())
    }
}

/// The columns of a value, which readings and the view share.
struct Values<'a> {
    event: &'a TimestampMicrosecondArray,
    received: &'a TimestampMicrosecondArray,
    value: &'a Float64Array,
    text: &'a StringArray,
    unit: &'a StringArray,
    quality: &'a StringArray,
    source: &'a StringArray,
    epoch: &'a Int64Array,
    offset: &'a Int64Array,
    number: &'a Int32Array,
}

impl<'a> Values<'a> {
    fn of(columns: &Columns<'a>) -> Result<Self, LakeError> {
        Ok(Self {
            event: columns.time("event_ts")?,
            received: columns.time("received_ts")?,
            value: columns.double("value")?,
            text: columns.text("value_text")?,
            unit: columns.text("unit")?,
            quality: columns.text("quality")?,
            source: columns.text("source_id")?,
            epoch: columns.long("epoch")?,
            offset: columns.long("source_offset")?,
            number: columns.int("row_no")?,
        })
    }

    fn time(&self, row: usize) -> (i64, i64) {
        (self.event.value(row), self.received.value(row))
    }

    /// What a row says, but for how many it stands for.
    fn last(&self, row: usize) -> Last {
        let id = RowId {
            source: self.source.value(row).to_owned(),
            epoch: self.epoch.value(row),
            offset: self.offset.value(row),
            row: self.number.value(row),
        };
        let (event_us, received_us) = self.time(row);
        Last {
            when: When { event_us, received_us, id },
            value: at(self.value, row),
            text: text_at(self.text, row).map(str::to_owned),
            unit: text_at(self.unit, row).map(str::to_owned),
            quality: text_at(self.quality, row).unwrap_or_default().to_owned(),
            n: 0,
            n_good: 0,
        }
    }
}

async fn write(followed: &mut Followed, devices: Devices) -> Result<(), LakeError> {
    let batch = batch(&followed.view, &devices)?;
    if batch.num_rows() == 0 {
        return Ok(());
    }
    followed.put(&[batch]).await
}

/// One row a metric; of a device without any, one without.
fn batch(view: &Table, devices: &Devices) -> Result<RecordBatch, LakeError> {
    type Row<'a> = (&'a str, &'a str, &'a Device, Option<(&'a String, &'a Last)>);
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (site, devices) in &devices.sites {
        for (name, device) in devices {
            if device.metrics.is_empty() {
                rows.push((site, name, device, None));
            }
            rows.extend(
                device
                    .metrics
                    .iter()
                    .map(|last| (site.as_str(), name.as_str(), device, Some(last))),
            );
        }
    }
    let text = |of: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let time = |of: &dyn Fn(&Row<'_>) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let long = |of: &dyn Fn(&Last) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|row| row.3.map(|(_, last)| of(last))).collect::<Int64Array>())
    };
    let last = |row: &Row<'_>| row.3.map(|(_, last)| last.clone());
    let value = rows.iter().map(|row| row.3.and_then(|(_, last)| last.value));
    let number = rows.iter().map(|row| row.3.map(|(_, last)| last.when.id.row));
    let columns = vec![
        time(&|row| Some(row.2.seen_us)),
        text(&|row| Some(row.0.to_owned())),
        text(&|row| Some(row.1.to_owned())),
        text(&|row| row.3.map(|(metric, _)| metric.clone())),
        time(&|row| row.3.map(|(_, last)| last.when.event_us)),
        time(&|row| row.3.map(|(_, last)| last.when.received_us)),
        Arc::new(value.collect::<Float64Array>()) as ArrayRef,
        text(&|row| last(row)?.text),
        text(&|row| last(row)?.unit),
        text(&|row| Some(last(row)?.quality)),
        text(&|row| row.2.status.as_ref().map(|(_, _, status)| status.clone())),
        time(&|row| row.2.status.as_ref().map(|(event, _, _)| *event)),
        time(&|row| row.2.status.as_ref().map(|(_, received, _)| *received)),
        long(&|last| last.n),
        long(&|last| last.n_good),
        text(&|row| Some(last(row)?.when.id.source)),
        long(&|last| last.when.id.epoch),
        long(&|last| last.when.id.offset),
        Arc::new(number.collect::<Int32Array>()) as ArrayRef,
    ];
    put::batch(view, columns)
}
