//! A TCP proxy that misbehaves on request: cuts, stalls, delays, throttles, flips bits, or never answers.
//!
//! The trouble can change while connections are open. Both directions suffer alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service_runtime::Stop;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::progress::Counter;
use crate::seeded::Stream;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// Most connections at once; further ones are closed.
const CONNECTIONS_MAX: usize = 1024;
/// Bits are left alone so far into a direction of a connection: a subscription that the broker misread could not be
/// noticed by anybody.
const SOUND_BYTES: u64 = 4096;

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Open connections are closed and new ones refused.
    Cut,
    /// Connections stay open and carry nothing, as if a cable had been pulled.
    HalfOpen,
    /// Bytes arrive late by so much.
    Delay(Duration),
    /// At most so many bytes a second in each direction of a connection.
    Throttle(u32),
    /// One bit of about so many bytes is flipped.
    Corrupt(u32),
    /// New connections are accepted and never answered; open ones go on.
    Mute,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections closed or refused on purpose.
    pub cut: Counter,
    /// Bits flipped.
    pub flipped: Counter,
    /// Bytes passed on.
    pub bytes: Counter,
}

/// The handle of a running proxy.
#[derive(Debug, Clone)]
pub struct TcpFaults {
    address: SocketAddr,
    trouble: watch::Sender<Trouble>,
    counts: Arc<Counts>,
}

impl TcpFaults {
    /// Where clients connect instead of upstream.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// From now on this is wrong; [`Trouble::None`] mends it. Connections that were half open are closed when mended,
    /// because what they missed is gone.
    pub fn set(&self, trouble: Trouble) {
        self.trouble.send_replace(trouble);
    }
}

/// A proxy that has its port and does not run yet.
#[derive(Debug)]
pub struct TcpProxy {
    listener: TcpListener,
    upstream: SocketAddr,
    seed: u64,
    faults: TcpFaults,
}

impl TcpProxy {
    /// Takes a free port on loopback for a proxy of `upstream`. `seed` decides which bits flip.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn bind(upstream: SocketAddr, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let faults = TcpFaults {
            address: listener.local_addr()?,
            trouble: watch::Sender::default(),
            counts: Arc::default(),
        };
        Ok(Self { listener, upstream, seed, faults })
    }

    /// The handle to trouble it with.
    #[must_use]
    pub fn faults(&self) -> TcpFaults {
        self.faults.clone()
    }

    /// Passes connections on until `stop`, then closes them.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: Stop) -> std::io::Result<()> {
        let mut connections = JoinSet::new();
        let mut number = 0_u64;
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            let (client, _) = accepted?;
            self.faults.counts.connections.add(1);
            if connections.len() >= CONNECTIONS_MAX {
                continue;
            }
            number += 1;
            let carrier = Carrier {
                trouble: self.faults.trouble.subscribe(),
                counts: self.faults.counts.clone(),
                seed: self.seed,
                number,
            };
            connections.spawn(carrier.connection(client, self.upstream));
        }
    }
}

/// Carries one connection.
#[derive(Clone)]
struct Carrier {
    trouble: watch::Receiver<Trouble>,
    counts: Arc<Counts>,
    seed: u64,
    number: u64,
}

impl Carrier {
    async fn connection(mut self, client: TcpStream, upstream: SocketAddr) {
        let trouble = *self.trouble.borrow_and_update();
        match trouble {
            Trouble::Cut => {
                self.counts.cut.add(1);
                return;
            }
            Trouble::Mute | Trouble::HalfOpen => {
                // Held open until the trouble is over.
                self.changed().await;
                self.counts.cut.add(1);
                return;
            }
            _ => {}
        }
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
            return;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (up, down) = (self.clone(), self.clone());
        // Whichever direction ends takes the connection with it.
        tokio::select! {
            () = up.carry("up", from_client, to_server) => {}
            () = down.carry("down", from_server, to_client) => {}
            () = self.until_cut() => self.counts.cut.add(1),
        }
    }

    /// Returns when this connection must go: it is cut, or was half open and is mended.
    async fn until_cut(&mut self) {
        let mut before = *self.trouble.borrow_and_update();
        loop {
            if before == Trouble::Cut {
                return;
            }
            let now = self.changed().await;
            if before == Trouble::HalfOpen && now != Trouble::HalfOpen {
                return;
            }
            before = now;
        }
    }

    /// Waits for other trouble; for ever when the proxy is gone, which ends the connection anyway.
    async fn changed(&mut self) -> Trouble {
        match self.trouble.changed().await {
            Ok(()) => *self.trouble.borrow_and_update(),
            Err(_) => std::future::pending().await,
        }
    }

    async fn carry(mut self, direction: &str, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let id = format!("{}-{direction}", self.number);
        let mut random = Stream::new(self.seed, "tcp", &id, "bits");
        let mut buffer = vec![0; CHUNK];
        let (mut carried, mut next_flip) = (0_u64, None);
        loop {
            let read = match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => read,
            };
            let Some(chunk) = buffer.get_mut(..read) else { return };
            let trouble = *self.trouble.borrow_and_update();
            match trouble {
                Trouble::HalfOpen => {
                    // What was read is lost, like everything until the connection is closed.
                    std::future::pending::<()>().await;
                }
                Trouble::Delay(delay) => tokio::time::sleep(delay).await,
                Trouble::Throttle(rate) => {
                    let seconds = read as f64 / f64::from(rate.max(1));
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                }
                Trouble::Corrupt(every) => {
                    let flipped = flip(chunk, carried, &mut next_flip, every, &mut random);
                    self.counts.flipped.add(flipped);
                }
                Trouble::None | Trouble::Cut | Trouble::Mute => {}
            }
            carried += read as u64;
            if to.write_all(chunk).await.is_err() {
                return;
            }
            self.counts.bytes.add(read as u64);
        }
    }
}

/// Flips the bits that are due in `chunk`, whose first byte is number `at` of its direction. Returns how many.
fn flip(chunk: &mut [u8], at: u64, next: &mut Option<u64>, every: u32, random: &mut Stream) -> u64 {
    let mut flipped = 0;
    let distance = |random: &mut Stream| 1 + random.below(2 * u64::from(every.max(1)));
    let mut due = next.unwrap_or_else(|| at.max(SOUND_BYTES) + distance(random));
    while due < at + chunk.len() as u64 {
        let byte = due.checked_sub(at).and_then(|index| usize::try_from(index).ok());
        if let Some(byte) = byte.and_then(|index| chunk.get_mut(index)) {
            *byte ^= 1 << random.below(8);
            flipped += 1;
        }
        due = due.max(at) + distance(random);
    }
    *next = Some(due);
    flipped
}

#[cfg(test)]
mod tests {
    use service_runtime::Tasks;

    use super::*;

    /// An echo server behind a proxy.
    async fn behind_proxy() -> (TcpFaults, Tasks) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpProxy::bind(listener.local_addr().unwrap(), 7).await.unwrap();
        let faults = proxy.faults();
        let mut tasks = Tasks::new(Stop::new());
        let stop = tasks.stop();
        tasks.spawn("proxy", async move { Ok(proxy.run(stop).await?) });
        let stop = tasks.stop();
        tasks.spawn("echo", async move {
            let mut echoes = JoinSet::new();
            loop {
                let (stream, _) = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    accepted = listener.accept() => accepted?,
                };
                echoes.spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        (faults, tasks)
    }

    async fn echo(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(bytes).await?;
        let mut answer = vec![0; bytes.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    async fn ended(tasks: Tasks) {
        tasks.stop().cancel();
        tasks.join(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn a_cut_closes_what_is_open_and_refuses_what_comes_until_it_is_mended() {
        let (faults, tasks) = behind_proxy().await;
        let mut stream = TcpStream::connect(faults.address()).await.unwrap();
        assert_eq!(echo(&mut stream, b"hello").await.unwrap(), b"hello");
        faults.set(Trouble::Cut);
        assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(faults.address()).await.unwrap();
        assert!(matches!(refused.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        faults.set(Trouble::None);
        let mut again = TcpStream::connect(faults.address()).await.unwrap();
        assert_eq!(echo(&mut again, b"hello").await.unwrap(), b"hello");
        assert_eq!(faults.counts().cut.get(), 2);
        ended(tasks).await;
    }

    #[tokio::test]
    async fn a_half_open_connection_is_silent_and_then_closed() {
        let (faults, tasks) = behind_proxy().await;
        let mut stream = TcpStream::connect(faults.address()).await.unwrap();
        echo(&mut stream, b"hello").await.unwrap();
        faults.set(Trouble::HalfOpen);
        stream.write_all(b"lost").await.unwrap();
        let silence =
            tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 1])).await;
        assert!(silence.is_err(), "neither an answer nor an end");
        faults.set(Trouble::None);
        assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        ended(tasks).await;
    }

    #[tokio::test]
    async fn bits_flip_after_the_handshake_and_are_counted() {
        let (faults, tasks) = behind_proxy().await;
        faults.set(Trouble::Corrupt(1000));
        let mut stream = TcpStream::connect(faults.address()).await.unwrap();
        let sent = vec![0; 4096];
        let first = echo(&mut stream, &sent).await.unwrap();
        assert_eq!(first, sent, "the first bytes are left alone");
        let mut flipped = 0;
        for _ in 0..10 {
            let answer = echo(&mut stream, &sent).await.unwrap();
            flipped += answer.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
        }
        assert!(flipped > 10, "{flipped}");
        assert_eq!(flipped, faults.counts().flipped.get());
        ended(tasks).await;
    }

    #[tokio::test]
    async fn a_mute_proxy_accepts_and_says_nothing() {
        let (faults, tasks) = behind_proxy().await;
        faults.set(Trouble::Mute);
        let mut stream = TcpStream::connect(faults.address()).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), echo(&mut stream, b"x"));
        assert!(silence.await.is_err());
        ended(tasks).await;
    }
}
