//! The admin endpoint of a service: `/healthz`, `/readyz`, `/metrics` and what the service adds.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::net::TcpListener;

use crate::answer::Answer;
use crate::application::{Application, Proof, handed_over};
use crate::hosts::{Foreign, Hosts};
use crate::http::{self, Method, Request, Response, Room, StatusCode};
pub use crate::readiness::Readiness;
use crate::refusals::Refusals;
use crate::{Clock, Metrics, Stop, vitals};

/// Most connections at once, …
const OWN_MAX: usize = 64;
/// … and with an application, whose listeners stay.
const APPLICATION_MAX: usize = 256;
/// Largest body of a request.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What a service answers beyond the standard paths; `None` for unknown paths.
pub type Routes =
    Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Option<Response>> + Send>> + Send + Sync>;

/// What requests must carry as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

impl AdminToken {
    /// Reads a token from a file; spaces around it do not count.
    ///
    /// # Errors
    /// When the file cannot be read, or has fewer than 16 bytes: a token that can be guessed protects nothing.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the admin token {}", path.display()))?;
        let token = text.trim();
        ensure!(token.len() >= 16, "{}: an admin token has at least 16 bytes", path.display());
        Ok(Self(token.into()))
    }

    /// Returns the value of the header that carries it.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    fn admits(&self, authorization: Option<&str>) -> bool {
        let Some(offered) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
            return false;
        };
        // Takes as long whatever is wrong with it.
        let differs = offered.bytes().zip(self.0.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b));
        differs == 0 && offered.len() == self.0.len()
    }
}

/// Who may ask an admin endpoint.
#[derive(Debug, Clone, Default)]
pub struct AdminAccess {
    /// What everything but `/healthz` and `/readyz` needs. Without it the endpoint must be on loopback.
    pub token: Option<AdminToken>,
    /// The names that it answers to.
    pub hosts: Hosts,
}

impl AdminAccess {
    /// Checks the settings `admin_listen`, `admin_token_file` and `admin_hosts` without reading a file.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(
        listen: SocketAddr,
        token_file: Option<&PathBuf>,
        hosts: &[String],
    ) -> Result<(), String> {
        if !listen.ip().to_canonical().is_loopback() && token_file.is_none() {
            return Err(
                "admin_listen is not on loopback: set admin_token_file to a file with a token"
                    .into(),
            );
        }
        Hosts::new(hosts).map(|_| ()).map_err(|problem| format!("admin_hosts {problem}"))
    }

    /// Reads what those settings name.
    ///
    /// # Errors
    /// As [`Self::check`]; also when the token cannot be read or is too short.
    pub fn open(
        listen: SocketAddr,
        token_file: Option<&PathBuf>,
        hosts: &[String],
    ) -> anyhow::Result<Self> {
        Self::check(listen, token_file, hosts).map_err(anyhow::Error::msg)?;
        let token = token_file.map(|path| AdminToken::read(path)).transpose()?;
        Ok(Self { token, hosts: Hosts::new(hosts).map_err(anyhow::Error::msg)? })
    }
}

/// What an admin endpoint serves, and to whom.
#[derive(Clone)]
pub struct Endpoint {
    /// What `/metrics` says; requests that are refused are counted there too.
    pub metrics: Metrics,
    /// What `/readyz` says.
    pub readiness: Readiness,
    /// What the service adds; [`no_routes`] adds nothing.
    pub routes: Routes,
    /// Who is asked for every other path, also by those who have no token: it lets in whom it knows.
    pub application: Option<Application>,
    /// Who may ask.
    pub access: AdminAccess,
    /// Tells when a refusal is spoken of again.
    pub clock: Clock,
}

impl Endpoint {
    /// Tells what a request that may be answered has shown; else how it is refused, and why.
    fn admits(&self, request: &Request) -> Result<Proof, (&'static str, Response)> {
        let foreign = |foreign: Foreign| (foreign.reason(), foreign.response());
        self.access.hosts.check(request).map_err(foreign)?;
        let Some(token) = &self.access.token else { return Ok(Proof::NotNeeded) };
        if token.admits(request.authorization.as_deref()) {
            return Ok(Proof::Token);
        }
        let is_own = matches!(request.path.as_str(), "/healthz" | "/readyz");
        if is_own || (self.application.is_some() && request.path != "/metrics") {
            return Ok(Proof::Missing);
        }
        let problem = "this needs the admin token: Authorization: Bearer …\n";
        Err(("token", Response::text(StatusCode::UNAUTHORIZED, problem)))
    }

    async fn answer(&self, request: Request, proof: Proof) -> Answer {
        let response = match (&request.method, request.path.as_str()) {
            (&Method::GET, "/healthz") => Some(Response::text(StatusCode::OK, "ok\n")),
            (&Method::GET, "/readyz") => Some(self.readiness.response()),
            (&Method::GET, "/metrics") => Some(Response {
                status: StatusCode::OK,
                content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                body: self.metrics.render().into(),
            }),
            _ if proof == Proof::Missing => None,
            _ => (self.routes)(request.clone()).await,
        };
        let unknown = || {
            let problem = "unknown path: try /healthz, /readyz or /metrics\n";
            Answer::Whole(Response::text(StatusCode::NOT_FOUND, problem))
        };
        match (response, &self.application) {
            (Some(response), _) => response.into(),
            (None, None) => unknown(),
            (None, Some(application)) => match handed_over(request, proof) {
                Some(request) => Answer::Streamed(application(request).await),
                None => unknown(),
            },
        }
    }
}

/// Serves the admin endpoint until `stop`: to requests by its own names only, and, with a token, everything but `/healthz` and
/// `/readyz` to those who have it, or whom the application lets in.
///
/// # Errors
/// Never after it has started.
pub async fn serve(listener: TcpListener, endpoint: Endpoint, stop: Stop) -> anyhow::Result<()> {
    let refusals = Refusals::register(&endpoint.metrics, "admin", endpoint.clock);
    vitals::register(&endpoint.metrics, &endpoint.readiness, endpoint.clock);
    let connections_max = if endpoint.application.is_some() { APPLICATION_MAX } else { OWN_MAX };
    let room = Room { connections_max, body_bytes_max: BODY_BYTES_MAX };
    let (endpoint, speaking) = (Arc::new(endpoint), refusals.clone());
    let handler = move |request: Request| {
        let (endpoint, refusals) = (endpoint.clone(), refusals.clone());
        async move {
            let proof = match endpoint.admits(&request) {
                Ok(proof) => proof,
                Err((reason, response)) => {
                    refusals.note(reason, &response);
                    return Answer::Whole(response);
                }
            };
            let answer = endpoint.answer(request, proof).await;
            if matches!(&answer, Answer::Streamed(it) if it.status() == StatusCode::UNAUTHORIZED) {
                refusals.note_text("login", "neither the admin token nor a login that is known");
            }
            answer
        }
    };
    tokio::select! {
        served = http::serve_in(listener, room, handler, stop) => served,
        never = speaking.speak() => match never {},
    }
}

/// Returns routes that add nothing.
pub fn no_routes() -> Routes {
    Arc::new(|_| Box::pin(async { None }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            metrics: Metrics::default(),
            readiness: Readiness::default(),
            routes: no_routes(),
            application: None,
            access: AdminAccess::default(),
            clock: Clock::default(),
        }
    }

    /// Sends a request with these headers and returns the status line and the rest.
    async fn ask(address: SocketAddr, head: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("{head}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_its_own_names_are_answered_and_a_refusal_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
        let own = Endpoint {
            access: AdminAccess { token: None, hosts: Hosts::new(&["gw.example".into()]).unwrap() },
            ..endpoint()
        };
        let metrics = own.metrics.clone();
        let client = async {
            for (head, status) in [
                (format!("GET /metrics HTTP/1.1\r\nHost: {address}"), "200"),
                (format!("GET /metrics HTTP/1.1\r\nHost: localhost:{}", address.port()), "200"),
                ("GET /metrics HTTP/1.1\r\nHost: gw.example".into(), "200"),
                ("GET /metrics HTTP/1.0".into(), "200"),
                ("GET /metrics HTTP/1.1\r\nHost: evil.example".into(), "421"),
                ("GET /readyz HTTP/1.1\r\nHost: evil.example".into(), "421"),
                ("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost".into(), "421"),
                ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nHost: localhost".into(), "421"),
                (
                    "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example"
                        .into(),
                    "403",
                ),
            ] {
                let answer = ask(address, &head).await;
                let first = answer.lines().next().unwrap_or_default();
                assert!(first.contains(&format!(" {status} ")), "{head}: {answer}");
                assert!(status != "421" || answer.contains("admin_hosts"), "{answer}");
            }
            stop.cancel();
        };
        tokio::join!(serve(listener, own, stop.clone()), client).0.unwrap();
        let said = metrics.render();
        assert!(said.contains("admin_requests_refused_total{reason=\"host\"} 4"), "{said}");
        assert!(said.contains("admin_requests_refused_total{reason=\"origin\"} 1"), "{said}");
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        let token = PathBuf::from("/etc/tidemark/token");
        let check = |address: &str, token: Option<&PathBuf>| {
            AdminAccess::check(address.parse().unwrap(), token, &[])
        };
        for (address, is_local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.7:1", false),
        ] {
            assert_eq!(check(address, None).is_ok(), is_local, "{address}");
            assert!(check(address, Some(&token)).is_ok());
        }
        let bad = AdminAccess::check(([127, 0, 0, 1], 1).into(), None, &["http://x".into()]);
        assert!(bad.unwrap_err().starts_with("admin_hosts"));
    }

    #[tokio::test]
    async fn readiness_names_the_part_that_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, readiness) = (Stop::new(), Readiness::default());
        let get =
            |path| http::call(address, Method::GET, path, Bytes::new(), Duration::from_secs(5));
        let client = async {
            readiness.set("lake", Err("bucket not found".into()));
            assert_eq!(
                get("/readyz").await.unwrap(),
                (StatusCode::SERVICE_UNAVAILABLE, "lake: bucket not found\n".into())
            );
            readiness.set("lake", Ok(()));
            assert_eq!(get("/readyz").await.unwrap().0, StatusCode::OK);
            assert_eq!(get("/healthz").await.unwrap().0, StatusCode::OK);
            assert!(get("/metrics").await.unwrap().1.ends_with(b"# EOF\n"));
            assert_eq!(get("/x").await.unwrap().0, StatusCode::NOT_FOUND);
            stop.cancel();
        };
        let endpoint = Endpoint { readiness: readiness.clone(), ..endpoint() };
        let served = serve(listener, endpoint, stop.clone());
        tokio::join!(served, client).0.unwrap();
    }

    #[tokio::test]
    async fn a_token_opens_what_says_more_than_whether_the_service_lives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let token = AdminToken::read(&path).unwrap();
        let get = async |path, header: Option<&str>| {
            let patience = Duration::from_secs(5);
            let answer = http::call_as(address, header, Method::GET, path, Bytes::new(), patience);
            answer.await.unwrap().0
        };
        let client = async {
            assert_eq!(get("/healthz", None).await, StatusCode::OK);
            assert_eq!(get("/readyz", None).await, StatusCode::OK);
            let right = token.header();
            assert_eq!(get("/metrics", Some(&right)).await, StatusCode::OK);
            for wrong in
                [None, Some("Bearer "), Some("0123456789abcdef"), Some(&right[..right.len() - 1])]
            {
                assert_eq!(get("/metrics", wrong).await, StatusCode::UNAUTHORIZED, "{wrong:?}");
                assert_eq!(get("/status", wrong).await, StatusCode::UNAUTHORIZED);
            }
            stop.cancel();
        };
        let access = AdminAccess { token: Some(token.clone()), ..AdminAccess::default() };
        let served = serve(listener, Endpoint { access, ..endpoint() }, stop.clone());
        tokio::join!(served, client).0.unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(AdminToken::read(&path).is_err());
    }
}
