//! Throughput of the path from device to lake, against its own limits and against mosquitto, in one run.

mod alerts;
mod clocks;
mod compaction;
mod decoder;
mod gateway;
mod lake;
mod landings;
mod limits;
mod load;
mod made;
mod mosquitto;
mod path;
mod processes;
mod report;
mod serve;
mod watching;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use service_runtime::runtime::{self, Workers};

/// Measures Tidemark. Run it on a quiet machine, built with --release.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One-reading JSON messages with QoS 1 through gateway and ingest to committed tables.
    Path(PathOptions),
    /// The gateway alone against mosquitto with the same load: fan-in, fan-out, TLS, latency, idle memory.
    Gateway(GatewayOptions),
    /// Memory and threads of ingest over many landings on a folder, or under messages with many readings.
    Landings(LandingsOptions),
    /// Merging the files of a date, against a bare read, sort and write.
    Compaction(CompactionOptions),
    /// The lake: bytes a row, writing, merging, what a reader must read, commits; each beside what somebody could do without it.
    Lake(lake::LakeOptions),
    /// The path with 20 alert rules against the path that watches nothing, in turn.
    Alerts(AlertsOptions),
    /// Rows a second through alert rules on one core, and the memory of many devices.
    Watch(WatchOptions),
    /// Errors of event times on a ward whose clocks are wrong, before and after they are corrected.
    Clocks(clocks::ClocksOptions),
    /// Size and idle memory of the edge agent's release binary.
    Agent {
        /// The binary: cargo build -p edge-agent --profile edge.
        #[arg(long, default_value = "target/edge/edge-agent")]
        binary: PathBuf,
    },
    /// Runs a part of a measurement in a process of its own.
    #[command(hide = true)]
    Serve { role: Role, config: PathBuf },
}

#[derive(Debug, Clone, Args)]
struct PathOptions {
    /// Messages to send.
    #[arg(long, default_value_t = 300_000)]
    messages: u64,
    /// Connections that send them.
    #[arg(long, default_value_t = 50)]
    connections: u64,
    /// Unacknowledged messages of one connection.
    #[arg(long, default_value_t = 100)]
    in_flight: u64,
    /// Messages a second; as fast as acknowledged without it.
    #[arg(long)]
    rate: Option<u64>,
    /// Ingest lands at the latest after so many milliseconds.
    #[arg(long, default_value_t = 250)]
    flush_age_ms: u64,
    /// Also run the same load through Debian's mosquitto.
    #[arg(long)]
    mosquitto: bool,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Args)]
struct GatewayOptions {
    /// A tenth of the messages, and 500 idle connections: to see that it works, not for figures.
    #[arg(long)]
    quick: bool,
    /// Measures only this; may be given several times. Without it: everything.
    #[arg(long, value_enum)]
    only: Vec<gateway::What>,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Args)]
struct LandingsOptions {
    /// Frames to send.
    #[arg(long, default_value_t = 4_000)]
    frames: usize,
    /// Messages of a frame.
    #[arg(long, default_value_t = 20)]
    messages: u64,
    /// Readings of a message.
    #[arg(long, default_value_t = 1)]
    readings: u64,
    /// Frames that are sent and not landed, at most; 1: each frame is a landing.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Rows that make a landing; by default one.
    #[arg(long)]
    flush_rows: Option<usize>,
    /// Ingest's memory_bytes, in MiB.
    #[arg(long, default_value_t = 192)]
    memory_mib: u64,
    /// Keep the lake in this folder.
    #[arg(long)]
    lake: Option<PathBuf>,
    /// Ingest looks after the lake every so many seconds; 0: never.
    #[arg(long, default_value_t = 60)]
    maintain_every: u64,
    /// Say how it stands after so many frames.
    #[arg(long, default_value_t = 500)]
    every: usize,
}

#[derive(Debug, Clone, Args)]
struct CompactionOptions {
    /// Files of the date.
    #[arg(long, default_value_t = 50)]
    files: u64,
    /// Rows of a file.
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// Devices that the rows are from.
    #[arg(long, default_value_t = 1_000)]
    devices: u64,
    /// Also read, sort and write all rows at once in memory.
    #[arg(long)]
    bare: bool,
}

#[derive(Debug, Clone, Args)]
struct AlertsOptions {
    /// Devices that messages are of.
    #[arg(long, default_value_t = 1_000)]
    devices: u64,
    /// How often each of both is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    path: PathOptions,
}

#[derive(Debug, Clone, Args)]
struct WatchOptions {
    /// Devices that rows are of.
    #[arg(long, default_value_t = 1_000)]
    devices: usize,
    /// Rows of a measurement.
    #[arg(long, default_value_t = 10_000_000)]
    rows: usize,
    /// Devices whose memory is measured.
    #[arg(long, default_value_t = 100_000)]
    many: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Gateway,
    Ingest,
}

fn main() -> ExitCode {
    runtime::service("bench", Workers::PerCpu, run(Arguments::parse().command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Path(options) => path::run(options).await,
        Command::Gateway(options) => gateway::run(options).await,
        Command::Landings(options) => landings::run(options).await,
        Command::Compaction(options) => compaction::run(&options).await,
        Command::Lake(options) => lake::run(options).await,
        Command::Alerts(options) => alerts::run(&options).await,
        Command::Watch(options) => watching::run(&options),
        Command::Clocks(options) => clocks::run(&options),
        Command::Agent { binary } => path::agent(&binary).await,
        Command::Serve { role, config } => serve::run(role, &config).await,
    }
}
