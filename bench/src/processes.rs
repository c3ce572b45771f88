//! Child processes of a run: started with a config file, measured through `/proc`, stopped with SIGTERM.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use service_runtime::Clock;
use tokio::process::{Child, Command};

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Peak resident set.
    pub(crate) rss_mb: f64,
    /// Resident set now.
    pub(crate) now_kib: f64,
}

/// A child that is killed when dropped.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Part {
    /// Starts this program again in another role.
    pub(crate) fn start_self(
        name: &'static str,
        role: &str,
        folder: &Path,
        config: &Path,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(["serve", role]).arg(config);
        Self::start(name, command, folder)
    }

    /// Starts a program with its output in a log file.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = std::fs::File::create(&log)
            .with_context(|| format!("cannot create {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Returns what the process has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self
            .child
            .id()
            .with_context(|| format!("{} has ended: {}", self.name, self.log_tail()))?;
        usage_of(&pid.to_string())
    }

    /// Waits until a condition holds, failing when the process ends first.
    pub(crate) async fn until<F: Future<Output = bool>>(
        &mut self,
        what: &str,
        mut holds: impl FnMut() -> F,
    ) -> anyhow::Result<()> {
        for _ in 0..3000 {
            if holds().await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{} did not get to {what} within 30 s: {}", self.name, self.log_tail())
    }

    /// Returns the least resident memory within a time, in KiB.
    pub(crate) async fn least_kib_within(
        &mut self,
        time: Duration,
        clock: Clock,
    ) -> anyhow::Result<f64> {
        let end = clock.uptime() + time;
        let mut least = self.usage()?.now_kib;
        while clock.uptime() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
            least = least.min(self.usage()?.now_kib);
        }
        Ok(least)
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines()
            .rev()
            .take(5)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Asks the process to stop and waits for it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            let signalled = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
            if !signalled.success() {
                self.child.start_kill()?;
            }
        }
        let ended = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not stop", self.name))??;
        if !status.success() {
            bail!("{} ended with {status}: {}", self.name, self.log_tail());
        }
        Ok(())
    }
}

/// Returns a line of a process's memory in KiB: `VmHWM:` for its peak, `VmRSS:` for now.
fn memory_kib(status: &str, line: &str) -> f64 {
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_default();
    value.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Returns how many threads a process has, by its name in `/proc`.
pub(crate) fn threads(pid: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("cannot read /proc: this needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|number| number.trim().parse().ok()).context("unexpected /proc format")
}

/// Returns what a process has used, by its name in `/proc` (`self` for this one).
pub(crate) fn usage_of(pid: &str) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .context("cannot read /proc: this needs Linux")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    // Fields 14 and 15 of proc(5); the command name in field 2 may hold spaces, so count from its closing parenthesis.
    let after = stat.rsplit_once(')').context("unexpected /proc format")?.1;
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let (kib, now_kib) = (memory_kib(&status, "VmHWM:"), memory_kib(&status, "VmRSS:"));
    // USER_HZ is 100 on every Linux platform that Rust supports.
    Ok(Usage { cpu_seconds: ticks / 100.0, rss_mb: kib / 1024.0, now_kib })
}
