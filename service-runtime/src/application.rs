//! What an admin endpoint serves beside its own paths: an application of whatever framework, behind the endpoint's checks of hosts,
//! origins and the token.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;

use crate::answer::Body;
use crate::http::Request;

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = hyper::Response<Body>> + Send>>;
/// Answers every request for a path that the endpoint itself does not know. Who asks is the request's extension [`Caller`].
pub type Application = Arc<dyn Fn(hyper::Request<Full<Bytes>>) -> Answering + Send + Sync>;

/// What the endpoint knows of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Where from.
    pub peer: SocketAddr,
    /// What was shown.
    pub proof: Proof,
}

/// What somebody showed to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The admin token.
    Token,
    /// Nothing, and nothing is asked for: the endpoint is on loopback and has no token.
    NotNeeded,
    /// Nothing, or something that the endpoint does not know: only what the application itself lets in is answered.
    Missing,
}

/// Makes of a request what frameworks take.
pub(crate) fn handed_over(request: Request, proof: Proof) -> Option<hyper::Request<Full<Bytes>>> {
    let Request { method, path, query, headers, peer, body, .. } = request;
    let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
    let mut made = hyper::Request::builder().method(method).uri(uri).body(Full::new(body)).ok()?;
    *made.headers_mut() = headers;
    made.extensions_mut().insert(Caller { peer, proof });
    Some(made)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};
    use std::time::Duration;

    use http_body_util::BodyExt as _;
    use hyper::body::Frame;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::admin::{self, AdminAccess, AdminToken, Endpoint, Readiness};
    use crate::answer::BodyError;
    use crate::http::{self, Method, StatusCode};
    use crate::{Clock, Metrics, Stop};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Says something, and then nothing for ever.
    struct Endless(Option<Bytes>);

    impl hyper::body::Body for Endless {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            self.0.take().map_or(Poll::Pending, |said| Poll::Ready(Some(Ok(Frame::data(said)))))
        }
    }

    /// Says what was shown; `/endless` goes on for ever.
    fn application() -> Application {
        Arc::new(|request| {
            Box::pin(async move {
                let proof = request.extensions().get::<Caller>().unwrap().proof;
                let said = Bytes::from(format!("{proof:?} {}", request.uri()));
                let body = match request.uri().path() {
                    "/endless" => Endless(Some(said)).boxed_unsync(),
                    _ => Full::new(said).map_err(|never| match never {}).boxed_unsync(),
                };
                let status = match proof {
                    Proof::Missing => StatusCode::UNAUTHORIZED,
                    Proof::Token | Proof::NotNeeded => StatusCode::OK,
                };
                hyper::Response::builder().status(status).body(body).unwrap()
            })
        })
    }

    fn endpoint(token: Option<AdminToken>) -> Endpoint {
        Endpoint {
            metrics: Metrics::default(),
            readiness: Readiness::default(),
            routes: admin::no_routes(),
            application: Some(application()),
            access: AdminAccess { token, ..AdminAccess::default() },
            clock: Clock::default(),
        }
    }

    #[tokio::test]
    async fn an_application_is_asked_for_what_the_endpoint_does_not_know_and_told_what_was_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        let token = AdminToken::read(&path).unwrap();
        let right = token.header();
        for (token, header, proof, status) in [
            (None, None, "NotNeeded", StatusCode::OK),
            (Some(token.clone()), Some(right.as_str()), "Token", StatusCode::OK),
            (Some(token.clone()), Some("Bearer x"), "Missing", StatusCode::UNAUTHORIZED),
            (Some(token), None, "Missing", StatusCode::UNAUTHORIZED),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
            let endpoint = endpoint(token);
            let metrics = endpoint.metrics.clone();
            let get = async |path| {
                let get = http::call_as(address, header, Method::GET, path, Bytes::new(), PATIENCE);
                get.await.unwrap()
            };
            let client = async {
                assert_eq!(get("/healthz").await.1, "ok\n");
                assert_eq!(get("/x?y=1").await, (status, format!("{proof} /x?y=1").into()));
                let own = get("/metrics").await;
                assert_eq!(own.0, status, "what is the endpoint's own, the application never sees");
                assert!(!own.1.starts_with(proof.as_bytes()));
                stop.cancel();
            };
            tokio::join!(admin::serve(listener, endpoint, stop.clone()), client).0.unwrap();
            let told =
                metrics.render().contains("admin_requests_refused_total{reason=\"login\"} 1");
            assert_eq!(told, status == StatusCode::UNAUTHORIZED);
        }
    }

    #[tokio::test]
    async fn inv8_an_answer_that_goes_on_ends_with_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut read = String::new();
            while !read.contains("NotNeeded") {
                let mut some = [0; 1024];
                let length = stream.read(&mut some).await.unwrap();
                assert_ne!(length, 0, "{read}");
                read.push_str(std::str::from_utf8(&some[..length]).unwrap());
            }
            stop.cancel();
            stream.read_to_string(&mut read).await.unwrap();
            assert!(read.ends_with("0\r\n\r\n"), "it is whole: {read}");
        };
        let served = admin::serve(listener, endpoint(None), stop.clone());
        let both = async { tokio::join!(served, client).0.unwrap() };
        tokio::time::timeout(PATIENCE, both).await.unwrap();
    }
}
