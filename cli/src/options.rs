//! Options that several commands have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
