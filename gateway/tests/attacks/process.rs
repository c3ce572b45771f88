//! A gateway in a process of its own, whose memory can be told from that of the tests.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::wire::PATIENCE;
use crate::wire::free_address::free_address;

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Process {
    /// Starts it with settings for `[gateway.limits]`.
    pub(crate) async fn with_limits(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let (config, spool) = (folder.path().join("gateway.toml"), folder.path().join("spool"));
        let spool = spool.display();
        let text = format!(
            "[gateway]\nlisten = \"{address}\"\nadmin_listen = \"127.0.0.1:0\"\n\
             [gateway.spool]\ndir = \"{spool}\"\nbytes_max = 67108864\nwhen_full = \"drop_oldest\"\n\
             [gateway.limits]\n{limits}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Self { child: command.spawn().unwrap(), address, _folder: folder };
        let listening = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listening).await.expect("the gateway listens");
        process
    }

    /// Returns the resident memory in KiB; `None` where the system does not tell.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which some test has told.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
