//! Starts `tidemark` processes on free ports and temporary folders.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tidemark() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidemark"))
}

pub(crate) fn free_port() -> u16 {
    drill::free_address().unwrap().port()
}

/// A folder with a configuration whose ports are free.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) mqtt: u16,
    pub(crate) admin: u16,
}

impl Site {
    /// `extra` is appended to the configuration.
    pub(crate) fn new(extra: &str) -> Self {
        let site =
            Self { folder: tempfile::tempdir().unwrap(), mqtt: free_port(), admin: free_port() };
        let root = site.folder.path();
        let config = format!(
            "[log]\nlevel = \"info\"\n[lake]\nurl = {:?}\n[gateway]\nlisten = \"127.0.0.1:{}\"\nadmin_listen = \"127.0.0.1:{}\"\ndrain_seconds = 60\n[gateway.spool]\ndir = {:?}\n[ingest]\nadmin_listen = \"127.0.0.1:0\"\nflush_age_ms = 300\nbroker = \"127.0.0.1:{}\"\n{extra}",
            root.join("lake"),
            site.mqtt,
            site.admin,
            root.join("spool"),
            site.mqtt,
        );
        std::fs::write(site.config(), config).unwrap();
        site
    }

    /// As [`Site::new`], with an agent that may send what is below `dt/w`, for who starts it: it finds the gateway, and its spool lies
    /// beside the others. Returns its admin port and that of its HTTP input, too.
    pub(crate) fn with_agent(extra: &str) -> (Self, u16, u16) {
        let (admin, input) = (free_port(), free_port());
        let site = Self::new(extra);
        let mut config = std::fs::read_to_string(site.config()).unwrap();
        config.push_str(&format!(
            "[ingest.sources]\ngateway = [\"#\"]\nagent = [\"dt/w/#\"]\n[agent]\nadmin_listen = \"127.0.0.1:{admin}\"\n[agent.inputs]\nhttp_listen = \"127.0.0.1:{input}\"\n[agent.gateway]\nport = {}\n[agent.spool]\ndir = {:?}\n",
            site.mqtt,
            site.folder.path().join("agent-spool")
        ));
        std::fs::write(site.config(), config).unwrap();
        (site, admin, input)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("tidemark.toml")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// Starts a service and waits until its admin endpoint says ready.
    pub(crate) fn start(&self, service: &str, admin: u16) -> Process {
        let mut command = tidemark();
        command.arg(service).arg("--config").arg(self.config());
        let process = Process::start(command, &self.folder.path().join(format!("{service}.log")));
        wait_for(&format!("{service} to be ready"), || ready(admin));
        process
    }

    pub(crate) fn up(&self) -> Process {
        self.start("up", self.admin)
    }

    /// Returns a `tidemark simulate` command against this site, with a journal.
    pub(crate) fn simulate(&self, arguments: &[&str]) -> Command {
        let mut command = tidemark();
        command
            .args(["simulate", "--format", "json", "--gateway"])
            .arg(format!("127.0.0.1:{}", self.mqtt));
        command.arg("--journal").arg(self.journal()).args(arguments);
        command
    }

    /// Audits the lake; fails the test unless it passes.
    pub(crate) fn audit(&self) -> Value {
        let mut command = tidemark();
        command
            .args(["audit", "--format", "json", "--journal"])
            .arg(self.journal())
            .arg("--config")
            .arg(self.config());
        let output = command.output().unwrap();
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        assert!(output.status.success(), "{report:#}");
        report
    }

    pub(crate) fn tables(&self) -> Vec<Value> {
        let output = tidemark()
            .args(["tables", "--format", "json", "--config"])
            .arg(self.config())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Returns the rows of a table.
    pub(crate) fn rows(&self, table: &str) -> u64 {
        let tables = self.tables();
        tables.iter().find(|found| found["table"] == table).unwrap()["rows"].as_u64().unwrap()
    }

    /// Returns the gateway's own books.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice::<Value>(&get(self.admin, "/status").unwrap()).unwrap()[0].clone()
    }

    /// Waits until everything that the gateway accepted has landed.
    pub(crate) fn wait_landed(&self) {
        wait_for("everything to land", || {
            let status = self.status();
            status["landed"] == status["appended"]
        });
    }
}

pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A child process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to stop, as an operator does, and waits for it to end well.
    pub(crate) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait_for("the process to end", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// Looks at it, then stops it. Returns what was seen, and its log.
    pub(crate) fn stop_after<T>(self, look: impl FnOnce() -> T) -> (T, String) {
        let seen = look();
        (seen, self.stop())
    }

    /// Waits for it to end by itself, well.
    pub(crate) fn finish(mut self) -> String {
        wait_for("the process to end", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// What /proc says of it, in parts that end with a zero.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn proc(&self, what: &str) -> Vec<String> {
        let text = std::fs::read(format!("/proc/{}/{what}", self.child.id())).unwrap();
        text.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into()).collect()
    }

    /// Its environment, as it was started with.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub(crate) fn environment(&self) -> Vec<String> {
        self.proc("environ")
    }

    /// Its name and arguments.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub(crate) fn arguments(&self) -> Vec<String> {
        self.proc("cmdline")
    }

    /// Resident memory in kB, where /proc tells.
    pub(crate) fn rss_kb(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
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

/// Polls a condition that no event announces: the state of another process.
#[expect(clippy::disallowed_methods, reason = "a test's own clock")]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn ready(admin: u16) -> bool {
    get(admin, "/readyz").is_some()
}

/// A GET; the whole answer, whatever it says.
pub(crate) fn answer(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A GET whose answer must be 200; `None` otherwise.
pub(crate) fn get(port: u16, path: &str) -> Option<Vec<u8>> {
    request(port, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
}

pub(crate) fn post(port: u16, path: &str, body: &str) -> Option<Vec<u8>> {
    request(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn request(port: u16, request: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    answer.starts_with(b"HTTP/1.1 200").then(|| answer.split_off(end + 4))
}
