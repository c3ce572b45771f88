//! A message as it is printed: one line, or one JSON object; with `--decoded` the rows that it becomes below it.

use ingest::decode::reject::Code;
use ingest::explain::{Explained, ExplainedRow};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::payload::{self, Told};
use crate::harmless::{harmless, harmless_json};
use crate::print;

/// The table of messages that could not become rows.
const DEAD: &str = "dead_letters";
/// Rows of one message that are shown, unless all is asked for.
const ROWS_MAX: usize = 20;

/// A message that came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    /// When, Unix microseconds.
    pub(crate) at_us: i64,
    pub(crate) topic: String,
    pub(crate) qos: u8,
    /// It was kept for who comes, and is not news.
    pub(crate) retain: bool,
    pub(crate) payload: bytes::Bytes,
}

/// What `--decoded` says of a message.
#[derive(Debug, Clone)]
pub(crate) enum Decoded {
    /// Its rule, and its rows or why it has none.
    Told(Explained),
    /// It is delivered, and goes into no lake: commands, control topics.
    NotTelemetry,
    /// Its rows cannot be shown.
    Failed(String),
}

/// What is said of a message that goes into no lake.
const NOT_TELEMETRY: &str = "no telemetry: it is delivered, and goes into no lake";

/// The message for people: lines, each with its end.
pub(crate) fn text(came: &Came, decoded: Option<&Decoded>, full: bool) -> String {
    let mut out = String::new();
    let retain = if came.retain { " retained" } else { "" };
    let line = format!(
        "{}  {}  QoS {}{retain}  {} B  {}",
        time(came.at_us, "%H:%M:%S%.3fZ"),
        harmless(&came.topic),
        came.qos,
        print::grouped(came.payload.len() as u64),
        payload::line(&came.payload, full),
    );
    push(&mut out, &line);
    match decoded {
        Some(Decoded::Told(explained)) => rows(&mut out, explained, full),
        Some(Decoded::NotTelemetry) => push(&mut out, &format!("    {NOT_TELEMETRY}")),
        Some(Decoded::Failed(why)) => {
            push(&mut out, &format!("    cannot be shown decoded: {}", harmless(why)));
        }
        None => {}
    }
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn rows(out: &mut String, explained: &Explained, full: bool) {
    let rule = explained.rule.as_deref();
    match rule {
        Some(rule) => push(out, &format!("    by {}", harmless(rule))),
        None => push(out, "    no rule takes this topic"),
    }
    let most = if full { usize::MAX } else { ROWS_MAX };
    let all: Vec<&ExplainedRow> = explained.rows.iter().filter(|row| row.table != DEAD).collect();
    let shown = &all[..all.len().min(most)];
    for of_table in shown.chunk_by(|a, b| a.table == b.table) {
        tables_rows(out, of_table);
    }
    let more = all.len() - shown.len();
    if more > 0 {
        let more = print::grouped(more as u64);
        push(out, &format!("    … {more} more rows (--full shows all)"));
    }
    if let Some(code) = explained.dead {
        let why = why_dead(explained).unwrap_or_default();
        push(out, &format!("    dead letter, {}: {}", code.as_str(), harmless(why)));
        push(out, &format!("      remedy: {}", code.remedy()));
    }
}

/// Rows of one table: what all of them have is said once.
fn tables_rows(out: &mut String, rows: &[&ExplainedRow]) {
    let [first, others @ ..] = rows else { return };
    let has = |row: &ExplainedRow, column: &(String, String)| row.columns.contains(column);
    let is_shared = |column: &(String, String)| others.iter().all(|row| has(row, column));
    let table = &first.table;
    if others.is_empty() {
        return push(out, &format!("    {table}  {}", columns(first.columns.iter())));
    }
    let shared = columns(first.columns.iter().filter(|column| is_shared(column)));
    push(out, &format!("    {table}, {} rows  {shared}", rows.len()));
    for row in rows {
        let own = row.columns.iter().filter(|column| !has(first, column) || !is_shared(column));
        push(out, &format!("      {}", columns(own)));
    }
}

/// Columns in one line; when the message was received is said already.
fn columns<'a>(all: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut line = String::new();
    for (name, value) in all.filter(|(name, _)| name != "received_ts") {
        let gap = if line.is_empty() { "" } else { " " };
        let quote = if value.is_empty() || value.contains(' ') { "'" } else { "" };
        line += &format!("{gap}{name}={quote}{}{quote}", harmless(value));
    }
    line
}

/// The reason in words, as its row has it; it is never a part of the payload.
fn why_dead(explained: &Explained) -> Option<&str> {
    let dead = explained.rows.iter().find(|row| row.table == DEAD)?;
    dead.columns.iter().find(|(name, _)| name == "reason").map(|(_, why)| why.as_str())
}

#[derive(Serialize)]
struct Shown<'a> {
    time: String,
    topic: &'a str,
    qos: u8,
    retain: bool,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    /// Bytes of the payload that are not here.
    #[serde(skip_serializing_if = "is_none")]
    left_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<ShownRows<'a>>,
}

#[derive(Serialize)]
struct ShownRows<'a> {
    rule: Option<&'a str>,
    rows: Vec<ShownRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<DeadLetter<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownRow<'a> {
    table: &'a str,
    columns: Map<String, Value>,
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    reason_code: &'static str,
    reason: &'a str,
    remedy: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_none(bytes: &usize) -> bool {
    *bytes == 0
}

/// The message for programs: one JSON object in a line.
pub(crate) fn json(came: &Came, decoded: Option<&Decoded>, full: bool) -> String {
    let (payload, payload_base64, left_out) = match payload::told(&came.payload, full) {
        Told::Text(text, left_out) => (Some(text), None, left_out),
        Told::Base64(text, left_out) => (None, Some(text), left_out),
    };
    let shown = Shown {
        time: time(came.at_us, "%Y-%m-%dT%H:%M:%S%.6fZ"),
        topic: &came.topic,
        qos: came.qos,
        retain: came.retain,
        bytes: came.payload.len(),
        payload,
        payload_base64,
        left_out,
        decoded: decoded.map(shown_rows),
    };
    // Strings and numbers only: nothing in it can fail.
    let line = serde_json::to_string(&shown).unwrap_or_default();
    harmless_json(&line).into_owned() + "\n"
}

fn shown_rows(decoded: &Decoded) -> ShownRows<'_> {
    let without =
        |error| ShownRows { rule: None, rows: Vec::new(), dead_letter: None, error: Some(error) };
    let explained = match decoded {
        Decoded::Told(explained) => explained,
        Decoded::NotTelemetry => return without(NOT_TELEMETRY),
        Decoded::Failed(why) => return without(why),
    };
    let rows = explained.rows.iter().filter(|row| row.table != DEAD).map(|row| {
        let columns = row.columns.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        ShownRow { table: &row.table, columns: columns.collect() }
    });
    let dead_letter = explained.dead.map(|code: Code| DeadLetter {
        reason_code: code.as_str(),
        reason: why_dead(explained).unwrap_or_default(),
        remedy: code.remedy(),
    });
    ShownRows { rule: explained.rule.as_deref(), rows: rows.collect(), dead_letter, error: None }
}

fn time(us: i64, format: &str) -> String {
    let at = Timestamp::from_microsecond(us);
    at.map_or_else(|_| "?".into(), |at| at.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ingest::explain::Explainer;

    use super::*;

    const NOW: i64 = 1_785_542_400_123_456;

    fn came(topic: &str, payload: &'static [u8]) -> Came {
        let payload = bytes::Bytes::from_static(payload);
        Came { at_us: NOW, topic: topic.into(), qos: 1, retain: false, payload }
    }

    fn decoded(came: &Came) -> Decoded {
        let explainer = Explainer::new(&ingest::Config::default(), Arc::default()).unwrap();
        Decoded::Told(explainer.explain(&came.topic, "", &came.payload, NOW).unwrap())
    }

    #[test]
    fn a_message_is_one_line() {
        let mut came = came("dt/a\x1b/b", b"{ \"x\": 1 }");
        assert_eq!(
            text(&came, None, false),
            "00:00:00.123Z  dt/a\\x1b/b  QoS 1  10 B  {\"x\":1}\n"
        );
        came.retain = true;
        assert!(text(&came, None, false).contains("  QoS 1 retained  "));
    }

    #[test]
    fn decoded_it_has_its_rule_its_rows_or_the_reason_and_the_remedy() {
        let good = came(
            "dt/ward/mon-1/readings",
            br#"{"ts":"2026-08-01T00:00:00Z","metric":"spo2","value":97}"#,
        );
        let shown = text(&good, Some(&decoded(&good)), false);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(lines[1].starts_with("    by "), "{shown}");
        assert!(lines[2].starts_with("    readings  "), "{shown}");
        assert!(lines[2].contains("device_id=mon-1") && lines[2].contains("value=97"), "{shown}");
        let bad = came("dt/ward/mon-1/readings", b"{");
        let shown = text(&bad, Some(&decoded(&bad)), false);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert!(lines[2].starts_with("    dead letter, json_truncated: "), "{shown}");
        assert!(lines[3].starts_with("      remedy: "), "{shown}");
        let command = came("cmd/ward/pump-1/rate", b"1");
        let shown = text(&command, Some(&Decoded::NotTelemetry), false);
        assert!(
            shown.ends_with("\n    no telemetry: it is delivered, and goes into no lake\n"),
            "{shown}"
        );
    }

    #[test]
    fn what_all_rows_of_a_message_have_is_said_once() {
        let two = came("dt/ward/mon-1/readings", br#"{"values":{"spo2":97,"heart_rate":70}}"#);
        let shown = text(&two, Some(&decoded(&two)), false);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 5, "{shown}");
        assert!(
            lines[2].starts_with("    readings, 2 rows  ") && lines[2].contains("device_id=mon-1")
        );
        assert!(lines[3].starts_with("      metric=heart_rate value=70"), "{shown}");
        assert!(lines[4].starts_with("      metric=spo2 value=97"), "{shown}");
    }

    #[test]
    fn programs_get_an_object_a_line() {
        let good = came("dt/ward/mon-1/readings", br#"{"metric":"spo2","value":97}"#);
        let line = json(&good, Some(&decoded(&good)), false);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["time"], "2026-08-01T00:00:00.123456Z");
        assert_eq!((&read["qos"], &read["bytes"]), (&1.into(), &28.into()));
        assert_eq!(read["payload"], r#"{"metric":"spo2","value":97}"#);
        assert_eq!(read["decoded"]["rows"][0]["table"], "readings");
        assert_eq!(read["decoded"]["rows"][0]["columns"]["device_id"], "mon-1");
        assert_eq!(read.get("left_out"), None);
        let bad = came("dt/ward/mon-1/readings", b"\xff\xfe\x9b");
        let line = json(&bad, Some(&decoded(&bad)), false);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["payload_base64"], "//6b");
        assert_eq!(read["decoded"]["dead_letter"]["reason_code"], "not_utf8");
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
    }
}
