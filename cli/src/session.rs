//! `tidemark session`: who has a session at a running gateway, and the end of one.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::{Args, Subcommand};
use gateway::admin::{EndSession, SessionList};
use service_runtime::http::{Method, StatusCode};

use crate::admin::{self, Asked};
use crate::options::{Format, path};
use crate::print;

#[derive(Debug, Args)]
pub(crate) struct Session {
    #[command(subcommand)]
    pub(crate) command: SessionCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Lists the sessions at a gateway: those whose client is there, and those that wait for it.
    List(SessionListOptions),
    /// Ends a session, with its subscriptions and all that waits for it; its client is disconnected. Needs the admin token.
    End(SessionEnd),
}

/// Which gateway.
#[derive(Debug, Args)]
pub(crate) struct AdminOptions {
    /// Admin address of the gateway [default: [gateway] admin_listen].
    #[arg(long)]
    pub(crate) admin: Option<SocketAddr>,
    /// File with its admin token [default: [gateway] admin_token_file].
    #[arg(long, value_parser = path)]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// TOML file whose [gateway] section names both.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SessionListOptions {
    /// Only those of one identity.
    #[arg(long)]
    pub(crate) identity: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct SessionEnd {
    /// The client id of the session.
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
}

/// Does what was asked; false when there is no such session.
pub(crate) async fn run(options: &Session) -> anyhow::Result<bool> {
    match &options.command {
        SessionCommand::List(options) => list(options).await.map(|()| true),
        SessionCommand::End(options) => end(options).await,
    }
}

async fn ask(
    options: &AdminOptions,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let AdminOptions { admin, admin_token_file, config } = options;
    let (token_file, config) = (admin_token_file.as_deref(), config.as_deref());
    let asked = Asked { admin: *admin, token_file, config };
    let (_, status, body) = admin::ask(asked, method, path, body).await?;
    Ok((status, body))
}

async fn list(options: &SessionListOptions) -> anyhow::Result<()> {
    let query = options.identity.as_ref().map(|name| format!("?identity={name}"));
    let path = format!("/sessions{}", query.unwrap_or_default());
    let (status, body) = ask(&options.admin, Method::GET, &path, Bytes::new()).await?;
    ensure!(status == StatusCode::OK, "the gateway answered with {status}");
    let list: SessionList = serde_json::from_slice(&body).context("not the answer of a gateway")?;
    if options.format == Format::Json {
        return Ok(print::json(&list)?);
    }
    let number = |value: Option<usize>| value.map_or("-".into(), |it| print::grouped(it as u64));
    let rows = list.sessions.iter().map(|it| {
        vec![
            it.client_id.clone(),
            it.identity.clone(),
            if it.connected { "yes" } else { "no" }.into(),
            number(it.subscriptions),
            number(it.waiting),
            number(it.waiting_bytes),
            it.expires_in_s.map_or("-".into(), |seconds| format!("{} s", print::grouped(seconds))),
        ]
    });
    let header =
        ["client id", "identity", "connected", "subscriptions", "waiting", "bytes", "ends in"];
    print::columns(&header, &rows.collect::<Vec<_>>())?;
    if list.more > 0 {
        print::line(&format!("… and {} more: ask for one --identity", list.more))?;
    }
    Ok(())
}

async fn end(options: &SessionEnd) -> anyhow::Result<bool> {
    let body = serde_json::to_vec(&EndSession { client_id: options.client_id.clone() })?;
    let (status, said) = ask(&options.admin, Method::POST, "/sessions/end", body.into()).await?;
    match status {
        StatusCode::OK => print::line(&format!("the session of {} has ended", options.client_id))?,
        StatusCode::NOT_FOUND => print::line(&format!("{} has no session", options.client_id))?,
        _ => anyhow::bail!("{status}: {}", String::from_utf8_lossy(&said).trim()),
    }
    Ok(status == StatusCode::OK)
}
