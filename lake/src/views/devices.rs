//! Devices, gathered from rows of tables and of the view, and as rows of the view.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use super::latest::{Counted, Device, Last, Reached, RowId, When, silent_since};
use super::rows::{Columns, at, text_at};
use super::{hash, put};
use crate::error::LakeError;
use crate::table::Table;
use crate::tables::{device_latest, readings};

/// Devices by site and name.
#[derive(Default)]
pub(crate) struct Devices {
    sites: HashMap<String, HashMap<String, Device>>,
    /// Devices, and metrics of devices.
    pub(crate) held: usize,
}

/// Which devices a pass is about: those whose name has this remainder.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) number: u64,
    pub(crate) of: u64,
}

impl Pass {
    fn has(self, site: &str, device: &str) -> bool {
        self.of == 1 || hash(&(site, device)) % self.of == self.number
    }
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

    /// Takes in rows of `readings`.
    pub(crate) fn readings(&mut self, batch: &RecordBatch, pass: Pass) -> Result<(), LakeError> {
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
            known.seen(values.received.value(row), values.source.value(row));
            let before = known.metrics.len();
            let n_good = i64::from(values.quality.value(row) == "good");
            let counted = Counted { n: 1, n_good, first_us: values.event.value(row) };
            known.value(metric.value(row), values.time(row), counted, || values.last(row));
            self.held += known.metrics.len() - before;
        }
        Ok(())
    }

    /// Takes in rows of `device_status`.
    pub(crate) fn status(&mut self, batch: &RecordBatch, pass: Pass) -> Result<(), LakeError> {
        let columns = Columns::of("device_status", batch);
        let (site, device) = (columns.text("site")?, columns.text("device_id")?);
        let (event, received) = (columns.time("event_ts")?, columns.time("received_ts")?);
        let (status, source) = (columns.text("status")?, columns.text("source_id")?);
        for row in 0..batch.num_rows() {
            if pass.has(site.value(row), device.value(row)) {
                let known = self.device(site.value(row), device.value(row));
                known.seen(received.value(row), source.value(row));
                known.status(event.value(row), received.value(row), status.value(row));
            }
        }
        Ok(())
    }

    /// The rows of the view that are about one of these devices.
    pub(crate) fn touched(&self, batch: &RecordBatch) -> BooleanArray {
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

    /// Takes in rows of the view.
    pub(crate) fn known(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let columns = Columns::of(device_latest::NAME, batch);
        let [site, device, metric, status] =
            ["site", "device_id", "metric", "status"].map(|name| columns.text(name));
        let (site, device, metric, status) = (site?, device?, metric?, status?);
        let (seen, through) = (columns.time("last_seen_ts")?, columns.text("heard_through")?);
        let (stated, stated_received) =
            (columns.time("status_ts")?, columns.time("status_received_ts")?);
        let (n, n_good) = (columns.long("n")?, columns.long("n_good")?);
        let first = columns.time("first_event_ts")?;
        let values = Values::of(&columns)?;
        for row in 0..batch.num_rows() {
            let known = self.device(site.value(row), device.value(row));
            known.seen(seen.value(row), through.value(row));
            let before = known.metrics.len();
            if let Some(status) = text_at(status, row) {
                known.status(stated.value(row), stated_received.value(row), status);
            }
            if let Some(metric) = text_at(metric, row) {
                let (n, n_good) = (n.value(row), n_good.value(row));
                let counted = Counted { n, n_good, first_us: first.value(row) };
                known.value(metric, values.time(row), counted, || values.last(row));
            }
            self.held += known.metrics.len() - before;
        }
        Ok(())
    }
}

impl Devices {
    /// Adds devices that are not among these.
    pub(crate) fn join(&mut self, others: Self) {
        for (site, devices) in others.sites {
            self.sites.entry(site).or_default().extend(devices);
        }
        self.held += others.held;
    }

    /// Takes note of how far the sources are that these were heard through.
    pub(crate) fn tell(&self, reached: &mut Reached) {
        for device in self.sites.values().flat_map(HashMap::values) {
            reached.until(&device.heard_through, device.seen_us);
        }
    }
}

/// Takes note of how far the sources are, by the rows of the view that are not `touched`.
///
/// # Errors
/// [`LakeError::File`] if a column is missing: a defect.
pub(crate) fn tell(
    batch: &RecordBatch,
    touched: &BooleanArray,
    reached: &mut Reached,
) -> Result<(), LakeError> {
    let columns = Columns::of(device_latest::NAME, batch);
    let (seen, through) = (columns.time("last_seen_ts")?, columns.text("heard_through")?);
    for row in (0..batch.num_rows()).filter(|row| !touched.value(*row)) {
        reached.until(through.value(row), seen.value(row));
    }
    Ok(())
}

/// The rows of the view that say something else of their device's silence than is so now.
pub(crate) fn stale(batch: &RecordBatch, reached: &Reached) -> BooleanArray {
    let columns = Columns::of(device_latest::NAME, batch);
    let times = (columns.time("last_seen_ts"), columns.time("silent_since_ts"));
    let others = (columns.text("heard_through"), columns.long("interval_ms"));
    let ((Ok(seen), Ok(said)), (Ok(through), Ok(interval))) = (times, others) else {
        return BooleanArray::from(vec![false; batch.num_rows()]);
    };
    let is_stale = |row| {
        let now = reached.of(through.value(row));
        at(said, row) != silent_since(seen.value(row), at(interval, row), now)
    };
    (0..batch.num_rows()).map(|row| Some(is_stale(row))).collect()
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
            counted: Counted::default(),
        }
    }
}

/// One row a metric; of a device without any, one without.
///
/// # Errors
/// As [`put::batch`].
pub(crate) fn batch(
    view: &Table,
    devices: &Devices,
    reached: &Reached,
) -> Result<RecordBatch, LakeError> {
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
    let long = |of: &dyn Fn(&Row<'_>) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int64Array>())
    };
    let last = |row: &Row<'_>| row.3.map(|(_, last)| last.clone());
    let value = rows.iter().map(|row| row.3.and_then(|(_, last)| last.value));
    let number = rows.iter().map(|row| row.3.map(|(_, last)| last.when.id.row));
    let columns = vec![
        time(&|row| Some(row.2.seen_us)),
        time(&|row| row.2.silent_since(reached)),
        text(&|row| Some(row.2.heard_through.clone())),
        long(&|row| row.2.interval_ms()),
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
        long(&|row| row.3.map(|(_, last)| last.counted.n)),
        long(&|row| row.3.map(|(_, last)| last.counted.n_good)),
        time(&|row| row.3.map(|(_, last)| last.counted.first_us)),
        text(&|row| Some(last(row)?.when.id.source)),
        long(&|row| row.3.map(|(_, last)| last.when.id.epoch)),
        long(&|row| row.3.map(|(_, last)| last.when.id.offset)),
        Arc::new(number.collect::<Int32Array>()) as ArrayRef,
    ];
    put::batch(view, columns)
}
