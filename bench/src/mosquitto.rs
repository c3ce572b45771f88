//! The peer: Debian's mosquitto with the same load and a subscriber that only counts.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use service_runtime::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::load::{self, Load, Wire};
use crate::processes::Part;

/// Starts mosquitto, persistence off and without limits that would make it drop or stall: as fast as it can be. `tls`: certificate
/// and key for a listener by TLS.
pub(crate) async fn start(
    folder: &Path,
    tls: Option<(&Path, &Path)>,
) -> anyhow::Result<(Part, SocketAddr)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = folder.join(format!("mosquitto-{port}.conf"));
    let tls = tls.map_or_else(String::new, |(cert, key)| {
        format!("certfile {}\nkeyfile {}\n", cert.display(), key.display())
    });
    let text = format!(
        "listener {port} 127.0.0.1\n{tls}allow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nlog_type error\n"
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new(
        which("mosquitto").context("mosquitto is not installed: apt-get install mosquitto")?,
    );
    command.arg("-c").arg(&config);
    let mut broker = Part::start("mosquitto", command, folder)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    broker.until("listening", || async move { TcpStream::connect(address).await.is_ok() }).await?;
    Ok((broker, address))
}

/// Runs the load through mosquitto and returns messages per second from the first publish to the last one received.
pub(crate) async fn run(load: &Load, folder: &Path, clock: Clock) -> anyhow::Result<f64> {
    let (broker, address) = start(folder, None).await?;
    let subscriber = subscribe(address, "counter").await?;
    let load = Load { address, ..load.clone() };
    let (sent, received) =
        tokio::join!(load::run(&load, clock), count(subscriber, load.messages, clock));
    let (sent, received) = (sent?, received?);
    broker.stop().await?;
    Ok(load.messages as f64 / (received - sent.started).as_secs_f64())
}

fn which(program: &str) -> Option<std::path::PathBuf> {
    // Debian installs servers where a user's PATH does not look.
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
}

/// Connects and subscribes to `dt/#` with QoS 0: the cheapest delivery there is.
pub(crate) async fn subscribe(address: SocketAddr, id: &str) -> anyhow::Result<Box<dyn Wire>> {
    let mut stream = load::connect(address, id, None).await?;
    stream.write_all(&[0x82, 9, 0, 1, 0, 4, b'd', b't', b'/', b'#', 0]).await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    ensure!(answer == [0x90, 3, 0, 1, 0], "the broker refused the subscription");
    Ok(stream)
}

/// Counts PUBLISH packets until all have come; returns when.
pub(crate) async fn count(
    mut stream: Box<dyn Wire>,
    messages: u64,
    clock: Clock,
) -> anyhow::Result<std::time::Duration> {
    let (mut buffer, mut have, mut seen) = (vec![0; 256 << 10], 0, 0);
    loop {
        let read = stream.read(buffer.get_mut(have..).unwrap_or_default()).await?;
        ensure!(read > 0, "the broker closed the subscriber's connection");
        have += read;
        let mut at = 0;
        while let Some(len) = packet_len(buffer.get(at..have).unwrap_or_default()) {
            at += len;
            seen += 1;
        }
        buffer.copy_within(at..have, 0);
        have -= at;
        if seen >= messages {
            return Ok(clock.uptime());
        }
    }
}

/// Returns the length of the packet at the start of `bytes` if it is whole.
fn packet_len(bytes: &[u8]) -> Option<usize> {
    let (mut remaining, mut shift) = (0, 0);
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        remaining |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let len = at + 1 + remaining;
            return (bytes.len() >= len).then_some(len);
        }
    }
    None
}
