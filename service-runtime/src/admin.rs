//! The admin endpoint of a service: `/healthz`, `/readyz`, `/metrics` and what the service adds.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use tokio::net::TcpListener;

use crate::http::{self, Method, Request, Response, StatusCode};
use crate::{Metrics, Stop};

/// What a service answers beyond the standard paths; `None` for unknown paths.
pub type Routes =
    Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Option<Response>> + Send>> + Send + Sync>;

/// Whether each part of a process can do its work, by name.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
}

impl Readiness {
    /// Says how a part is: `Ok` when it can work, else why not.
    pub fn set(&self, part: &'static str, state: Result<(), String>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, state);
    }

    /// Tells whether every part can work.
    pub fn is_ready(&self) -> bool {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).values().all(Result::is_ok)
    }

    fn response(&self) -> Response {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: String = parts
            .iter()
            .map(|(part, state)| match state {
                Ok(()) => format!("{part}: ready\n"),
                Err(reason) => format!("{part}: {reason}\n"),
            })
            .collect();
        let ready = parts.values().all(Result::is_ok);
        Response::text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
    }
}

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

/// Serves the admin endpoint until `stop`. With a token everything but `/healthz` and `/readyz` needs it; without one bind it to
/// loopback.
///
/// # Errors
/// Never after it has started.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    routes: Routes,
    token: Option<AdminToken>,
    stop: Stop,
) -> anyhow::Result<()> {
    let handler = move |request: Request| {
        let (metrics, readiness, routes) = (metrics.clone(), readiness.clone(), routes.clone());
        let for_all = matches!(request.path.as_str(), "/healthz" | "/readyz");
        let admitted = for_all
            || token.as_ref().is_none_or(|token| token.admits(request.authorization.as_deref()));
        async move {
            if !admitted {
                return Response::text(
                    StatusCode::UNAUTHORIZED,
                    "this needs the admin token: Authorization: Bearer …\n",
                );
            }
            match (&request.method, request.path.as_str()) {
                (&Method::GET, "/healthz") => Response::text(StatusCode::OK, "ok\n"),
                (&Method::GET, "/readyz") => readiness.response(),
                (&Method::GET, "/metrics") => Response {
                    status: StatusCode::OK,
                    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    body: metrics.render().into(),
                },
                _ => routes(request).await.unwrap_or_else(|| {
                    Response::text(
                        StatusCode::NOT_FOUND,
                        "unknown path: try /healthz, /readyz or /metrics\n",
                    )
                }),
            }
        }
    };
    http::serve(listener, 64 << 10, handler, stop).await
}

/// Returns routes that add nothing.
pub fn no_routes() -> Routes {
    Arc::new(|_| Box::pin(async { None }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

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
        let served =
            serve(listener, Metrics::default(), readiness.clone(), no_routes(), None, stop.clone());
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
        let (metrics, token) = (Metrics::default(), Some(token.clone()));
        let served =
            serve(listener, metrics, Readiness::default(), no_routes(), token, stop.clone());
        tokio::join!(served, client).0.unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(AdminToken::read(&path).is_err());
    }
}
