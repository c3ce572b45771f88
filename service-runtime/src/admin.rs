//! The admin endpoint of a service: `/healthz`, `/readyz`, `/metrics` and what the service adds.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Serves the admin endpoint until `stop`. It has no authentication: bind it to loopback.
///
/// # Errors
/// Never after it has started.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    routes: Routes,
    stop: Stop,
) -> anyhow::Result<()> {
    let handler = move |request: Request| {
        let (metrics, readiness, routes) = (metrics.clone(), readiness.clone(), routes.clone());
        async move {
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
            serve(listener, Metrics::default(), readiness.clone(), no_routes(), stop.clone());
        tokio::join!(served, client).0.unwrap();
    }
}
