//! What a backtest found, for people and for programs.

use serde::Serialize;

use super::score::OfRule;
use crate::options::Format;
use crate::print;
use crate::tables::instant;

/// See the module.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) rows: u64,
    pub(super) late_rows: u64,
    pub(super) devices: u64,
    pub(super) device_days: u64,
    pub(super) first_us: Option<i64>,
    pub(super) last_us: Option<i64>,
    pub(super) transitions: u64,
    pub(super) beyond_limits: u64,
    pub(super) undecided: u64,
    pub(super) rows_per_second: f64,
    pub(super) rules: Vec<OfRule>,
}

pub(super) fn show(report: &Report, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return Ok(print::json(report)?);
    }
    let span = match (report.first_us, report.last_us) {
        (Some(first), Some(last)) => format!(", {} to {}", instant(first), instant(last)),
        _ => String::new(),
    };
    print::line(&format!(
        "{} rows of {} devices, {} device-days{span}; {} late",
        print::grouped(report.rows),
        print::grouped(report.devices),
        print::grouped(report.device_days),
        print::grouped(report.late_rows),
    ))?;
    for (what, count) in [
        ("rows beyond the limits", report.beyond_limits),
        ("rows without an answer to `when`", report.undecided),
    ] {
        if count > 0 {
            print::line(&format!("{}  {what}", print::grouped(count)))?;
        }
    }
    let rows: Vec<Vec<String>> =
        report.rules.iter().map(|rule| cells(rule, report.device_days)).collect();
    print::columns(
        &["rule", "looked at", "alerts", "per device-day", "right", "precision"],
        &rows,
    )?;
    for rule in report.rules.iter().filter(|rule| rule.looked_at == 0) {
        print::line(&format!(
            "{}: nothing in that time is for it: look at its filters",
            rule.rule
        ))?;
    }
    for rule in &report.rules {
        for scenario in &rule.scenarios {
            let minutes = |minutes: Option<f64>| {
                minutes.map_or("-".to_owned(), |minutes| format!("{minutes:.0} min"))
            };
            print::line(&format!(
                "{} found {} of {} {} (recall {:.2}): median {} after the onset, {} before treatment",
                rule.rule,
                scenario.found,
                scenario.played,
                scenario.scenario.replace('_', " "),
                scenario.recall,
                minutes(scenario.onset_to_alert_min),
                minutes(scenario.alert_to_treatment_min),
            ))?;
        }
    }
    Ok(())
}

fn cells(rule: &OfRule, device_days: u64) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_day = if device_days == 0 { 0.0 } else { rule.alerts as f64 / device_days as f64 };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        rule.rule.clone(),
        print::grouped(rule.looked_at),
        print::grouped(rule.alerts),
        format!("{per_day:.3}"),
        or_dash(rule.right.map(print::grouped)),
        or_dash(rule.precision.map(|precision| format!("{precision:.2}"))),
    ]
}
