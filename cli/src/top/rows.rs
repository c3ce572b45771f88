//! The rows of each view, of what was answered.

use super::answers::{Alert, Connection, Device, Limit, Reason, Source, Topic};
use super::cells::{
    Cell, Column, Row, Tone, count, known, none_is_best, number, severity, text, toned, when, word,
    worst,
};
use super::words::bytes;
use crate::print::grouped;

/// All rows of a view.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// What to say, and to do, if there is none.
    pub(super) empty: &'static str,
}

fn all(columns: &'static [Column], empty: &'static str, rows: impl Iterator<Item = Row>) -> Rows {
    Rows { columns, rows: rows.collect(), empty }
}

const SOURCES: &[Column] = &[
    text("source", 0),
    text("state", 0),
    number("pending", 0),
    number("accepted", 3),
    number("landed", 2),
    number("dropped", 4),
    number("dead", 4),
    number("devices", 5),
    text("heard", 1),
    text("epoch", 6),
];

pub(super) fn sources(known_all: &[Source], now: i64) -> Rows {
    let row = |it: &Source| {
        let tone = match &*it.state {
            "here" => Tone::Good,
            "behind" => Tone::Warning,
            _ => Tone::Critical,
        };
        Row {
            id: format!("{}/{}", it.source, it.epoch),
            cells: vec![
                word(&it.source),
                toned(&it.state, tone),
                known(it.pending),
                known(it.accepted),
                count(it.landed),
                none_is_best(it.dropped, Tone::Critical),
                none_is_best(it.dead_letters, Tone::Warning),
                known(it.devices),
                when(it.heard.as_deref(), now),
                toned(&it.epoch, Tone::Quiet),
            ],
            about: vec![format!(
                "{} {}: accepted {} = landed {} + pending {} + dropped {}",
                it.source,
                it.epoch,
                known(it.accepted).text,
                grouped(it.landed),
                known(it.pending).text,
                grouped(it.dropped),
            )],
        }
    };
    let empty = "No source yet. A source is a spool: the gateway has one, and so has each agent.";
    all(SOURCES, empty, known_all.iter().map(row))
}

const DEVICES: &[Column] = &[
    text("device", 0),
    text("site", 0),
    text("state", 0),
    number("rows/min", 1),
    text("heard", 2),
    text("alerts", 3),
    text("source", 4),
];

pub(super) fn devices(known_all: &[Device], now: i64) -> Rows {
    let row = |it: &Device| {
        let tone = match &*it.status {
            "online" => Tone::Good,
            "silent" => Tone::Critical,
            _ => Tone::Quiet,
        };
        let alerts: Vec<&str> = it.alerts.iter().map(|alert| &*alert.rule).collect();
        let about = it.alerts.iter().map(|alert| {
            format!("{} ({}, {}): {}", alert.rule, alert.severity, alert.state, alert.measured())
        });
        Row {
            id: format!("{}/{}", it.site, it.device),
            cells: vec![
                word(&it.device),
                word(&it.site),
                toned(&it.status, tone),
                count(it.rows_per_minute),
                when(it.heard.as_deref(), now),
                toned(alerts.join(", "), Tone::Warning),
                toned(&it.source, Tone::Quiet),
            ],
            about: about.collect(),
        }
    };
    let empty = "No device yet. Publish something: mosquitto_pub -q 1 -t home/livingroom/temperature -m 21.5";
    all(DEVICES, empty, known_all.iter().map(row))
}

const TOPICS: &[Column] = &[
    text("topic", 0),
    number("rows/min", 0),
    number("dead", 1),
    text("last", 2),
    number("bytes", 4),
    text("rule", 3),
];

pub(super) fn topics(known_all: &[Topic], now: i64) -> Rows {
    let row = |it: &Topic| {
        let rule = it.rule.as_deref();
        let bytes = Cell { by: Some(it.bytes.into()), ..word(bytes(it.bytes)) };
        let remedy = match (rule, it.dead_letters) {
            (None, _) => {
                "no rule takes it: add one to [[ingest.topics]], `tidemark map suggest` writes it"
            }
            (Some(_), 0) => "",
            (Some(_), _) => "6 shows why messages of it become dead letters",
        };
        let about = [rule.map(|rule| format!("by {rule}")).unwrap_or_default(), remedy.to_owned()];
        Row {
            id: it.topic.to_string(),
            cells: vec![
                word(&it.topic),
                count(it.rows_per_minute),
                none_is_best(it.dead_letters, Tone::Warning),
                when(Some(&it.last), now),
                bytes,
                rule.map_or_else(|| toned("none", Tone::Warning), word),
            ],
            about: about.into_iter().filter(|line| !line.is_empty()).collect(),
        }
    };
    let empty = "No message yet since the service began.";
    all(TOPICS, empty, known_all.iter().map(row))
}

const ALERTS: &[Column] = &[
    text("severity", 0),
    text("state", 0),
    text("rule", 0),
    text("about", 0),
    text("since", 1),
    text("value", 2),
    text("by", 3),
];

pub(super) fn alerts(known_all: &[Alert], now: i64) -> Rows {
    let row = |it: &Alert| {
        let until = it.until.as_deref().map(|until| format!("silenced until {until}"));
        let state_tone = if &*it.state == "firing" { severity(&it.severity) } else { Tone::Plain };
        Row {
            id: it.alert.to_string(),
            cells: vec![
                Cell {
                    by: Some(worst(&it.severity)),
                    ..toned(&it.severity, severity(&it.severity))
                },
                toned(&it.state, state_tone),
                word(&it.rule),
                word(it.whom()),
                when(Some(&it.since), now),
                word(it.measured()),
                word(it.by.as_deref().unwrap_or_default()),
            ],
            about: [Some(format!("{} on {}: {}", it.rule, it.whom(), it.measured())), until]
                .into_iter()
                .flatten()
                .collect(),
        }
    };
    all(ALERTS, "No alert is there.", known_all.iter().map(row))
}

const DEAD_LETTERS: &[Column] =
    &[text("reason", 0), number("count", 0), text("last", 0), text("most on", 1)];

pub(super) fn dead_letters(known_all: &[Reason], now: i64) -> Rows {
    let row = |it: &Reason| {
        let topics = it.topics.iter().take(8);
        let lines = topics.map(|on| format!("{} on {}", grouped(on.count), on.topic));
        let remedy = "`tidemark dead-letters show` has payloads; mend rule or device, then `tidemark dead-letters replay`";
        Row {
            id: it.reason.to_string(),
            cells: vec![
                toned(&it.reason, Tone::Warning),
                count(it.count),
                when(Some(&it.last), now),
                word(it.topics.first().map(|on| on.topic.to_string()).unwrap_or_default()),
            ],
            about: std::iter::once(remedy.to_owned()).chain(lines).collect(),
        }
    };
    all(DEAD_LETTERS, "No dead letter: every message became rows.", known_all.iter().map(row))
}

const LIMITS: &[Column] = &[
    text("limit", 0),
    number("full", 0),
    number("used", 1),
    number("most", 1),
    text("setting", 2),
];

pub(super) fn limits(known_all: &[Limit]) -> Rows {
    let row = |it: &Limit| {
        let tone = match it.percent() {
            95.. => Tone::Critical,
            80.. => Tone::Warning,
            _ => Tone::Plain,
        };
        let percent = it.percent();
        let setting = it.setting.as_deref().unwrap_or("fixed");
        Row {
            id: it.name.to_string(),
            cells: vec![
                word(&it.name),
                Cell { by: Some(percent.into()), ..toned(format!("{percent} %"), tone) },
                count(it.used),
                count(it.max),
                toned(setting, Tone::Quiet),
            ],
            about: vec![format!("when it is reached: {}", it.effect)],
        }
    };
    all(LIMITS, "No limit is known.", known_all.iter().map(row))
}

const CONNECTIONS: &[Column] = &[
    text("client", 0),
    text("identity", 1),
    text("state", 0),
    text("since", 2),
    number("waiting", 0),
];

pub(super) fn connections(known_all: &[Connection], now: i64) -> Rows {
    let row = |it: &Connection| {
        let (here, tone) = if it.connected { ("here", Tone::Good) } else { ("away", Tone::Quiet) };
        Row {
            id: it.client_id.to_string(),
            cells: vec![
                word(&it.client_id),
                word(&it.identity),
                toned(here, tone),
                when(Some(&it.since), now),
                known(it.waiting),
            ],
            about: Vec::new(),
        }
    };
    all(CONNECTIONS, "Nobody is connected.", known_all.iter().map(row))
}
