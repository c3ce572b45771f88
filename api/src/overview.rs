//! Who asks, and how the whole is doing: rates, devices, alerts, the lag, and what is wrong.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use watch::State as AlertState;

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::pulse::Grown;
use crate::role::{Right, Role};
use crate::sources::known;
use crate::state::Api;
use crate::times::Time;

/// A limit that is used to so many percent is a trouble.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The identity; `admin` with the admin token, `local` where nothing is asked for.
    name: String,
    role: Role,
    may: Vec<Right>,
}

/// Says who asks, and what they may.
#[utoipa::path(get, path = "/api/v1/me", tag = "overview", responses((status = 200, body = Me, description = "Who asks."), Refused))]
pub(crate) async fn me(who: Who) -> Json<Me> {
    let may = who.role.rights().to_vec();
    Json(Me { name: who.name.to_string(), role: who.role, may })
}

/// How the whole is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    time: Time,
    version: &'static str,
    /// The ingest worker of this process.
    worker: Option<String>,
    rates: RatesNow,
    devices: DeviceTotals,
    alerts: AlertTotals,
    /// Sources that the lake knows; null where that cannot be told.
    sources: Option<usize>,
    lag: Lag,
    dead_letters: DeadLetterTotals,
    troubles: Vec<Trouble>,
}

/// What comes, over the last minute.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RatesNow {
    /// Messages that were accepted; without a gateway, that landed.
    messages_per_s: f64,
    /// Rows that landed.
    rows_per_s: f64,
    landings_per_min: f64,
}

/// Devices by state.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct DeviceTotals {
    online: usize,
    silent: usize,
    unknown: usize,
}

impl From<[usize; 3]> for DeviceTotals {
    fn from([online, silent, unknown]: [usize; 3]) -> Self {
        Self { online, silent, unknown }
    }
}

/// Alerts by state.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct AlertTotals {
    firing: usize,
    acknowledged: usize,
    silenced: usize,
    pending: usize,
}

/// What is accepted and not in the lake.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lag {
    /// Messages; of the gateway if there is one here, else of all sources as of their last frame.
    messages: Option<u64>,
    /// How long the oldest of them waits, seconds; where there is a gateway.
    oldest_s: Option<f64>,
}

/// Messages that could not become rows, since the process began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterTotals {
    total: u64,
    last_hour: u64,
}

/// Something that somebody should look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trouble {
    what: String,
    /// Since when, as far as this process knows.
    since: Option<Time>,
    remedy: String,
    /// `warning` or `critical`.
    severity: &'static str,
}

/// Says how the whole is doing.
#[utoipa::path(get, path = "/api/v1/overview", tag = "overview", responses((status = 200, body = Overview, description = "How it is doing."), Refused))]
pub(crate) async fn overview(State(api): State<Api>, who: Who) -> Result<Json<Overview>, Error> {
    let (parts, pulse) = (api.parts(), api.pulse());
    let (rates, (total, last_hour)) = (pulse.rates(), pulse.dead_letters());
    let sources = match &parts.ingest {
        Some(ingest) => known(&api, &ingest.lake).await.ok(),
        None => None,
    };
    let ids = |books: &[lake::SourceBooks]| {
        let mut ids: Vec<&str> = books.iter().map(|own| own.key.source_id.as_str()).collect();
        ids.dedup();
        ids.len()
    };
    let lag = match (&parts.gateway, &sources) {
        (Some(gateway), _) => {
            let source = gateway.source();
            Lag { messages: Some(source.pending), oldest_s: Some(source.lag_seconds) }
        }
        (None, Some(known)) => {
            let pending = known
                .books
                .iter()
                .map(|own| own.appended.unwrap_or(own.landed).saturating_sub(own.landed));
            Lag { messages: Some(pending.sum()), oldest_s: None }
        }
        (None, None) => Lag { messages: None, oldest_s: None },
    };
    Ok(Json(Overview {
        time: Time::of(api.now_us()),
        version: env!("CARGO_PKG_VERSION"),
        worker: parts.ingest.as_ref().map(|ingest| ingest.config.worker.clone()),
        rates: RatesNow {
            messages_per_s: rates.messages_per_s,
            rows_per_s: rates.rows_per_s,
            landings_per_min: rates.landings_per_min,
        },
        devices: device_totals(&api).await.into(),
        alerts: if who.may(Right::Alerts) {
            alert_totals(&api).await?
        } else {
            AlertTotals::default()
        },
        sources: sources.map(|known| ids(&known.books)),
        lag,
        dead_letters: DeadLetterTotals { total, last_hour },
        troubles: troubles(&api),
    }))
}

async fn device_totals(api: &Api) -> [usize; 3] {
    let Some(ingest) = &api.parts().ingest else { return [0; 3] };
    let wanted = ingest::watching::DevicesWanted { limit: 0, ..Default::default() };
    match ingest.watcher.devices(wanted).await {
        Ok(page) => page.totals,
        Err(_) => api.pulse().device_totals(),
    }
}

async fn alert_totals(api: &Api) -> Result<AlertTotals, Error> {
    let mut totals = AlertTotals::default();
    let Some(ingest) = &api.parts().ingest else { return Ok(totals) };
    // That none was told of because nobody answered must not read as none.
    for alert in ingest.watcher.alerts().await? {
        match alert.state {
            AlertState::Firing => totals.firing += 1,
            AlertState::Acknowledged => totals.acknowledged += 1,
            AlertState::Silenced => totals.silenced += 1,
            AlertState::Pending => totals.pending += 1,
            AlertState::Resolved => {}
        }
    }
    Ok(totals)
}

fn troubles(api: &Api) -> Vec<Trouble> {
    let pulse = api.pulse();
    let unready = pulse.unready(api.parts().readiness.troubles(), api.now_us());
    let unready = unready.into_iter().map(|(part, why, since_us)| Trouble {
        what: format!("{part} cannot work: {why}"),
        since: Time::known(since_us),
        remedy: "docs/operations.md says what each part needs; the log has more".into(),
        severity: "critical",
    });
    let grown = by_group(pulse.grown_of_late(api.now()));
    let limits = api.parts().gateway.iter().flat_map(gateway::Insight::limits);
    let full = limits.filter(|limit| {
        limit.max > 0 && limit.used.saturating_mul(100) / limit.max >= NEARLY_FULL_PERCENT
    });
    let full = full.map(|limit| Trouble {
        what: format!(
            "{} is used to {} of {}: then {}",
            limit.name, limit.used, limit.max, limit.effect
        ),
        since: None,
        remedy: format!("raise {}, or find who uses it", limit.setting),
        severity: "warning",
    });
    unready.chain(grown).chain(full).collect()
}

/// One line for each group of counts, its reasons by how often they came: nine kinds of dead letters are one trouble.
fn by_group(grown: Vec<((String, String), Grown)>) -> Vec<Trouble> {
    let mut groups: BTreeMap<String, Vec<(String, Grown)>> = BTreeMap::new();
    for ((group, reason), grown) in grown {
        groups.entry(group).or_default().push((reason, grown));
    }
    let trouble = |(group, mut reasons): (String, Vec<(String, Grown)>)| {
        reasons.sort_by_key(|(_, grown)| std::cmp::Reverse(grown.count));
        let named = match reasons.as_slice() {
            [(reason, _)] => reason.clone(),
            several => {
                let each =
                    several.iter().map(|(reason, grown)| format!("{reason} {}", grown.count));
                each.collect::<Vec<_>>().join(", ")
            }
        };
        let total: u64 = reasons.iter().map(|(_, grown)| grown.count).sum();
        Trouble {
            what: format!("{} more and more: {named} ({total} since the start)", spoken(&group)),
            since: reasons.iter().map(|(_, grown)| grown.since_us).min().and_then(Time::known),
            remedy: remedy(&group).into(),
            severity: "warning",
        }
    };
    groups.into_iter().map(trouble).collect()
}

fn spoken(group: &str) -> &str {
    match group {
        "dead_letters" => "messages become dead letters,",
        "dropped" => "messages are dropped,",
        "refused" => "clients or messages are refused,",
        "disconnected" => "clients are disconnected,",
        "limits" => "a limit is reached,",
        other => other,
    }
}

fn remedy(group: &str) -> &'static str {
    match group {
        "dead_letters" => {
            "/api/v1/dead-letters shows which; mend the rule or the device, then replay them"
        }
        "refused" => {
            "/api/v1/connections and the audit log say whom; `tidemark policy test` says why"
        }
        "limits" => "/api/v1/limits says how full each is",
        _ => "the log says of whom, and what to do; docs/operations.md",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reasons_of_a_group_are_one_trouble() {
        let grown = |group: &str, reason: &str, count, since_us| {
            let grown = Grown { count, since_us, last_us: since_us, at: Duration::ZERO };
            ((group.to_owned(), reason.to_owned()), grown)
        };
        let told = by_group(vec![
            grown("dead_letters", "empty_payload", 2, 9_000_000),
            grown("dead_letters", "json_syntax", 5, 8_000_000),
            grown("refused", "throttled", 1, 7_000_000),
        ]);
        let said: Vec<&str> = told.iter().map(|trouble| trouble.what.as_str()).collect();
        assert_eq!(
            said,
            [
                "messages become dead letters, more and more: json_syntax 5, empty_payload 2 (7 since the start)",
                "clients or messages are refused, more and more: throttled (1 since the start)",
            ]
        );
        assert_eq!(told[0].since, Time::known(8_000_000));
    }
}
