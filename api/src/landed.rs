//! Landings and tables: what is in the lake.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use axum::Json;
use axum::extract::State;
use futures::TryStreamExt;
use lake::tables::{completeness, landings};
use lake::{Lake, LakeError, TableSummary};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::Asked;
use crate::role::Right;
use crate::state::Api;
use crate::times::{Time, page};

/// Days in which sealed hours are looked for.
const SEALED_DAYS: i32 = 8;
const DAY_US: i64 = 86_400_000_000;
/// Sites whose last sealed hour is said.
const SITES_MAX: usize = 10_000;
const COLUMNS: [&str; 9] = [
    "landed_at",
    "landing_id",
    "worker",
    "source_id",
    "epoch",
    "from_offset",
    "to_offset",
    "table_name",
    "row_count",
];

/// How many landings.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LandingsQuery {
    /// So many, the newest; a landing counts once for each source in it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The newest landings first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Landings {
    landings: Vec<Landing>,
}

/// What landed of one source in one landing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Landing {
    landing: String,
    landed: Time,
    worker: String,
    source: String,
    /// 16 hexadecimal digits.
    epoch: String,
    /// First offset, …
    from: i64,
    /// … and one beyond the last.
    to: i64,
    /// Rows in all tables.
    rows: i64,
    /// Rows by table.
    tables: BTreeMap<String, i64>,
    #[serde(skip)]
    at_us: i64,
}

/// Lists the newest landings.
#[utoipa::path(get, path = "/api/v1/landings", tag = "lake", params(LandingsQuery), responses((status = 200, body = Landings, description = "The newest landings."), Refused))]
pub(crate) async fn landed(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<LandingsQuery>,
) -> Result<Json<Landings>, Error> {
    who.must(Right::Lake)?;
    let limit = page(query.limit, 100, 1000)?;
    let lake = api.ingest()?.lake.clone();
    let landings = api.ask_lake(newest(&lake, limit)).await?;
    Ok(Json(Landings { landings }))
}

/// Reads the ledger's files, the newest first, until there are enough.
async fn newest(lake: &Lake, limit: usize) -> Result<Vec<Landing>, LakeError> {
    let mut files = lake.files(landings::NAME).await?;
    files.sort_by_key(|file| std::cmp::Reverse(file.newest_us));
    let mut found: Vec<Landing> = Vec::new();
    for file in files {
        let least = found.get(limit.wrapping_sub(1)).map(|landing| landing.at_us);
        if least.is_some_and(|least| file.newest_us.is_some_and(|newest| newest < least)) {
            break;
        }
        let mut rows = lake.scan_files(landings::NAME, vec![file], &COLUMNS)?;
        while let Some(batch) = rows.try_next().await? {
            found.extend(of_batch(&batch));
            found.sort_by(|a, b| {
                (b.at_us, &b.landing, &a.source).cmp(&(a.at_us, &a.landing, &b.source))
            });
            found.truncate(limit);
        }
    }
    Ok(found)
}

fn of_batch(batch: &RecordBatch) -> Vec<Landing> {
    let text = |n: usize| batch.column(n).as_string::<i32>();
    let long = |n: usize| batch.column(n).as_primitive::<Int64Type>();
    let at = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let mut found: HashMap<(&str, &str, i64), Landing> = HashMap::new();
    for row in 0..batch.num_rows() {
        let key = (text(1).value(row), text(3).value(row), long(4).value(row));
        let landing = found.entry(key).or_insert_with(|| Landing {
            landing: key.0.to_owned(),
            landed: Time::of(at.value(row)),
            worker: text(2).value(row).to_owned(),
            source: key.1.to_owned(),
            epoch: format!("{:016x}", key.2),
            from: long(5).value(row),
            to: long(6).value(row),
            rows: 0,
            tables: BTreeMap::new(),
            at_us: at.value(row),
        });
        if text(7).is_valid(row) {
            landing.rows += long(8).value(row);
            *landing.tables.entry(text(7).value(row).to_owned()).or_default() += long(8).value(row);
        }
    }
    found.into_values().collect()
}

/// All tables and views.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tables {
    tables: Vec<TableShown>,
    /// When files were merged last.
    last_compaction: Option<Time>,
    /// The last hour of each site that is complete.
    sealed: Vec<Sealed>,
}

/// A table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableShown {
    name: String,
    rows: u64,
    files: u64,
    bytes: u64,
    /// Its version in Delta.
    version: u64,
    /// Newest time in it.
    newest: Option<Time>,
    /// When files of it were merged last.
    compacted: Option<Time>,
    /// What it is for.
    about: String,
}

/// An hour that is complete.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sealed {
    site: String,
    /// Its begin.
    hour: Time,
}

/// Lists tables and views.
#[utoipa::path(get, path = "/api/v1/tables", tag = "lake", responses((status = 200, body = Tables, description = "All tables and views."), Refused))]
pub(crate) async fn tables(State(api): State<Api>, who: Who) -> Result<Json<Tables>, Error> {
    who.must(Right::Lake)?;
    let (lake, now_us) = (api.ingest()?.lake.clone(), api.now_us());
    Ok(Json(api.ask_lake(all(&lake, now_us)).await?))
}

async fn all(lake: &Lake, now_us: i64) -> Result<Tables, LakeError> {
    let (tables, mut views) = (lake.tables().await?, lake.views().await?);
    views.extend(lake.archives().await?);
    let compacted = lake.compacted().await?;
    let sealed = match views.iter().any(|view| view.name == completeness::NAME) {
        true => sealed(lake, now_us).await?,
        false => Vec::new(),
    };
    let shown = |table: TableSummary| TableShown {
        about: lake
            .catalog()
            .find(&table.name)
            .map(|own| own.about.to_string())
            .unwrap_or_default(),
        compacted: compacted.get(&table.name).copied().map(Time::of),
        name: table.name,
        rows: table.rows,
        files: table.files,
        bytes: table.bytes,
        version: table.version,
        newest: table.newest.map(Time::of),
    };
    Ok(Tables {
        tables: tables.into_iter().chain(views).map(shown).collect(),
        last_compaction: compacted.values().max().copied().map(Time::of),
        sealed,
    })
}

async fn sealed(lake: &Lake, now_us: i64) -> Result<Vec<Sealed>, LakeError> {
    let first = lake::date::date_of(now_us).saturating_sub(SEALED_DAYS);
    let mut files = lake.files(completeness::NAME).await?;
    files.retain(|file| file.date.is_none_or(|date| date >= first));
    let mut rows = lake.scan_files(completeness::NAME, files, &["hour_ts", "site", "sealed"])?;
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    while let Some(batch) = rows.try_next().await? {
        let hours = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let (sites, sealed) = (batch.column(1).as_string::<i32>(), batch.column(2).as_boolean());
        for row in 0..batch.num_rows() {
            // A clock that is ahead makes hours that are to come.
            let is_past = hours.value(row) <= now_us.saturating_add(DAY_US);
            if !(sites.is_valid(row) && sealed.value(row) && is_past) {
                continue;
            }
            if last.len() < SITES_MAX || last.contains_key(sites.value(row)) {
                let known = last.entry(sites.value(row).to_owned()).or_insert(i64::MIN);
                *known = (*known).max(hours.value(row));
            }
        }
    }
    Ok(last.into_iter().map(|(site, hour)| Sealed { site, hour: Time::of(hour) }).collect())
}
