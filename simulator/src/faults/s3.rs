//! A proxy before an S3 store that misbehaves on request: errors before or after a write took effect, lost answers,
//! lateness, an outage.
//!
//! It passes requests on with their `Host`, so that signatures stay valid.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::http::response::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use service_runtime::{Clock, Stop};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

use super::s3_listing;
use crate::progress::Counter;
use crate::seeded::Stream;

/// Largest body in either direction.
const BODY_MAX: usize = 512 << 20;
/// Most connections at once; further ones are closed.
const CONNECTIONS_MAX: usize = 512;
/// Most keys whose age is remembered, for listings that lag.
const KEYS_MAX: usize = 100_000;

/// What is wrong with the store. Shares are in percent of the requests that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreTrouble {
    /// Nothing.
    #[default]
    None,
    /// Connections are closed at once.
    Down,
    /// Every request is answered with 503.
    Busy,
    /// So many writes are answered with 500 and not done.
    FailBefore(u8),
    /// So many writes are done and answered with 500.
    FailAfter(u8),
    /// So many writes are done and never answered: the connection closes.
    LoseAnswer(u8),
    /// Each answer takes so much longer.
    Slow(Duration),
    /// Listings do not show objects that are younger than this.
    ListLate(Duration),
    /// Every write is answered with 403.
    ReadOnly,
    /// Every write is answered with 507.
    Full,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct StoreCounts {
    /// Requests that came.
    pub requests: Counter,
    /// Requests that were not treated as the store would have.
    pub troubled: Counter,
}

/// The handle of a running proxy.
#[derive(Debug, Clone)]
pub struct S3Faults {
    address: SocketAddr,
    trouble: watch::Sender<StoreTrouble>,
    counts: Arc<StoreCounts>,
}

impl S3Faults {
    /// Where clients connect instead of the store.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> &StoreCounts {
        &self.counts
    }

    /// From now on this is wrong; [`StoreTrouble::None`] mends it.
    pub fn set(&self, trouble: StoreTrouble) {
        self.trouble.send_replace(trouble);
    }
}

/// A proxy that has its port and does not run yet.
#[derive(Debug)]
pub struct S3Proxy {
    listener: TcpListener,
    faults: S3Faults,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    clock: Clock,
    random: Mutex<Stream>,
    /// When keys were written, in uptime.
    written: Mutex<HashMap<String, Duration>>,
    counts: Arc<StoreCounts>,
    trouble: watch::Receiver<StoreTrouble>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Answer(StatusCode),
    PassThenAnswer(StatusCode),
    PassThenClose,
    Close,
}

impl S3Proxy {
    /// Takes a free port on loopback for a proxy of the store at `upstream`. `seed` decides which requests suffer.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn bind(upstream: SocketAddr, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (sender, trouble) = watch::channel(StoreTrouble::None);
        let counts = Arc::new(StoreCounts::default());
        let faults =
            S3Faults { address: listener.local_addr()?, trouble: sender, counts: counts.clone() };
        let state = State {
            upstream,
            clock: Clock::default(),
            random: Mutex::new(Stream::new(seed, "s3", "proxy", "requests")),
            written: Mutex::default(),
            counts,
            trouble,
        };
        Ok(Self { listener, faults, state: Arc::new(state) })
    }

    /// The handle to trouble it with.
    #[must_use]
    pub fn faults(&self) -> S3Faults {
        self.faults.clone()
    }

    /// Passes requests on until `stop`, then closes its connections.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: Stop) -> std::io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            let (client, _) = accepted?;
            if connections.len() < CONNECTIONS_MAX {
                connections.spawn(connection(client, self.state.clone()));
            }
        }
    }
}

/// Serves one connection until it ends, or a fate closes it.
async fn connection(client: TcpStream, state: Arc<State>) {
    let close = Stop::new();
    let service = service_fn(|request| {
        let (state, close) = (state.clone(), close.clone());
        async move {
            match state.serve(request).await {
                Ok(Some(response)) => Ok::<_, Infallible>(response),
                Ok(None) => {
                    close.cancel();
                    // The connection is dropped before this could be answered.
                    std::future::pending().await
                }
                Err(error) => {
                    debug!(error = format!("{error:#}"), "the store behind the proxy fails");
                    Ok(answer(StatusCode::BAD_GATEWAY))
                }
            }
        }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            debug!(%error, "connection to the proxy ended");
        },
        () = close.cancelled() => {}
    }
}

impl State {
    /// The answer; `None` closes the connection.
    async fn serve(
        &self,
        request: Request<Incoming>,
    ) -> anyhow::Result<Option<Response<Full<Bytes>>>> {
        self.counts.requests.add(1);
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        let trouble = *self.trouble.borrow();
        let writes = head.method != Method::GET && head.method != Method::HEAD;
        let fate = self.fate(trouble, writes);
        if fate != Fate::Pass {
            self.counts.troubled.add(1);
        }
        if let Fate::Answer(status) = fate {
            return Ok(Some(answer(status)));
        }
        if fate == Fate::Close {
            return Ok(None);
        }
        let path = s3_listing::decoded(head.uri.path());
        let lists = head.method == Method::GET
            && head.uri.query().is_some_and(|query| query.contains("list-type=2"));
        let (mut head, mut body) =
            self.upstream(Request::from_parts(head, Full::new(body))).await?;
        if writes && head.status.is_success() {
            self.remember(&path);
        }
        match (fate, trouble) {
            (Fate::PassThenAnswer(status), _) => return Ok(Some(answer(status))),
            (Fate::PassThenClose, _) => return Ok(None),
            (_, StoreTrouble::Slow(delay)) => {
                self.counts.troubled.add(1);
                tokio::time::sleep(delay).await;
            }
            (_, StoreTrouble::ListLate(age)) if lists => {
                head.headers.remove(hyper::header::CONTENT_LENGTH);
                body = self.late(&body, path.trim_end_matches('/'), age);
            }
            _ => {}
        }
        Ok(Some(Response::from_parts(head, Full::new(body))))
    }

    fn fate(&self, trouble: StoreTrouble, writes: bool) -> Fate {
        let hit = |percent: u8| {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            writes && random.below(100) < u64::from(percent)
        };
        match trouble {
            StoreTrouble::Down => Fate::Close,
            StoreTrouble::Busy => Fate::Answer(StatusCode::SERVICE_UNAVAILABLE),
            StoreTrouble::ReadOnly if writes => Fate::Answer(StatusCode::FORBIDDEN),
            StoreTrouble::Full if writes => Fate::Answer(StatusCode::INSUFFICIENT_STORAGE),
            StoreTrouble::FailBefore(share) if hit(share) => {
                Fate::Answer(StatusCode::INTERNAL_SERVER_ERROR)
            }
            StoreTrouble::FailAfter(share) if hit(share) => {
                Fate::PassThenAnswer(StatusCode::INTERNAL_SERVER_ERROR)
            }
            StoreTrouble::LoseAnswer(share) if hit(share) => Fate::PassThenClose,
            _ => Fate::Pass,
        }
    }

    async fn upstream(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(Parts, Bytes)> {
        let stream = TcpStream::connect(self.upstream).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            drop(sender);
            anyhow::Ok((head, body))
        };
        let (answered, connection) = tokio::join!(exchange, connection);
        if let Err(error) = connection {
            debug!(%error, "connection to the store ended");
        }
        answered
    }

    fn remember(&self, path: &str) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() < KEYS_MAX {
            written.insert(path.to_owned(), self.clock.uptime());
        }
    }

    /// A listing of `bucket` without what is younger than `age`.
    fn late(&self, listing: &[u8], bucket: &str, age: Duration) -> Bytes {
        let now = self.clock.uptime();
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |key: &str| {
            let at = written.get(&format!("{bucket}/{key}"));
            at.is_some_and(|at| now.saturating_sub(*at) < age)
        };
        let text = String::from_utf8_lossy(listing);
        let shown = s3_listing::without(&text, young);
        if shown.len() != text.len() {
            self.counts.troubled.add(1);
        }
        shown.into()
    }
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE => "SlowDown",
        StatusCode::FORBIDDEN => "AccessDenied",
        StatusCode::INSUFFICIENT_STORAGE => "XMinioStorageFull",
        _ => "InternalError",
    };
    let body = format!("<Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use service_runtime::Tasks;
    use service_runtime::http;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A store that counts the writes it has done, behind a proxy.
    async fn behind_proxy() -> (S3Faults, Arc<Counter>, Tasks) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = S3Proxy::bind(listener.local_addr().unwrap(), 7).await.unwrap();
        let (faults, writes) = (proxy.faults(), Arc::new(Counter::default()));
        let mut tasks = Tasks::new(Stop::new());
        let stop = tasks.stop();
        tasks.spawn("proxy", async move { Ok(proxy.run(stop).await?) });
        let (done, stop) = (writes.clone(), tasks.stop());
        let store = move |request: http::Request| {
            let done = done.clone();
            async move {
                if request.method == Method::PUT {
                    done.add(1);
                }
                let listing = "<Contents><Key>a=1</Key></Contents>";
                http::Response::text(StatusCode::OK, listing)
            }
        };
        tasks.spawn("store", http::serve(listener, 1 << 20, store, stop));
        (faults, writes, tasks)
    }

    async fn put(faults: &S3Faults) -> anyhow::Result<StatusCode> {
        let body = Bytes::from_static(b"x");
        Ok(http::call(faults.address(), Method::PUT, "/b/a%3D1", body, PATIENCE).await?.0)
    }

    #[tokio::test]
    async fn each_trouble_does_to_a_write_what_it_says() {
        let (faults, writes, tasks) = behind_proxy().await;
        let cases = [
            (StoreTrouble::None, Some(200), 1),
            (StoreTrouble::Down, None, 0),
            (StoreTrouble::Busy, Some(503), 0),
            (StoreTrouble::FailBefore(100), Some(500), 0),
            (StoreTrouble::FailAfter(100), Some(500), 1),
            (StoreTrouble::LoseAnswer(100), None, 1),
            (StoreTrouble::Slow(Duration::from_millis(1)), Some(200), 1),
            (StoreTrouble::ReadOnly, Some(403), 0),
            (StoreTrouble::Full, Some(507), 0),
            (StoreTrouble::FailAfter(0), Some(200), 1),
        ];
        for (trouble, status, written) in cases {
            let before = writes.get();
            faults.set(trouble);
            let answer = put(&faults).await.ok().map(|status| status.as_u16());
            assert_eq!((answer, writes.get() - before), (status, written), "{trouble:?}");
        }
        tasks.stop().cancel();
        tasks.join(PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn a_late_listing_hides_what_was_just_written() {
        let (faults, _, tasks) = behind_proxy().await;
        let list = async || {
            let path = "/b?list-type=2&prefix=";
            let listed =
                http::call(faults.address(), Method::GET, path, Bytes::new(), PATIENCE).await;
            String::from_utf8(listed.unwrap().1.to_vec()).unwrap()
        };
        faults.set(StoreTrouble::ListLate(Duration::from_secs(3600)));
        assert!(list().await.contains("a=1"), "it was not written through the proxy");
        put(&faults).await.unwrap();
        assert!(!list().await.contains("a=1"));
        faults.set(StoreTrouble::ListLate(Duration::ZERO));
        assert!(list().await.contains("a=1"));
        tasks.stop().cancel();
        tasks.join(PATIENCE).await.unwrap();
    }
}
