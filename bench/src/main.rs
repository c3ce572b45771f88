//! Throughput of the path from device to lake, against its own limits and against mosquitto, in one run.

mod gateway;
mod limits;
mod load;
mod mosquitto;
mod path;
mod processes;
mod report;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
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

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Path(options) => path::run(options).await,
        Command::Gateway(options) => gateway::run(options).await,
        Command::Agent { binary } => path::agent(&binary).await,
        Command::Serve { role, config } => serve::run(role, &config).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed: there is nobody left to tell.
            drop(std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("bench: {error:#}\n").as_bytes(),
            ));
            ExitCode::FAILURE
        }
    }
}
