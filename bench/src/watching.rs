//! `bench watch`: rows a second through 20 alert rules on one core, and the memory of many devices.

use std::io::Write;
use std::ops::Range;

use service_runtime::Clock;
use watch::{Limits, Numbers, Quality, Reading, RowId, Rows, Rules, Watch};

use crate::WatchOptions;
use crate::processes::usage_of;

/// Of the first rules say something; those after are for none.
const METRICS: [&str; 5] = ["heart_rate", "spo2", "resp_rate", "temp_body", "etco2"];
const START_US: i64 = 1_767_225_600_000_000;

/// Runs the measurement and prints it.
pub(crate) fn run(options: &WatchOptions) -> anyhow::Result<()> {
    let WatchOptions { devices, rows, many } = *options;
    say(&format!(
        "{devices} devices with {} metrics, 20 rules, {rows} rows, one core:",
        METRICS.len()
    ))?;
    speed("rows that no rule is for", "monitor-*", &elsewhere(), devices, rows)?;
    speed(
        "rows that one rule is for (above)",
        "monitor-*",
        &one_each("above = 250"),
        devices,
        rows,
    )?;
    speed(
        "rows that one rule is for (rise)",
        "monitor-*",
        &one_each("rise = 200\nwithin = \"10m\""),
        devices,
        rows,
    )?;
    speed("rows that NEWS2 is for", "monitor-*", &score(), devices, rows)?;
    speed("rows that an expression is for", "monitor-*", &expression(), devices, rows / 10)?;
    for (what, at_once) in [
        ("one by one", 1),
        ("512 at once", 512),
        ("8192 at once, as ingest does when it is busy", 8192),
    ] {
        in_turn(what, &twenty("monitor-*"), at_once, devices, rows)?;
    }
    memory("silence and 19 thresholds", &elsewhere(), many)?;
    memory("silence and NEWS2", &format!("{SILENCE}{}", score()), many)
}

const SILENCE: &str = "[[rule]]\nname = \"silence\"\nsilent_for = \"5m\"\n";

/// A rule of silence, and 19 for devices that are not there.
fn elsewhere() -> String {
    let mut text = SILENCE.to_owned();
    for n in 0..19 {
        let metric = METRICS[n % METRICS.len()];
        rule(
            &mut text,
            n,
            &format!("metric = \"{metric}\"\ndevice = \"bed-*\"\nrise = 5\nwithin = \"1m\""),
        );
    }
    text
}

/// Twenty rules that are for devices of these names: silence, NEWS2, and eighteen over their metrics.
pub(crate) fn twenty(devices: &str) -> String {
    let limits = [
        ("heart_rate", "above", 140),
        ("spo2", "below", 90),
        ("resp_rate", "above", 79),
        ("temp_body", "above", 44),
        ("etco2", "above", 140),
    ];
    let of = |(metric, side, limit): (&str, &str, u32)| {
        let rise = limit / 3;
        [
            format!("metric = \"{metric}\"\n{side} = {limit}\nfor = \"1m\""),
            format!("metric = \"{metric}\"\nrise = {rise}\nwithin = \"10m\""),
            format!("metric = \"{metric}\"\nstuck_for = \"1h\""),
            format!(
                "metric = \"{metric}\"\ngood_share_below = 0.2\nwithin = \"10m\"\nmin_rows = 50"
            ),
        ]
    };
    let mut text = format!("{SILENCE}{}", score());
    for (n, lines) in limits.into_iter().flat_map(of).take(18).enumerate() {
        rule(&mut text, n, &format!("device = \"{devices}\"\n{lines}"));
    }
    text
}

/// One rule for each of the metrics, and the others for none.
fn one_each(condition: &str) -> String {
    let mut text = SILENCE.to_owned();
    for n in 0..19 {
        let device = if n < METRICS.len() { "monitor-*" } else { "bed-*" };
        let metric = METRICS[n % METRICS.len()];
        // The highest that all of them can have.
        let condition = match metric {
            "heart_rate" => condition.to_owned(),
            "etco2" => condition.replace("250", "140").replace("200", "140"),
            "spo2" => condition.replace("250", "99").replace("200", "60"),
            "resp_rate" => condition.replace("250", "79").replace("200", "60"),
            _ => condition.replace("250", "44").replace("200", "19"),
        };
        rule(&mut text, n, &format!("metric = \"{metric}\"\ndevice = \"{device}\"\n{condition}"));
    }
    text
}

fn score() -> String {
    "[[rule]]\nname = \"news2\"\nnews2 = { at_least = 15 }\n".to_owned()
}

fn expression() -> String {
    "[[rule]]\nname = \"when\"\nwhen = \"metric == 'spo2' && value < 40.0\"\n".to_owned()
}

fn rule(text: &mut String, n: usize, lines: &str) {
    text.push_str(&format!("[[rule]]\nname = \"r-{n}\"\n{lines}\n"));
}

fn watch(rules: &str) -> anyhow::Result<Watch> {
    let rules = Rules::parse(rules).map_err(|errors| anyhow::anyhow!("{}", errors[0]))?;
    Ok(Watch::new(rules, Limits::default()))
}

/// The nth row of devices that all measure all once a second.
fn row(names: &[String], n: usize) -> Reading<'_> {
    let metric = n % METRICS.len();
    let device = n / METRICS.len() % names.len();
    let second = i64::try_from(n / METRICS.len() / names.len()).unwrap_or(i64::MAX);
    let at_us = START_US + second * 1_000_000;
    Reading {
        id: RowId { source_id: "gw", epoch: 1, source_offset: n as i64, row_no: 0 },
        site: "icu",
        device: &names[device],
        metric: METRICS[metric],
        unit: "/min",
        value: Some([70.0, 97.0, 16.0, 36.8, 38.0][metric] + (n % 7) as f64 / 10.0),
        text: None,
        quality: Quality::Good,
        event_us: at_us,
        received_us: at_us,
    }
}

fn speed(what: &str, kind: &str, rules: &str, devices: usize, rows: usize) -> anyhow::Result<()> {
    let names: Vec<String> = (0..devices).map(|n| kind.replace('*', &format!("{n:06}"))).collect();
    let (mut watch, mut told) = (watch(rules)?, Vec::new());
    // Every device and metric is known before it counts.
    let known = devices * METRICS.len();
    (0..known).for_each(|n| watch.reading(&row(&names, n), &mut told));
    let mut transitions = 0;
    // Not what the clock says: others may be on the core, too.
    let began = usage_of("self")?.cpu_seconds;
    for n in known..known + rows {
        watch.reading(&row(&names, n), &mut told);
        if !told.is_empty() {
            transitions += told.len();
            told.clear();
        }
    }
    let seconds = usage_of("self")?.cpu_seconds - began;
    say(&format!(
        "  {:>5.2} M rows/s  {what}, {transitions} transitions",
        rows as f64 / seconds / 1e6
    ))
}

/// The nth row of devices that take turns.
fn row_in_turn(names: &[String], n: usize) -> Reading<'_> {
    let (device, nth) = (n % names.len(), n / names.len());
    row(names, (nth / METRICS.len() * names.len() + device) * METRICS.len() + nth % METRICS.len())
}

/// Rows of devices that come in turn.
struct InTurn<'a> {
    names: &'a [String],
    rows: Range<usize>,
}

impl Rows for InTurn<'_> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn numbers(&self, row: usize) -> Numbers {
        let (n, devices) = (self.rows.start + row, self.names.len());
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (device, metric) = (number(n % devices), number(n / devices % METRICS.len()));
        Numbers { source: 0, device, metric, unit: Some(0) }
    }

    fn received_us(&self, row: usize) -> i64 {
        self.reading(row).received_us
    }

    fn reading(&self, row: usize) -> Reading<'_> {
        row_in_turn(self.names, self.rows.start + row)
    }
}

/// All twenty rules, for devices of which each next row is another's: what is known of them is in no cache.
fn in_turn(
    what: &str,
    rules: &str,
    at_once: usize,
    devices: usize,
    rows: usize,
) -> anyhow::Result<()> {
    let names: Vec<String> = (0..devices).map(|n| format!("monitor-{n:06}")).collect();
    let (mut watch, mut told) = (watch(rules)?, Vec::new());
    let known = devices * METRICS.len();
    (0..known).for_each(|n| watch.reading(&row_in_turn(&names, n), &mut told));
    let began = usage_of("self")?.cpu_seconds;
    for first in (known..known + rows).step_by(at_once) {
        let some = InTurn { names: &names, rows: first..first + at_once };
        match at_once {
            1 => watch.reading(&some.reading(0), &mut told),
            _ => watch.rows(0, &some, &mut told),
        }
        told.clear();
    }
    let seconds = usage_of("self")?.cpu_seconds - began;
    say(&format!(
        "  {:>5.2} M rows/s  rows that five rules and NEWS2 are for, devices in turn, {what}",
        rows as f64 / seconds / 1e6
    ))
}

fn memory(what: &str, rules: &str, devices: usize) -> anyhow::Result<()> {
    let names: Vec<String> = (0..devices).map(|n| format!("monitor-{n:06}")).collect();
    let before = usage_of("self")?.now_kib;
    let (mut watch, mut told) = (watch(rules)?, Vec::new());
    (0..devices * METRICS.len()).for_each(|n| watch.reading(&row(&names, n), &mut told));
    let taken = (usage_of("self")?.now_kib - before) / 1024.0;
    let counted = watch.memory_bytes() as f64 / 1e6;
    let clock = Clock::default();
    let began = clock.uptime();
    let saved = watch.save().len() as f64 / 1e6;
    let seconds = (clock.uptime() - began).as_secs_f64();
    say(&format!(
        "{devices} devices with {} metrics, {what}: {taken:.0} MiB resident, {counted:.0} MB by its own count; saved {saved:.0} MB in {seconds:.2} s",
        METRICS.len()
    ))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
