//! Asks a service at its admin address, with the token that goes with it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use service_runtime::admin::AdminToken;
use service_runtime::http::{self, Method, StatusCode};

use crate::config;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is asked, as options and configuration say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Else the configured gateway.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) token_file: Option<&'a Path>,
    pub(crate) config: Option<&'a Path>,
}

/// A service that can be asked again and again: its files are read once.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Where it is asked.
    pub(crate) address: SocketAddr,
    authorization: Option<String>,
}

impl Service {
    /// Finds out where it is, and reads the token that goes with it.
    pub(crate) fn new(asked: Asked<'_>) -> anyhow::Result<Self> {
        let configured = config::load(asked.config)?.gateway;
        let address = asked.admin.unwrap_or(configured.admin_listen);
        // The configured token is that gateway's: another service gets what it is given here.
        let own = asked.admin.is_none().then_some(configured.admin_token_file.as_deref()).flatten();
        let token = asked.token_file.or(own).map(AdminToken::read).transpose()?;
        Ok(Self { address, authorization: token.map(|token| token.header()) })
    }

    /// Asks it.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let header = self.authorization.as_deref();
        http::call_as(self.address, header, method, path, body, patience).await
    }
}

/// Asks, and returns who it was beside status and body.
pub(crate) async fn ask(
    asked: Asked<'_>,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<(SocketAddr, StatusCode, Bytes)> {
    let service = Service::new(asked)?;
    let address = service.address;
    let answer = service.ask(method, path, body, PATIENCE).await;
    let (status, body) = answer.with_context(|| {
        format!(
            "nobody answers at {address}: is the gateway running? --admin names another address"
        )
    })?;
    Ok((address, status, body))
}
