//! Options that several commands have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use service_runtime::config::expand_home;

/// Reads a path; `~` at its start is the home folder, also where no shell sees it (`--file=~/x`).
pub(crate) fn path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(expand_home(text).into())
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object or array.
    Json,
}

/// How a command proves itself to the gateway.
#[derive(Debug, Args)]
pub(crate) struct BrokerLogin {
    /// Connect by TLS, and check the gateway's certificate against the ones in this PEM file.
    #[arg(long, value_parser = path)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Client certificate (PEM).
    #[arg(long, requires = "ca_file", requires = "key_file", value_parser = path)]
    pub(crate) cert_file: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    #[arg(long, requires = "cert_file", value_parser = path)]
    pub(crate) key_file: Option<PathBuf>,
    /// User name; client ids begin with it. With a client certificate: the name in it.
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// File with the password, or with a token.
    #[arg(long, requires = "username", value_parser = path)]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LakeOption {
    /// The lake: a folder, file:///… or s3://bucket/prefix (with the usual AWS_* variables) [default: [lake] url].
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// TOML file whose [lake] section names the lake.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
}
