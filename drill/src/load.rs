//! Simulated devices as a process, with a journal, and the audit of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::process::{Process, command};

/// How long an audit may take: ten million messages take about a minute.
const AUDIT_PATIENCE: Duration = Duration::from_secs(600);

/// What to play.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Names its files, its devices' site and its journal.
    pub(crate) name: String,
    /// `host:port`, or `http://…` of an agent.
    pub(crate) gateway: String,
    pub(crate) seed: u64,
    /// Messages a second; none: as fast as acknowledged.
    pub(crate) rate: Option<f64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) messages: Option<u64>,
    pub(crate) connections: u32,
    pub(crate) inflight: u16,
    /// `3.1.1` or `5`.
    pub(crate) mqtt: &'static str,
    pub(crate) malformed: f64,
    pub(crate) duplicates: f64,
    pub(crate) disconnect_every: u64,
    pub(crate) ehr: bool,
    /// Devices of each family that there are profiles for.
    pub(crate) families: u32,
    /// Share of messages with members that nobody knows.
    pub(crate) unknown_members: f64,
    /// Measure the time to the receipt.
    pub(crate) receipts: bool,
    /// A folder of FHIR resources to publish beside, one a message.
    pub(crate) fhir: Option<PathBuf>,
}

impl Plan {
    fn config(&self, journal: &Path) -> toml::Table {
        let mut simulator = toml::Table::new();
        let mut set = |key: &str, value: toml::Value| simulator.insert(key.to_owned(), value);
        set("gateway", self.gateway.clone().into());
        set("site", self.name.clone().into());
        set("seed", i64::try_from(self.seed).unwrap_or(i64::MAX).into());
        set("journal", journal.display().to_string().into());
        set("mqtt", self.mqtt.into());
        set("connections", i64::from(self.connections).into());
        set("inflight", i64::from(self.inflight).into());
        set("keep_alive_s", 5.into());
        set("drain_s", 120.0.into());
        set("receipts", self.receipts.into());
        if let Some(folder) = &self.fhir {
            set("fhir", folder.display().to_string().into());
        }
        let pace = match self.rate {
            Some(rate) => toml::Table::from_iter([("rate".to_owned(), rate.into())]).into(),
            None => "acknowledged".into(),
        };
        set("pace", pace);
        if let Some(seconds) = self.seconds {
            set("seconds", seconds.into());
        }
        if let Some(messages) = self.messages {
            set("messages", i64::try_from(messages).unwrap_or(i64::MAX).into());
        }
        let ward = toml::Table::from_iter([("ehr".to_owned(), self.ehr.into())]);
        set("ward", ward.into());
        let families = [
            ("each".to_owned(), i64::from(self.families).into()),
            // As often as monitors.
            ("interval_s".to_owned(), 5.0.into()),
        ];
        set("families", toml::Table::from_iter(families).into());
        let disorder = toml::Table::from_iter([
            ("malformed".to_owned(), self.malformed.into()),
            ("duplicates".to_owned(), self.duplicates.into()),
            ("unknown_members".to_owned(), self.unknown_members.into()),
            ("artefacts".to_owned(), true.into()),
            (
                "disconnect_every".to_owned(),
                i64::try_from(self.disconnect_every).unwrap_or(i64::MAX).into(),
            ),
        ]);
        set("disorder", disorder.into());
        toml::Table::from_iter([("simulator".to_owned(), simulator.into())])
    }
}

/// What `tidemark simulate` reports.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Summary {
    pub(crate) published: u64,
    pub(crate) resent: u64,
    pub(crate) deferred: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) cuts: u64,
    pub(crate) seconds: f64,
    pub(crate) publish_to_receipt: Percentiles,
    /// Messages that can never be taken.
    pub(crate) set_aside: Vec<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p99_ms: f64,
}

/// What `tidemark audit` reports.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) messages: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// A drill has a lake of its own: no other run explains a copy.
    pub(crate) other_run: u64,
    pub(crate) altered: u64,
    pub(crate) resent: u64,
    pub(crate) maybe_repeat: u64,
    pub(crate) unexplained: u64,
}

/// Devices that are playing, or have played.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) name: String,
    program: PathBuf,
    folder: PathBuf,
    process: Option<Process>,
    /// Lakes that its messages may be in, if not the scene's own.
    pub(crate) lake: Option<String>,
}

impl Load {
    pub(crate) fn start(program: &Path, folder: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let mut load = Self {
            name: plan.name.clone(),
            program: program.to_owned(),
            folder: folder.to_owned(),
            process: None,
            lake: None,
        };
        let config = load.file("toml");
        std::fs::write(&config, plan.config(&load.journal()).to_string())?;
        let arguments = ["simulate".as_ref(), "--format".as_ref(), "json".as_ref()];
        let mut start = command(program, arguments as [&std::ffi::OsStr; 3]);
        start.arg("--config").arg(&config);
        let (output, log) = (load.file("json"), load.file("log"));
        load.process = Some(Process::start_into(&plan.name, start, &output, &log)?);
        Ok(load)
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join(format!("{}-journal", self.name))
    }

    /// Whether the devices still play.
    pub(crate) fn plays(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::runs)
    }

    /// Lets the devices say no more than what is on its way.
    pub(crate) fn enough(&mut self) -> anyhow::Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::ask_to_stop)
    }

    /// Waits until the devices have nothing left to say and every acknowledgement.
    pub(crate) async fn finished(&mut self, patience: Duration) -> anyhow::Result<Summary> {
        if let Some(mut process) = self.process.take() {
            process.ended(patience).await?;
        }
        let text = std::fs::read(self.file("json"))?;
        let summary: Summary = serde_json::from_slice(&text)
            .with_context(|| format!("{} failed: see {}", self.name, self.file("log").display()))?;
        ensure!(
            summary.unacknowledged == 0,
            "{} messages of {} were never acknowledged",
            summary.unacknowledged,
            self.name
        );
        Ok(summary)
    }

    /// Compares its journal with the lake.
    pub(crate) async fn audit(
        &self,
        lake: &str,
        environment: &[(String, String)],
    ) -> anyhow::Result<Verdict> {
        let lake = self.lake.as_deref().unwrap_or(lake);
        let output = self.folder.join(format!("{}-audit.json", self.name));
        let mut audit = command(&self.program, ["audit", "--format", "json", "--lake", lake]);
        // Everything has come to rest: what is missing now is lost.
        audit.args(["--wait", "0"]).arg("--journal").arg(self.journal());
        audit.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start_into("audit", audit, &output, &self.file("log"))?;
        process.ended(AUDIT_PATIENCE).await?;
        let report = std::fs::read(&output)?;
        serde_json::from_slice(&report).with_context(|| {
            format!("the audit of {} failed: see {}", self.name, self.file("log").display())
        })
    }
}
