//! A device's series, from the lake.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
use axum::Json;
use axum::extract::State;
use futures::TryStreamExt;
use lake::LakeError;
use lake::tables::readings;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};
use watch::Quality;

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::{Asked, Named};
use crate::role::Right;
use crate::state::Api;
use crate::thin::{Point, Thin};
use crate::times::read;

/// Most points of an answer.
const POINTS_MAX: u32 = 10_000;
/// Points, unless the query says otherwise.
const POINTS: u32 = 1_000;
/// Longest time.
const LONGEST_US: i64 = 31 * 86_400_000_000;
/// Time, unless the query says otherwise.
const USUAL_US: i64 = 6 * 3_600_000_000;
const COLUMNS: [&str; 7] = ["event_ts", "site", "device_id", "metric", "value", "unit", "quality"];

/// Which series.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesQuery {
    /// What was measured.
    metric: String,
    /// From when; six hours before `to`, unless it is here.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Until when; now, unless it is here. 31 days after `from` at most.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Most points; of more the least and the greatest of each part of the time.
    #[param(minimum = 2, maximum = 10000)]
    points: Option<u32>,
}

/// A series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Series {
    metric: String,
    /// Of the newest point; null if there is none.
    unit: Option<String>,
    /// Time (Unix milliseconds), value, quality; in order of time.
    #[schema(schema_with = points_schema)]
    points: Vec<(i64, f64, String)>,
    /// There were more points than these.
    more: bool,
}

/// A list of points, each of three things. Not by `prefixItems`, which not every reader of OpenAPI 3.1 takes.
fn points_schema() -> Schema {
    let thing =
        ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Number, Type::String]));
    let point = ArrayBuilder::new().items(RefOr::T(Schema::Object(thing.build())));
    let point = point.min_items(Some(3)).max_items(Some(3));
    let points = ArrayBuilder::new().items(RefOr::T(Schema::Array(point.build())));
    Schema::Array(points.build())
}

/// Reads a device's series from the lake.
#[utoipa::path(get, path = "/api/v1/devices/{site}/{device}/series", tag = "devices",
    params(("site" = String, Path, description = "Its site."), ("device" = String, Path, description = "Its name."), SeriesQuery),
    responses((status = 200, body = Series, description = "The series."), Refused))]
pub(crate) async fn series(
    State(api): State<Api>,
    who: Who,
    Named((site, device)): Named<(String, String)>,
    Asked(query): Asked<SeriesQuery>,
) -> Result<Json<Series>, Error> {
    who.must(Right::Devices)?;
    let to_us = query.to.as_deref().map_or(Ok(api.now_us()), |text| read("to", text))?;
    let from_us = query
        .from
        .as_deref()
        .map_or(Ok(to_us.saturating_sub(USUAL_US)), |text| read("from", text))?;
    let points = query.points.unwrap_or(POINTS);
    if from_us > to_us || to_us.saturating_sub(from_us) > LONGEST_US {
        return Err(Error::Bad("from must be before to, 31 days at most".into()));
    }
    if !(2..=POINTS_MAX).contains(&points) {
        return Err(Error::Bad(format!("points must be 2 to {POINTS_MAX}")));
    }
    let lake = api.ingest()?.lake.clone();
    let mut wanted = Wanted {
        site,
        device,
        metric: query.metric,
        thin: Thin::new(from_us, to_us, points as usize),
        times: (from_us, to_us),
        newest: None,
    };
    let read = async {
        let rows = lake.scan_device(readings::NAME, &COLUMNS, &wanted.device, wanted.times).await;
        let mut rows = rows?;
        while let Some(batch) = rows.try_next().await? {
            wanted.take(&batch);
        }
        Ok::<_, LakeError>(wanted)
    };
    let Wanted { metric, thin, newest, .. } = api.ask_lake(read).await?;
    let (points, more) = thin.points();
    let points =
        points.into_iter().map(|it| (it.at_us.div_euclid(1000), it.value, it.quality.to_owned()));
    Ok(Json(Series { metric, unit: newest.map(|(_, unit)| unit), points: points.collect(), more }))
}

struct Wanted {
    site: String,
    device: String,
    metric: String,
    times: (i64, i64),
    thin: Thin,
    newest: Option<(i64, String)>,
}

impl Wanted {
    fn take(&mut self, batch: &RecordBatch) {
        let text = |n: usize| batch.column(n).as_string::<i32>();
        let (sites, devices, metrics) = (text(1), text(2), text(3));
        let (units, qualities) = (text(5), text(6));
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let values = batch.column(4).as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let at_us = times.value(row);
            let is_wanted = metrics.value(row) == self.metric
                && devices.value(row) == self.device
                && sites.value(row) == self.site
                && (self.times.0..=self.times.1).contains(&at_us);
            if !is_wanted || values.is_null(row) || !values.value(row).is_finite() {
                continue;
            }
            if self.newest.as_ref().is_none_or(|(newest, _)| at_us >= *newest) {
                let (newest, unit) = self.newest.get_or_insert_default();
                *newest = at_us;
                unit.clear();
                if units.is_valid(row) {
                    unit.push_str(units.value(row));
                }
            }
            let quality = Quality::named(qualities.value(row)).name();
            self.thin.add(Point { at_us, value: values.value(row), quality });
        }
    }
}
