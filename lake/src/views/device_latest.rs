//! Brings `device_latest` up to date: what came is folded into what is known of the devices that it is from, and devices whose silence
//! begins or ends with it are told anew.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use futures::TryStreamExt;

use super::devices::{self, Devices, Pass};
use super::follow::Followed;
use super::latest::Reached;
use crate::delta::FileInfo;
use crate::error::LakeError;
use crate::parquet::Within;
use crate::table::Table;
use crate::tables::readings;

/// Metrics of devices that are held at once; of more, the view is made in passes.
const HELD_MAX: usize = 1 << 19;
const READINGS: [&str; 13] = [
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
    "row_no",
];
const STATUS: [&str; 6] = ["site", "device_id", "event_ts", "received_ts", "status", "source_id"];

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
        if follow(followed).await? {
            return Ok(());
        }
        followed.begin_anew();
    }
    let mut of = 1;
    while !in_passes(followed, of).await? {
        of *= 2;
    }
    Ok(())
}

/// Puts what came into what the view has. False: there is too much of it.
async fn follow(followed: &mut Followed) -> Result<bool, LakeError> {
    let mut devices = Devices::default();
    if !fold(followed, &mut devices, Pass { number: 0, of: 1 }).await? {
        return Ok(false);
    }
    let (view, own) = (followed.view.clone(), followed.own.clone());
    let failed = |error| LakeError::file("read", &view.name, error);
    let columns: Vec<&str> = view.file_columns().map(|column| column.name.as_ref()).collect();
    let mut reached = Reached::default();
    let mut rows = followed.scan(&view, own.clone(), &columns, &Within::default())?;
    while let Some(batch) = rows.try_next().await? {
        let touched = devices.touched(&batch);
        devices::tell(&batch, &touched, &mut reached)?;
        devices.known(&filter_record_batch(&batch, &touched).map_err(failed)?)?;
    }
    devices.tell(&mut reached);
    let goes = |batch: &RecordBatch| -> BooleanArray {
        let (touched, stale) = (devices.touched(batch), devices::stale(batch, &reached));
        touched.iter().zip(&stale).map(|(a, b)| Some(a == Some(true) || b == Some(true))).collect()
    };
    let mut others = Devices::default();
    for batch in followed.take_out(own, goes).await? {
        // What is touched is known already.
        let untouched = not(&devices.touched(&batch)).map_err(failed)?;
        others.known(&filter_record_batch(&batch, &untouched).map_err(failed)?)?;
        if devices.held + others.held > HELD_MAX {
            return Ok(false);
        }
    }
    devices.join(others);
    write(followed, &devices, &reached).await?;
    Ok(true)
}

/// Makes all of it in so many passes. False: some of them had too much.
async fn in_passes(followed: &mut Followed, of: u64) -> Result<bool, LakeError> {
    followed.adds.clear();
    let mut reached = Reached::default();
    // Who is silent is known once all sources were looked at.
    for writes in [false, true] {
        for number in 0..of {
            let mut devices = Devices::default();
            if !fold(followed, &mut devices, Pass { number, of }).await? {
                return Ok(false);
            }
            devices.tell(&mut reached);
            if writes || of == 1 {
                write(followed, &devices, &reached).await?;
            }
        }
        if of == 1 {
            break;
        }
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
        let columns: &[&str] = if of_readings { &READINGS } else { &STATUS };
        let mut rows = followed.scan(&table, added, columns, &Within::default())?;
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

async fn write(
    followed: &mut Followed,
    devices: &Devices,
    reached: &Reached,
) -> Result<(), LakeError> {
    let batch = devices::batch(&followed.view, devices, reached)?;
    if batch.num_rows() == 0 {
        return Ok(());
    }
    followed.put(&[batch]).await
}
