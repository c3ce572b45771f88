//! `tidemark alerts`: the alerts that are there; checks alert rules, and plays the rows of a lake through them.

mod act;
mod backtest;
mod lake_rows;
mod lines;
mod order;
mod rebuild;
mod report;
mod rows;
mod score;
pub(crate) mod steps;
mod tell;
mod truth;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use watch::{Limits, Rules, Watch};

use crate::options::{Format, path};
use crate::print;
use backtest::Backtest;
use tell::Teller;

#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    pub(crate) command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Lists the alerts that are there, as the lake has them.
    List(steps::List),
    /// Acknowledges an alert: somebody looks after it. Returns when that is in the lake.
    Ack(act::Acknowledge),
    /// Silences an alert for a while. Returns when that is in the lake.
    Silence(act::Silence),
    /// Checks a file of rules; with rows, shows what they would tell. Exits with 1 if a rule makes no sense.
    Test(Test),
    /// Plays the rows of a lake through a file of rules: which alerts there would have been.
    Backtest(Backtest),
    /// Makes what ingest knows of devices and alerts anew from the rows of the lake; ingest goes on from it at its next start.
    Rebuild(rebuild::Rebuild),
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The rules, TOML (docs/alerts.md).
    #[arg(value_parser = path)]
    pub(crate) rules: PathBuf,
    /// Rows to play through them, in this order: a JSON object a line, with the columns of `readings` (`device_id`, `metric` and
    /// `event_ts` at least).
    #[arg(long, value_parser = path)]
    pub(crate) readings: Option<PathBuf>,
    /// How the transitions are printed; as JSON one a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// True unless a rule makes no sense.
pub(crate) async fn run(options: &Alerts) -> anyhow::Result<bool> {
    match &options.command {
        AlertsCommand::List(options) => steps::list(options).await,
        AlertsCommand::Ack(options) => act::acknowledge(options).await,
        AlertsCommand::Silence(options) => act::silence(options).await,
        AlertsCommand::Test(options) => test(options),
        AlertsCommand::Backtest(options) => backtest::run(options).await,
        AlertsCommand::Rebuild(options) => rebuild::run(options).await,
    }
}

fn test(options: &Test) -> anyhow::Result<bool> {
    let Some(rules) = rules(&options.rules)? else { return Ok(false) };
    let Some(readings) = &options.readings else {
        for rule in rules.described() {
            print::line(&rule)?;
        }
        return Ok(true);
    };
    let mut watch = Watch::new(rules, Limits::default());
    let mut teller = Teller::new(options.format);
    let mut told = Vec::new();
    lines::each(readings, |reading| {
        watch.reading(reading, &mut told);
        told.drain(..).try_for_each(|transition| teller.tell(&transition))
    })?;
    Ok(true)
}

/// The rules of a file; none if they make no sense, which is said then.
fn rules(file: &Path) -> anyhow::Result<Option<Rules>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    match Rules::parse(&text) {
        Ok(rules) => Ok(Some(rules)),
        Err(errors) => {
            for error in errors {
                print::aside(&format!("{}: {error}", file.display()));
            }
            Ok(None)
        }
    }
}
