//! One child process: started, watched, signalled, and never left behind.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How often the state of another process is looked at: no event announces it.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a process gets to end after it was asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(180);

/// A running child. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = appended(log)?;
        command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
        Self::spawn(name, command, log)
    }

    /// Starts `command` with its standard output in `output`, the rest in `log`.
    pub(crate) fn start_into(
        name: &str,
        mut command: Command,
        output: &Path,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::create(output).with_context(|| output.display().to_string())?;
        command.stdin(Stdio::null()).stderr(appended(log)?).stdout(output);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// `kill -9`, and waits until it is gone; one that is dead already is fine.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        if self.runs() {
            self.signal(Signal::KILL)?;
        }
        self.child.wait()?;
        Ok(())
    }

    /// Stops it in the middle of whatever it does, until [`Process::resume`].
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to stop, as an operator does; one that has ended already is fine.
    pub(crate) fn ask_to_stop(&mut self) -> anyhow::Result<()> {
        if self.runs() { self.signal(Signal::TERM) } else { Ok(()) }
    }

    /// Asks it to stop and waits until it has ended well.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.ask_to_stop()?;
        self.ended_well(STOP_PATIENCE).await
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let end = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    return anyhow::Ok(status);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(patience, end).await {
            Ok(status) => status,
            Err(_) => bail!("{} has not ended within {patience:?}", self.name),
        }
    }

    /// Waits for it to end by itself, with success.
    pub(crate) async fn ended_well(mut self, patience: Duration) -> anyhow::Result<()> {
        let status = self.ended(patience).await?;
        ensure!(status.success(), "{} ended with {status}: see {}", self.name, self.log.display());
        Ok(())
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its own memory in kB (resident, without the pages of the program file, which `tidemark` has many of and
    /// `edge-agent` few), where `/proc` tells.
    pub(crate) fn memory_kb(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn appended(log: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open {}", log.display()))
}

/// A command of the program under drill.
pub(crate) fn command<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
