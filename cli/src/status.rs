//! `tidemark status`: how far sources are.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use ingest::status::IngestStatus;
use lake::{Catalog, LakeConfig, OpenMode, SourceBooks};
use serde::{Deserialize, Serialize};
use service_runtime::Clock;
use service_runtime::config::expand_home;
use service_runtime::counts::Groups;
use service_runtime::http::{Method, StatusCode};
use store_forward::status::SourceStatus;

use crate::admin::{self, Asked};
use crate::options::{Format, path};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Admin address of a running gateway, agent or ingest [default: [gateway] admin_listen].
    #[arg(long, conflicts_with = "lake")]
    pub(crate) admin: Option<SocketAddr>,
    /// File with its admin token, if it has one [default: [gateway] admin_token_file].
    #[arg(long, value_parser = path)]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// TOML file whose [gateway] section names the admin address.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
    /// Ask the lake instead: all its sources, as of their last landing.
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// One source's books as the lake knows them: as of its last frame that landed.
#[derive(Serialize)]
struct LakeSource {
    source_id: String,
    epoch: String,
    /// Messages accepted by then; absent if whoever landed them did not say.
    accepted: Option<u64>,
    landed_messages: u64,
    pending: Option<u64>,
    dropped: u64,
    /// Of the landed: messages that became dead letters, wholly or partly.
    dead_letters: u64,
    /// Offset below which everything has landed.
    landed: u64,
    landed_at_us: Option<i64>,
}

impl From<SourceBooks> for LakeSource {
    fn from(books: SourceBooks) -> Self {
        Self {
            source_id: books.key.source_id,
            epoch: format!("{:016x}", books.key.epoch),
            accepted: books.appended,
            landed_messages: books.landed.saturating_sub(books.dropped),
            pending: books.appended.map(|appended| appended.saturating_sub(books.landed)),
            dropped: books.dropped,
            dead_letters: books.dead_letters,
            landed: books.landed,
            landed_at_us: books.landed_at_us,
        }
    }
}

/// What a service says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Answer {
    /// A gateway or an agent: the books of its sources.
    Sources(Vec<SourceStatus>),
    Ingest(IngestStatus),
}

/// Asks a running gateway or agent, or a lake.
pub(crate) async fn run(options: &Status) -> anyhow::Result<()> {
    match &options.lake {
        Some(url) => of_lake(url, options.format).await,
        None => of_service(options).await,
    }
}

async fn of_service(options: &Status) -> anyhow::Result<()> {
    let asked = Asked {
        admin: options.admin,
        token_file: options.admin_token_file.as_deref(),
        config: options.config.as_deref(),
    };
    let (admin, status, body) = admin::ask(asked, Method::GET, "/status", Bytes::new()).await?;
    ensure!(status == StatusCode::OK, "{admin} answered with {status}");
    let answer: Answer =
        serde_json::from_slice(&body).context("not the answer of a gateway, an agent or ingest")?;
    if options.format == Format::Json {
        return Ok(print::json(&answer)?);
    }
    match answer {
        Answer::Sources(sources) => books(&sources),
        Answer::Ingest(ingest) => {
            print::line(&format!("ingest {} at {}", ingest.worker, ingest.broker))?;
            counts(&ingest.counts)
        }
    }
}

/// Prints the books of sources, and what their process counts.
fn books(sources: &[SourceStatus]) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = sources
        .iter()
        .map(|source| {
            let number = |value: u64| print::grouped(value);
            vec![
                source.source_id.clone(),
                source.epoch.clone(),
                number(source.accepted),
                number(source.landed_messages),
                number(source.pending),
                number(source.dropped),
                number(source.synced),
                number(source.sent),
                number(source.lag),
                waiting(source),
                source.window.map_or("-".into(), number),
                number(source.spool_bytes),
                if source.connected { "yes" } else { "no" }.into(),
            ]
        })
        .collect();
    let header = [
        "source",
        "epoch",
        "accepted",
        "landed",
        "pending",
        "dropped",
        "synced",
        "sent",
        "lag",
        "oldest pending",
        "window",
        "spool bytes",
        "connected",
    ];
    print::columns(&header, &rows)?;
    for source in sources {
        counts(&source.counts)?;
        if let Some(lake) = &source.wrong_lake {
            let bound = source.lake_id.as_deref().unwrap_or("none");
            print::line(&format!(
                "{}: bound to lake {bound}, but lake {lake} answers: see `tidemark source rebind`",
                source.source_id
            ))?;
        }
    }
    Ok(())
}

/// Prints what a process has refused, dropped or given up on, a line for each group.
fn counts(groups: &Groups) -> anyhow::Result<()> {
    for (group, reasons) in groups {
        let total = print::grouped(reasons.values().sum());
        let each =
            reasons.iter().map(|(reason, count)| format!("{reason} {}", print::grouped(*count)));
        let each = each.collect::<Vec<_>>().join(", ");
        print::line(&format!("{} since the start: {total} ({each})", group.replace('_', " ")))?;
    }
    Ok(())
}

/// How long the oldest pending message has been waiting.
fn waiting(source: &SourceStatus) -> String {
    match source.oldest_pending_us {
        Some(_) => format!("{:.1} s", source.lag_seconds),
        None => "-".into(),
    }
}

async fn of_lake(url: &str, format: Format) -> anyhow::Result<()> {
    let lake =
        config::open(&LakeConfig::at(&expand_home(url)), OpenMode::Read, &Catalog::builtin())
            .await?;
    let mut books = lake.books().await?;
    books.retain(|books| !lake::is_own(&books.key.source_id));
    let sources: Vec<LakeSource> = books.into_iter().map(Into::into).collect();
    if format == Format::Json {
        return Ok(print::json(&sources)?);
    }
    let now_us = Clock::default().now_us();
    let rows: Vec<Vec<String>> = sources
        .into_iter()
        .map(|source| {
            let number = |value: Option<u64>| value.map_or("-".into(), print::grouped);
            let ago = |at: i64| format!("{} s ago", now_us.saturating_sub(at).max(0) / 1_000_000);
            vec![
                source.source_id,
                source.epoch,
                number(source.accepted),
                print::grouped(source.landed_messages),
                number(source.pending),
                print::grouped(source.dropped),
                print::grouped(source.dead_letters),
                source.landed_at_us.map_or("-".into(), ago),
            ]
        })
        .collect();
    let header = [
        "source",
        "epoch",
        "accepted",
        "landed",
        "pending",
        "dropped",
        "dead letters",
        "last landing",
    ];
    Ok(print::columns(&header, &rows)?)
}
