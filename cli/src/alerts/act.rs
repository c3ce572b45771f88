//! What people do to alerts: `tidemark alerts ack` and `silence`, by the API of a running ingest.

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;
use service_runtime::http::{Method, StatusCode};
use watch::AlertId;

use crate::admin::{self, Asked};
use crate::print;
use crate::session::AdminOptions;

#[derive(Debug, Args)]
pub(crate) struct Acknowledge {
    /// The alert, as `alerts list` has it.
    pub(crate) alert: AlertId,
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Silence {
    /// The alert, as `alerts list` has it.
    pub(crate) alert: AlertId,
    /// For how long nobody wants to hear of it, such as 2h.
    #[arg(long = "for")]
    pub(crate) span: String,
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
}

/// Why it is refused.
#[derive(Debug, Deserialize)]
struct Refused {
    error: String,
}

pub(super) async fn acknowledge(options: &Acknowledge) -> anyhow::Result<bool> {
    let path = format!("/api/v1/alerts/{}/acknowledge", options.alert);
    post(&options.admin, &path, "{}".into()).await?;
    print::line("acknowledged: the step is in the lake")?;
    Ok(true)
}

pub(super) async fn silence(options: &Silence) -> anyhow::Result<bool> {
    let path = format!("/api/v1/alerts/{}/silence", options.alert);
    let body = serde_json::json!({ "for": options.span }).to_string();
    post(&options.admin, &path, body.into()).await?;
    print::line(&format!("silenced for {}: the step is in the lake", options.span))?;
    Ok(true)
}

async fn post(options: &AdminOptions, path: &str, body: Bytes) -> anyhow::Result<()> {
    let asked = Asked {
        admin: options.admin,
        token_file: options.admin_token_file.as_deref(),
        config: options.config.as_deref(),
    };
    let (admin, status, answer) = admin::ask(asked, Method::POST, path, body).await?;
    if status == StatusCode::OK {
        return Ok(());
    }
    let refused: Refused = serde_json::from_slice(&answer)
        .with_context(|| format!("{admin} answered with {status}: is it a gateway with ingest?"))?;
    bail!("{admin}: {}", refused.error)
}
