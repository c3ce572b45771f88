//! `tidemark simulate`: plays devices against a gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use service_runtime::Stop;
use service_runtime::signals::Signals;
use simulator::config::Pace;
use simulator::{Progress, ReplayForm, Simulation, Summary};

use crate::options::{BrokerLogin, Format, path};
use crate::recordings::ParquetFiles;
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// TOML file with a [simulator] section; the options below override it.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
    /// Gateway, host:port, or the HTTP input of an agent, http://address:port [default: 127.0.0.1:1883].
    #[arg(long)]
    pub(crate) gateway: Option<String>,
    #[command(flatten)]
    pub(crate) login: BrokerLogin,
    /// Folder of the journal, for `tidemark audit`.
    #[arg(long, value_parser = path)]
    pub(crate) journal: Option<PathBuf>,
    /// The same seed and settings give byte-identical payloads [default: 1].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Stop after so many messages.
    #[arg(long)]
    pub(crate) messages: Option<u64>,
    /// Simulated seconds per second [default: 1].
    #[arg(long, group = "pace")]
    pub(crate) speed: Option<f64>,
    /// Messages per second, whether or not they are acknowledged.
    #[arg(long, group = "pace")]
    pub(crate) rate: Option<f64>,
    /// As fast as messages are acknowledged.
    #[arg(long, group = "pace")]
    pub(crate) as_fast_as_acknowledged: bool,
    /// Connections that the devices share; 0 is one each [default: 0].
    #[arg(long)]
    pub(crate) connections: Option<u32>,
    /// Beds of the ward, each with a monitor [default: 24].
    #[arg(long)]
    pub(crate) beds: Option<u32>,
    /// Devices of each family that `tidemark profiles` lists, which publish as Zigbee2MQTT, Tasmota, … do, beside the ward [default: 0].
    #[arg(long)]
    pub(crate) families: Option<u32>,
    /// Share of messages with members that nobody knows, 0 to 1; a device has more of them the longer it runs.
    #[arg(long)]
    pub(crate) unknown_members: Option<f64>,
    /// Share of messages that are published twice, 0 to 1.
    #[arg(long)]
    pub(crate) duplicates: Option<f64>,
    /// Share of messages that later ones overtake, 0 to 1.
    #[arg(long)]
    pub(crate) reordering: Option<f64>,
    /// Share of messages that are followed by a malformed one, 0 to 1.
    #[arg(long)]
    pub(crate) malformed: Option<f64>,
    /// Let monitors have artefacts: sentinels, probes off, impossible values.
    #[arg(long)]
    pub(crate) artefacts: bool,
    /// Let the devices' clocks be wrong.
    #[arg(long)]
    pub(crate) clock_offset: bool,
    /// Cut each connection after about so many messages.
    #[arg(long)]
    pub(crate) disconnect_every: Option<u64>,
    /// Recorded series to publish as a device: CSV or NDJSON (UTF-8 or UTF-16), or Parquet; may be given several times. How it is
    /// written is guessed, and said; the next options say it.
    #[arg(long, value_parser = path)]
    pub(crate) replay: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) replay_form: ReplayOptions,
    /// Folder of FHIR resources (*.json, or one a line in *.ndjson) to publish once.
    #[arg(long, value_parser = path)]
    pub(crate) fhir: Option<PathBuf>,
    /// File for what is true of the ward: each scenario (sepsis, respiratory failure, fridge failure) with its device and times, for
    /// `tidemark alerts backtest --truth`. Written at the end.
    #[arg(long, value_parser = path)]
    pub(crate) truth: Option<PathBuf>,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How recorded series are written.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayOptions {
    /// What is between the cells of CSV: , ; | or a tab.
    #[arg(long, value_name = "CHAR")]
    replay_delimiter: Option<char>,
    /// Whether the first line of CSV names the columns.
    #[arg(long, value_name = "BOOL")]
    replay_header: Option<bool>,
    /// Whether numbers are as 21,5.
    #[arg(long, value_name = "BOOL")]
    replay_decimal_comma: Option<bool>,
    /// The column (name, or number from 1; of Parquet too) or member that has the time.
    #[arg(long, value_name = "NAME")]
    replay_time_column: Option<String>,
    /// How times are written: auto, unix_s, unix_ms, unix_us, unix_ns, or a pattern such as "%d/%m/%Y %H:%M".
    #[arg(long, value_name = "FORMAT")]
    replay_time_format: Option<String>,
    /// The zone of times that say none, as Europe/Berlin; UTC if it is not given.
    #[arg(long, value_name = "ZONE")]
    replay_zone: Option<String>,
}

impl ReplayOptions {
    /// What is given counts more than what the configuration says.
    fn over(self, form: ReplayForm) -> ReplayForm {
        ReplayForm {
            delimiter: self.replay_delimiter.or(form.delimiter),
            header: self.replay_header.or(form.header),
            decimal_comma: self.replay_decimal_comma.or(form.decimal_comma),
            time_column: self.replay_time_column.or(form.time_column),
            time_format: self.replay_time_format.or(form.time_format),
            zone: self.replay_zone.or(form.zone),
        }
    }
}

/// Publishes until it is done or Ctrl-C; true when everything was acknowledged.
pub(crate) async fn run(options: Simulate) -> anyhow::Result<bool> {
    let signals = Signals::listen()?;
    let everything = config::start(options.config.as_deref())?;
    let (format, truth) = (options.format, options.truth.clone());
    let config = apply(everything.simulator, options);
    let simulation = Simulation::secured(config.clone())?.with_tables(Arc::new(ParquetFiles));
    let progress = simulation.progress();
    let stop = Stop::new();
    let run = signals.until(stop.clone(), simulation.run(stop));
    tokio::pin!(run);
    let mut live = print::LiveLine::default();
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    let summary = loop {
        tokio::select! {
            summary = &mut run => break summary?,
            _ = every_second.tick() => if format == Format::Text { live.show(&progress_line(&progress))? },
        }
    };
    live.finish()?;
    if let Some(truth) = truth {
        let played_us = i64::try_from(progress.simulated_us.get()).unwrap_or(i64::MAX);
        let write = move || write_truth(&truth, &config, played_us);
        tokio::task::spawn_blocking(write).await??;
    }
    match format {
        Format::Json => print::json(&summary)?,
        Format::Text => print_summary(&summary)?,
    }
    summary.check()?;
    Ok(summary.is_complete())
}

/// Writes what was true: a JSON object a line.
fn write_truth(path: &Path, config: &simulator::Config, played_us: i64) -> anyhow::Result<()> {
    let mut text = String::new();
    for truth in simulator::played::truths(config, played_us) {
        text.push_str(&serde_json::to_string(&truth)?);
        text.push('\n');
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn apply(mut config: simulator::Config, options: Simulate) -> simulator::Config {
    fn set<T>(target: &mut T, option: Option<T>) {
        if let Some(value) = option {
            *target = value;
        }
    }
    set(&mut config.gateway, options.gateway);
    set(&mut config.seed, options.seed);
    set(&mut config.connections, options.connections);
    set(&mut config.pace, options.speed.map(Pace::Speed));
    set(&mut config.pace, options.rate.map(Pace::Rate));
    set(&mut config.pace, options.as_fast_as_acknowledged.then_some(Pace::Acknowledged));
    set(&mut config.ward.beds, options.beds);
    set(&mut config.families.each, options.families);
    set(&mut config.disorder.unknown_members, options.unknown_members);
    set(&mut config.disorder.duplicates, options.duplicates);
    set(&mut config.disorder.reordering, options.reordering);
    set(&mut config.disorder.malformed, options.malformed);
    set(&mut config.disorder.disconnect_every, options.disconnect_every);
    config.disorder.artefacts |= options.artefacts;
    config.disorder.clock_offset |= options.clock_offset;
    config.journal = options.journal.or(config.journal);
    let BrokerLogin { ca_file, cert_file, key_file, username, password_file } = options.login;
    config.tls.ca_file = ca_file.or(config.tls.ca_file);
    config.tls.cert_file = cert_file.or(config.tls.cert_file);
    config.tls.key_file = key_file.or(config.tls.key_file);
    config.username = username.or(config.username);
    config.password_file = password_file.or(config.password_file);
    config.seconds = options.seconds.or(config.seconds);
    config.messages = options.messages.or(config.messages);
    config.fhir = options.fhir.or(config.fhir);
    config.replay.extend(options.replay);
    config.replay_form = options.replay_form.over(config.replay_form);
    config
}

pub(crate) fn progress_line(progress: &Progress) -> String {
    format!(
        "published {}  acknowledged {}  connections {}  simulated {}",
        print::grouped(progress.published.get() + progress.duplicates.get()),
        print::grouped(progress.acknowledged.get()),
        progress.connected.get(),
        clock(progress.simulated_us.get() / 1_000_000),
    )
}

/// Writes seconds as h:mm:ss.
pub(crate) fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn print_summary(summary: &Summary) -> std::io::Result<()> {
    for aside in &summary.set_aside {
        let limit = aside.limit.map_or_else(String::new, |limit| {
            format!(" of at most {}", print::grouped(limit.into()))
        });
        print::line(&format!(
            "set aside, {}: {} ({} bytes{limit})",
            aside.reason.replace('_', " "),
            aside.name,
            print::grouped(aside.bytes as u64),
        ))?;
    }
    for line in &summary.unusable_lines {
        print::line(&format!("left out: {} line {}: {}", line.file, line.line, line.why))?;
    }
    let more = summary.unusable - summary.unusable_lines.len() as u64;
    if more > 0 {
        print::line(&format!("left out: {} further lines", print::grouped(more)))?;
    }
    print::line(&format!(
        "published {} messages and {} duplicates in {:.1} s: {} acknowledged, {} refused, {} unanswered",
        print::grouped(summary.published),
        summary.duplicates,
        summary.seconds,
        print::grouped(summary.acknowledged),
        summary.refused,
        summary.unacknowledged,
    ))?;
    if let Some(why) = summary.trouble.as_ref().filter(|_| !summary.is_complete()) {
        let not_sent = print::grouped(summary.not_sent);
        print::line(&format!("{not_sent} messages were never sent; last connection: {why}"))?;
    }
    print::line(&format!(
        "publish to PUBACK: p50 {:.1} ms, p99 {:.1} ms; {} reconnects, {} resent",
        summary.publish_to_puback.p50_ms,
        summary.publish_to_puback.p99_ms,
        summary.reconnects,
        summary.resent,
    ))
}
