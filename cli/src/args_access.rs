//! The command line of `identity`, `certs` and `policy`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::Format;

#[derive(Debug, Args)]
pub(crate) struct Identity {
    #[command(subcommand)]
    pub(crate) command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Adds an identity, or replaces it. Without a password it proves itself by certificate or token.
    Add(IdentityAdd),
    /// Lists the identities.
    List(IdentityList),
    /// Refuses an identity from now on, however it proves itself; a running gateway disconnects it within seconds.
    Revoke(IdentityRevoke),
    /// Tells who a client would be that shows a password, token or certificate. Exits with 1 if it would be refused.
    Test(IdentityTest),
}

/// Where identities are kept.
#[derive(Debug, Args)]
pub(crate) struct IdentityFile {
    /// The file of identities [default: identities_file in [gateway.access] of the configuration].
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// TOML file with the configuration.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityAdd {
    /// Its name: letters, digits, `.`, `_`, `-` and `:`. An agent's is its source_id, a device's its device id.
    pub(crate) name: String,
    /// What it is to the rules: device, fleet, agent, ingest, operator, analyst, or a role of your own. May be given several
    /// times.
    #[arg(long = "role", required = true)]
    pub(crate) roles: Vec<String>,
    /// Its site, for {site} in rules; devices need one.
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// File with its password; `-` for standard input.
    #[arg(long, group = "secret")]
    pub(crate) password_file: Option<PathBuf>,
    /// Makes a password and prints it.
    #[arg(long, group = "secret")]
    pub(crate) generate_password: bool,
    #[command(flatten)]
    pub(crate) file: IdentityFile,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityList {
    #[command(flatten)]
    pub(crate) file: IdentityFile,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityRevoke {
    /// Its name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) file: IdentityFile,
}

#[derive(Debug, Args)]
pub(crate) struct IdentityTest {
    /// User name that it sends; may be left out with a certificate or token.
    #[arg(required_unless_present_any = ["certificate", "password_file"])]
    pub(crate) name: Option<String>,
    /// File with the password or token that it sends; `-` for standard input.
    #[arg(long)]
    pub(crate) password_file: Option<PathBuf>,
    /// Certificate that it shows (PEM).
    #[arg(long)]
    pub(crate) certificate: Option<PathBuf>,
    /// TOML file with the configuration.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Certs {
    #[command(subcommand)]
    pub(crate) command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Makes an authority, certificates for the gateway and one client of each role, their identities, and a configuration
    /// that uses them. For trying things out: the authority's key lies beside them.
    Dev(CertsDev),
}

#[derive(Debug, Args)]
pub(crate) struct CertsDev {
    /// Folder for it all; made if missing.
    pub(crate) dir: PathBuf,
    /// Name or address that the gateway is reached by, beside localhost. May be given several times; with any, the gateway
    /// listens on all addresses.
    #[arg(long = "host")]
    pub(crate) hosts: Vec<String>,
    /// Port where the gateway listens by TLS.
    #[arg(long, default_value_t = 8883)]
    pub(crate) port: u16,
    /// Device id of the device.
    #[arg(long, default_value = "device-1")]
    pub(crate) device: String,
    /// Site of the device.
    #[arg(long, default_value = "lab")]
    pub(crate) site: String,
    /// Days that the certificates are valid.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) days: u16,
}

impl CertsDev {
    /// The address to listen on: this machine's, unless others are to reach it.
    pub(crate) fn listen(&self) -> IpAddr {
        if self.hosts.is_empty() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0].into() }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Tells whether an identity may publish to a topic or subscribe to a filter, and which rule decides. Exits with 1 if it
    /// may not.
    Test(PolicyTest),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// What it wants to do.
    #[arg(value_enum)]
    pub(crate) action: ActionArgument,
    /// The topic, or the topic filter.
    pub(crate) topic: String,
    /// Its name.
    #[arg(long)]
    pub(crate) identity: String,
    /// Its roles, instead of those in the file of identities. May be given several times.
    #[arg(long = "role")]
    pub(crate) roles: Vec<String>,
    /// Its site, instead of the one in the file.
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// Its client id [default: its name].
    #[arg(long)]
    pub(crate) client_id: Option<String>,
    /// TOML file with the configuration.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActionArgument {
    /// Send messages to a topic.
    Publish,
    /// Receive the messages of a filter.
    Subscribe,
}
