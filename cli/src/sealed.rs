//! `tidemark sealed`: whether an hour of a site is complete; what waits for one hour waits for this.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lake::views::{Asked, HourOfSite};
use serde::Serialize;
use service_runtime::Clock;
use service_runtime::signals::Signals;

use crate::options::{Format, LakeOption};
use crate::tables::instant;
use crate::{config, print};

/// Time between two looks while waiting: the view is brought up to date once a minute.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Sealed {
    /// The site, as in the column `site`.
    #[arg(long)]
    pub(crate) site: String,
    /// Begin of the hour, UTC unless it says otherwise, for example 2026-11-26T10 or 2026-11-26T11:00+01:00.
    #[arg(long, value_parser = hour)]
    pub(crate) hour: i64,
    /// Wait for it for so long, for example 90s, 10m or 2h; without a time: until it is. Exits with 1 if the time is up first.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "8760h", value_parser = time)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Serialize)]
struct Shown<'a> {
    site: &'a str,
    hour: String,
    #[serde(flatten)]
    state: &'a HourOfSite,
}

fn hour(text: &str) -> Result<i64, String> {
    let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>()?);
    let parsed: Result<Timestamp, jiff::Error> = text.parse().or_else(|_| civil());
    let us = parsed.map_err(|error| format!("{error}; expected YYYY-MM-DDTHH"))?.as_microsecond();
    match us.rem_euclid(3_600_000_000) {
        0 => Ok(us),
        _ => Err("that is no begin of an hour (UTC)".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().map_err(|error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| "it must not be negative".to_owned())
}

/// True once the hour is sealed; false when it is not, or not in time.
pub(crate) async fn run(options: &Sealed) -> anyhow::Result<bool> {
    let signals = Signals::listen()?;
    let stop = service_runtime::Stop::new();
    signals.until(stop.clone(), ask(options, stop)).await
}

async fn ask(options: &Sealed, stop: service_runtime::Stop) -> anyhow::Result<bool> {
    let clock = Clock::default();
    let lake = config::open_lake(&options.lake).await?;
    let until = options.wait.map(|wait| clock.uptime() + wait);
    loop {
        let asked = lake.hour_of_site(&options.site, options.hour).await?;
        let waits = until.is_some_and(|until| clock.uptime() < until) && !stop.is_cancelled();
        match asked {
            Asked::Hour(state) if state.sealed || !waits => {
                show(options, &state)?;
                return Ok(state.sealed);
            }
            Asked::NoView if !waits => bail!(
                "nobody has looked which hours are complete: run ingest with [maintain] views, or `tidemark maintain`"
            ),
            Asked::NoSite(sites) if !waits => {
                let known = if sites.is_empty() { "none".to_owned() } else { sites.join(", ") };
                bail!(
                    "no source has brought anything of the site `{}` since the week before that hour; sites that there are: {known}",
                    options.site
                );
            }
            _ => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn show(options: &Sealed, state: &HourOfSite) -> anyhow::Result<()> {
    let hour = instant(options.hour);
    if options.format == Format::Json {
        return print::json(&Shown { site: &options.site, hour, state }).context("cannot print");
    }
    let HourOfSite { sealed, landed, late, waiting } = state;
    let said = if *sealed { "sealed" } else { "not sealed" };
    let (landed, late) = (grouped(*landed), grouped(*late));
    print::line(&format!("{} {hour}: {said}, {landed} rows, {late} of them late", options.site))?;
    for (source, at) in waiting {
        let at = at.map_or_else(
            || "nobody knows how far it is delivered".to_owned(),
            |at| format!("all that it accepted before {} is here", instant(at)),
        );
        print::line(&format!("  waiting for {source}: {at}"))?;
    }
    Ok(())
}

fn grouped(number: i64) -> String {
    print::grouped(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_times_are_read_as_people_write_them() {
        let ten = hour("2026-11-26T10").unwrap();
        assert_eq!(instant(ten), "2026-11-26T10:00:00Z");
        for same in [
            "2026-11-26T10:00",
            "2026-11-26T10:00:00Z",
            "2026-11-26T11:00+01:00",
            "2026-11-26 10:00",
        ] {
            assert_eq!(hour(same), Ok(ten), "{same}");
        }
        assert!(hour("2026-11-26T10:30").unwrap_err().contains("no begin of an hour"));
        assert!(hour("26.11.2026").unwrap_err().contains("YYYY-MM-DDTHH"));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7200)));
        assert!(time("soon").is_err() && time("-1m").is_err());
    }
}
