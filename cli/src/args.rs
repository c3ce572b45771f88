//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::args_access::{Certs, Identity, Policy};

/// Telemetry from device to data lake, with a receipt.
///
/// Exit codes: 0 yes, 1 no (an audit that failed, a wait that timed out), 2 the command could not do its work.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole path at work: a simulated ward, gateway, ingest, a lake in a folder, and the audit.
    Demo(Demo),
    /// Runs gateway and ingest in one process until Ctrl-C.
    Up(Service),
    /// Runs the gateway: an MQTT server that stores telemetry before it acknowledges it.
    Gateway(Service),
    /// Runs ingest: takes frames from a gateway and lands them in the lake.
    Ingest(Service),
    /// Runs the edge agent: stores messages where the network is bad and forwards them.
    Agent(Service),
    /// Plays devices and an EHR system, or publishes recorded data, and keeps a journal of it.
    Simulate(Box<Simulate>),
    /// Compares a journal with the lake: what was lost, doubled or altered? Exits with 1 if anything was.
    Audit(Audit),
    /// Breaks a Tidemark of its own on purpose and audits what is left: the proof to ask for before trusting it with data.
    Drill(Drill),
    /// Lists the tables of a lake: rows, files, bytes, newest data.
    Tables(Tables),
    /// Lists the files that a table consists of right now, for tools that do not read Delta.
    Files(Files),
    /// Checkpoints the logs of a lake's tables and removes log entries older than 7 days, once; ingest does it by itself.
    Maintain(Maintain),
    /// Shows how far sources are: appended, synced, sent, landed, lag.
    Status(Status),
    /// Waits until a message is readable in the lake.
    Wait(Wait),
    /// Says who may connect to the gateway: keeps the file of identities.
    Identity(Identity),
    /// Makes certificates for trying things out.
    Certs(Certs),
    /// Says what the gateway's rules allow.
    Policy(Policy),
    /// Changes a source's spool. The gateway or agent that uses it must be stopped.
    Source(Source),
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object or array.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How long the simulation runs; landing, audit and summary come on top.
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Folder for the spool, the lake and the journal. A second demo adds to the first one's lake.
    #[arg(long, default_value = "./tidemark-data")]
    pub(crate) data: PathBuf,
    /// The same seed plays the same ward.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Service {
    /// TOML file; what it does not set has the default (see config.example.toml). Environment variables such as
    /// TIDEMARK_GATEWAY__LISTEN override both.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// Checks the configuration, prints what is in force and exits.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// TOML file with a [simulator] section; the options below override it.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// Gateway, host:port, or the HTTP input of an agent, http://address:port [default: 127.0.0.1:1883].
    #[arg(long)]
    pub(crate) gateway: Option<String>,
    #[command(flatten)]
    pub(crate) login: BrokerLogin,
    /// Folder of the journal, for `tidemark audit`.
    #[arg(long)]
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
    /// CSV file of time series to publish as a device; may be given several times.
    #[arg(long)]
    pub(crate) replay: Vec<PathBuf>,
    /// Folder of FHIR resources (*.json) to publish once.
    #[arg(long)]
    pub(crate) fhir: Option<PathBuf>,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How a command proves itself to the gateway.
#[derive(Debug, Args)]
pub(crate) struct BrokerLogin {
    /// Connect by TLS, and check the gateway's certificate against the ones in this PEM file.
    #[arg(long)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Client certificate (PEM).
    #[arg(long, requires = "ca_file", requires = "key_file")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    #[arg(long, requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// User name; client ids begin with it. With a client certificate: the name in it.
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// File with the password, or with a token.
    #[arg(long, requires = "username")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LakeOption {
    /// The lake: a folder, file:///… or s3://bucket/prefix (with the usual AWS_* variables) [default: [lake] url].
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// TOML file whose [lake] section names the lake.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Folder of the journal that `tidemark simulate` kept.
    #[arg(long)]
    pub(crate) journal: PathBuf,
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Folder for temporary files, about 100 bytes a row.
    #[arg(long)]
    pub(crate) temporary: Option<PathBuf>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Which drill, or all; without it the drills are listed.
    pub(crate) name: Option<String>,
    /// The same seed repeats the plan of a drill; by default another one each time.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Play on this lake, s3://bucket/prefix, with the usual AWS_* variables; each drill takes a folder of its own in it.
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// A twentieth of the messages where there are millions.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Keep the folder of each drill, with logs, spools and lake; that of a failed one is always kept.
    #[arg(long)]
    pub(crate) keep: bool,
    /// How reports are printed: a line for each drill, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Tables {
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The table, for example readings.
    pub(crate) table: String,
    #[command(flatten)]
    pub(crate) lake: LakeOption,
}

#[derive(Debug, Args)]
pub(crate) struct Maintain {
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Checkpoint a table that has so many commits since its last checkpoint.
    #[arg(long, default_value_t = lake::maintain::CHECKPOINT_COMMITS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) commits: u64,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Admin address of a running gateway or agent.
    #[arg(long, default_value = "127.0.0.1:8080", conflicts_with = "lake")]
    pub(crate) admin: SocketAddr,
    /// File with the gateway's admin token, if it has one.
    #[arg(long)]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Ask the lake instead: all its sources, as of their last landing.
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The message's position, SOURCE/EPOCH/OFFSET, as a PUBACK's user properties or the agent's HTTP answer say it.
    pub(crate) position: crate::wait::Position,
    /// Where receipts are published, host:port.
    #[arg(long, default_value = "127.0.0.1:1883")]
    pub(crate) broker: String,
    #[command(flatten)]
    pub(crate) login: BrokerLogin,
    /// Prefix of the control topics.
    #[arg(long, default_value = "tm/v1")]
    pub(crate) control_prefix: String,
    /// Give up after so many seconds, with exit code 1.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(subcommand)]
    pub(crate) command: SourceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Forgets the lake that a spool is bound to: the next receipt binds it to the lake that sent it.
    Rebind {
        /// The spool's folder.
        spool: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
