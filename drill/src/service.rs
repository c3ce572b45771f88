//! A gateway, an agent or an ingest worker: its configuration, its process, its books.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde::Deserialize;
use service_runtime::http::{self, Method, StatusCode};

use crate::process::{LOOK_EVERY, Process, command};

/// How long a service may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(120);
/// How long a question on the admin address may take.
const ASK_PATIENCE: Duration = Duration::from_secs(5);

/// What a source says about itself; see `GET /status`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Books {
    pub(crate) source_id: String,
    pub(crate) epoch: String,
    pub(crate) accepted: u64,
    pub(crate) landed_messages: u64,
    pub(crate) pending: u64,
    pub(crate) dropped: u64,
    pub(crate) appended: u64,
    pub(crate) landed: u64,
    pub(crate) wrong_lake: Option<String>,
}

impl Books {
    /// INV-4.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.accepted == self.landed_messages + self.pending + self.dropped,
            "the books of {} do not balance: accepted {} is not landed {} + pending {} + dropped {}",
            self.source_id,
            self.accepted,
            self.landed_messages,
            self.pending,
            self.dropped
        );
        Ok(())
    }
}

/// A service under drill.
#[derive(Debug)]
pub(crate) struct Service {
    /// `gateway`, `agent` or `ingest`: the subcommand.
    kind: &'static str,
    pub(crate) name: String,
    program: PathBuf,
    folder: PathBuf,
    config: toml::Table,
    pub(crate) admin: SocketAddr,
    pub(crate) environment: Vec<(String, String)>,
    /// Runs the service below another program, such as `unshare`.
    pub(crate) wrapper: Option<Vec<String>>,
    process: Option<Process>,
}

impl Service {
    pub(crate) fn new(
        kind: &'static str,
        name: &str,
        program: &Path,
        folder: &Path,
        config: toml::Table,
        admin: SocketAddr,
    ) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            program: program.to_owned(),
            folder: folder.to_owned(),
            config,
            admin,
            environment: Vec::new(),
            wrapper: None,
            process: None,
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Where its configuration is, once it was started.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.name))
    }

    /// Changes a setting for the next start: `set("ingest", "lanes", …)`.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: impl Into<toml::Value>) {
        let section = self.config.entry(section).or_insert_with(|| toml::Table::new().into());
        if let Some(table) = section.as_table_mut() {
            table.insert(key.to_owned(), value.into());
        }
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        let ready = async {
            while !self.ready().await {
                let runs = self.process.as_mut().is_some_and(Process::runs);
                ensure!(runs, "{} ended at its start: see {}", self.name, self.log().display());
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        let ready = tokio::time::timeout(READY_PATIENCE, ready).await;
        ready.with_context(|| format!("{} is not ready after {READY_PATIENCE:?}", self.name))?
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name);
        let path = self.config_path();
        std::fs::write(&path, self.config.to_string())?;
        let arguments = [self.kind.as_ref(), "--config".as_ref(), path.as_os_str()];
        let mut start = match &self.wrapper {
            None => command(&self.program, arguments),
            Some(wrapper) => {
                let mut wrapped = Command::new(&wrapper[0]);
                wrapped.args(&wrapper[1..]).arg(&self.program).args(arguments);
                wrapped
            }
        };
        start.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(&self.name, start, &self.log())?);
        Ok(())
    }

    async fn ready(&self) -> bool {
        let answer =
            http::call(self.admin, Method::GET, "/readyz", Bytes::new(), ASK_PATIENCE).await;
        matches!(answer, Ok((StatusCode::OK, _)))
    }

    fn running(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }

    fn taken(&mut self) -> anyhow::Result<Process> {
        self.process.take().with_context(|| format!("{} does not run", self.name))
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::runs)
    }

    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.taken()?.kill()
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.taken()?.stop().await
    }

    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.running()?.pause()
    }

    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.running()?.resume()
    }

    pub(crate) fn memory_kb(&self) -> Option<u64> {
        self.process.as_ref()?.memory_kb()
    }

    /// The books of its source, which must balance; `None` if it does not answer.
    pub(crate) async fn answering(&self) -> anyhow::Result<Option<Books>> {
        let answer =
            http::call(self.admin, Method::GET, "/status", Bytes::new(), ASK_PATIENCE).await;
        let Ok((StatusCode::OK, body)) = answer else { return Ok(None) };
        let sources: Vec<Books> = serde_json::from_slice(&body)
            .with_context(|| format!("{} does not say its status", self.name))?;
        let books = sources.into_iter().next().context("a status without a source")?;
        books.check()?;
        Ok(Some(books))
    }

    /// The books of its source, which must answer.
    pub(crate) async fn books(&self) -> anyhow::Result<Books> {
        self.answering().await?.with_context(|| format!("{} does not answer", self.name))
    }

    /// The value of a metric, summed over its labels; 0 if there is none.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let answer =
            http::call(self.admin, Method::GET, "/metrics", Bytes::new(), ASK_PATIENCE).await;
        let (_, body) = answer.with_context(|| format!("{} does not answer", self.name))?;
        let text = String::from_utf8_lossy(&body);
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let values = lines.filter(|rest| rest.starts_with([' ', '{'])).filter_map(|rest| {
            let value = rest.rsplit(' ').next()?;
            value.split('.').next()?.parse::<u64>().ok()
        });
        Ok(values.sum())
    }

    /// How often its log says `words`.
    pub(crate) fn said(&self, words: &str) -> usize {
        let log = std::fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).matches(words).count()
    }
}
