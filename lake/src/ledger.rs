//! The ledger table: the rows that a landing writes to it, and finding a lane's last plan in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use futures::TryStreamExt;

use crate::delta;
use crate::error::LakeError;
use crate::landing::{SourceAdvance, Staged};
use crate::plan::Plan;
use crate::reader;
use crate::store::Store;
use crate::table::Table;
use crate::tables::{dead_letters, landings};

/// One row of the ledger. Counts can be summed: those of a source are in its first row only.
struct Row<'a> {
    source: &'a SourceAdvance,
    table: Option<&'a str>,
    rows: u64,
    time: Option<(i64, i64)>,
    first: bool,
}

/// One row per source and table, or per source that added none.
fn counted(staged: &Staged) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for source in &staged.sources {
        let touched = source.tables.iter().filter(|(_, counts)| counts.rows > 0);
        let before = rows.len();
        for (table, counts) in touched {
            let first = rows.len() == before;
            rows.push(Row {
                source,
                table: Some(table),
                rows: counts.rows,
                time: counts.time,
                first,
            });
        }
        if rows.len() == before {
            rows.push(Row { source, table: None, rows: 0, time: None, first: true });
        }
    }
    rows
}

/// The ledger's rows of one landing, one per source and table.
///
/// # Errors
/// [`LakeError::File`] if Arrow refuses them, which would be a defect.
pub(crate) fn rows(
    ledger: &Table,
    staged: &Staged,
    plan: &Plan,
    landed_at_us: i64,
) -> Result<RecordBatch, LakeError> {
    let rows = counted(staged);
    let path = Plan::path(plan.landing);
    let long = |value: &dyn Fn(&Row<'_>) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| value(row).cast_signed())))
    };
    let text = |value: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let time = |value: &dyn Fn(&Row<'_>) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let int = |value: &dyn Fn(&Row<'_>) -> usize| -> ArrayRef {
        let ints = rows.iter().map(|row| i32::try_from(value(row)).unwrap_or(i32::MAX));
        Arc::new(Int32Array::from_iter_values(ints))
    };
    let adds = |row: &Row<'_>| {
        row.table.and_then(|table| plan.tables.get(table)).map_or(&[][..], Vec::as_slice)
    };
    let gaps = |row: &Row<'_>| row.source.gaps.iter().map(|gap| gap.count).sum::<u64>();
    let once = |row: &Row<'_>, value: u64| if row.first { value } else { 0 };
    let columns = vec![
        time(&|_| Some(landed_at_us)),
        text(&|_| Some(plan.landing.to_string())),
        text(&|_| Some(plan.worker.clone())),
        int(&|row| usize::from(row.source.lane)),
        long(&|row| {
            plan.lanes.get(&row.source.lane).map_or(0, |counter| counter.cast_unsigned() + 1)
        }),
        text(&|row| Some(row.source.key.source_id.clone())),
        long(&|row| row.source.key.epoch),
        long(&|row| row.source.from),
        long(&|row| row.source.to),
        text(&|row| Some(format!("{:016x}", row.source.chain))),
        long(&|row| once(row, row.source.to - row.source.from - gaps(row))),
        text(&|row| row.table.map(str::to_owned)),
        long(&|row| row.rows),
        long(&|row| if row.table == Some(dead_letters::NAME) { row.rows } else { 0 }),
        long(&|row| once(row, gaps(row))),
        text(&|row| {
            let listed = row.first && !row.source.gaps.is_empty();
            listed.then(|| {
                serde_json::to_string(&row.source.gaps).expect("gaps have only strings and numbers")
            })
        }),
        time(&|row| row.time.map(|(first, _)| first)),
        time(&|row| row.time.map(|(_, last)| last)),
        int(&|row| adds(row).len()),
        long(&|row| adds(row).iter().map(|add| add.size).sum()),
        text(&|_| Some(path.clone())),
        long(&|row| row.source.appended),
        time(&|row| row.source.received_us),
    ];
    RecordBatch::try_new(ledger.file_arrow(), columns)
        .map_err(|error| LakeError::file("encode", landings::NAME, error))
}

/// Whether any row of the ledger names `table`. Reads the whole ledger, as a stream, up to there.
///
/// # Errors
/// As reading does.
pub(crate) async fn names(
    lake: &Store,
    ledger: &Arc<Table>,
    table: &Table,
) -> Result<bool, LakeError> {
    let (files, _) = delta::files(lake, ledger).await?;
    let mut rows = reader::scan(lake, ledger, files, &["table_name"])?;
    while let Some(batch) = rows.try_next().await? {
        if batch.column(0).as_string::<i32>().iter().flatten().any(|name| name == table.name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last plan of each lane of `wanted` (lane → counter), each plan once. Reads the ledger's files newest first and stops
/// as soon as every lane is found, which is nearly always in the first file.
///
/// # Errors
/// [`LakeError::Damaged`] if the ledger names a counter that no row or plan backs, else as reading does.
pub(crate) async fn last_plans(
    lake: &Store,
    ledger: &Arc<Table>,
    mut wanted: BTreeMap<u8, i64>,
) -> Result<Vec<Plan>, LakeError> {
    wanted.retain(|_, counter| *counter > 0);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (mut files, _) = delta::files(lake, ledger).await?;
    files.sort_by_key(|file| std::cmp::Reverse(file.modified_ms));
    let mut paths = BTreeSet::new();
    for file in files {
        if wanted.is_empty() {
            break;
        }
        let may_have =
            |lane: &u8| file.lanes.as_ref().is_none_or(|lanes| lanes.contains(&i64::from(*lane)));
        if !wanted.keys().any(may_have) {
            continue;
        }
        let mut rows =
            reader::scan(lake, ledger, vec![file], &["lane", "lane_counter", "plan_path"])?;
        while let Some(batch) = rows.try_next().await? {
            let lanes = batch.column(0).as_primitive::<Int32Type>();
            let counters = batch.column(1).as_primitive::<Int64Type>();
            let plan_paths = batch.column(2).as_string::<i32>();
            for row in 0..batch.num_rows() {
                let Ok(lane) = u8::try_from(lanes.value(row)) else { continue };
                if wanted.get(&lane) == Some(&counters.value(row)) {
                    wanted.remove(&lane);
                    paths.insert(plan_paths.value(row).to_owned());
                }
            }
        }
    }
    if let Some((lane, counter)) = wanted.first_key_value() {
        let reason = format!("no row has landing {counter} of lane {lane}, which its log names");
        return Err(LakeError::damaged(lake.address(landings::NAME), reason));
    }
    let mut plans = Vec::new();
    for path in paths {
        let bytes = lake.get(&path).await?;
        let bytes = bytes.ok_or_else(|| {
            LakeError::damaged(lake.address(&path), "the ledger names it, it is gone")
        })?;
        plans.push(Plan::decode(&path, &bytes)?);
    }
    Ok(plans)
}
