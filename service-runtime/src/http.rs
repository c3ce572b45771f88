//! A small HTTP/1.1 server and client over hyper: one handler, bounded bodies and connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use hyper::service::service_fn;
pub use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::debug;

use crate::Stop;
use crate::answer::Answer;
pub use crate::answer::Response;
use crate::places::{Place, Places};

/// Most connections at once, unless a server asks for more; beyond them the one gives way that has stood still longest.
const CONNECTIONS_MAX: usize = 64;
/// A client has this long to send a request's head.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// A client has this long to send a request's body.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A request with its whole body.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, ….
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, without `?`; empty when there is none.
    pub query: String,
    /// Whom it is for: the `Host` header, or the authority of an absolute URI.
    pub host: Option<String>,
    /// The site of the page that sends it: the `Origin` header.
    pub origin: Option<String>,
    /// What a browser says of the page that sends it: the `Sec-Fetch-Site` header, …
    pub fetch_site: Option<String>,
    /// … and of what it is for: `Sec-Fetch-Mode`.
    pub fetch_mode: Option<String>,
    /// The address that the connection came to, …
    pub local: SocketAddr,
    /// … and where it came from.
    pub peer: SocketAddr,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// How much a server takes.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Connections at once; beyond them the one gives way that has stood still longest.
    pub connections_max: usize,
    /// Bytes of a body; a larger one is answered with 413.
    pub body_bytes_max: usize,
}

/// Serves requests with `handler` until `stop`; bodies above `body_bytes_max` are answered with 413.
///
/// # Errors
/// Never after it has started; connections fail on their own.
pub async fn serve<H, F>(
    listener: TcpListener,
    body_bytes_max: usize,
    handler: H,
    stop: Stop,
) -> anyhow::Result<()>
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output: Into<Answer>> + Send + 'static,
{
    serve_in(listener, Room { connections_max: CONNECTIONS_MAX, body_bytes_max }, handler, stop)
        .await
}

/// As [`serve`], with room for more.
///
/// # Errors
/// As [`serve`].
pub async fn serve_in<H, F>(
    listener: TcpListener,
    room: Room,
    handler: H,
    stop: Stop,
) -> anyhow::Result<()>
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output: Into<Answer>> + Send + 'static,
{
    let (handler, body_bytes_max) = (Arc::new(handler), room.body_bytes_max);
    let places = Places::new(room.connections_max);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    debug!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            place = places.take() => Arc::new(place),
        };
        let (handler, stop) = (handler.clone(), stop.clone());
        let Ok(local) = stream.local_addr() else { continue };
        connections.spawn(async move {
            let stream = place.watch(stream);
            let (leave, own, ending) = (place.leave(), place.clone(), stop.clone());
            let service = service_fn(move |request| {
                let (handler, own, ending) = (handler.clone(), own.clone(), ending.clone());
                async move {
                    let answered = answer(request, (local, peer), body_bytes_max, (handler, own));
                    answered.await.until(&ending)
                }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            let connection = http
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME_MAX)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = leave.cancelled() => Ok(()),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "http connection ended");
            }
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn answer<H, F>(
    request: hyper::Request<Incoming>,
    (local, peer): (SocketAddr, SocketAddr),
    body_bytes_max: usize,
    (handler, place): (Arc<H>, Arc<Place>),
) -> Answer
where
    H: Fn(Request) -> F,
    F: Future<Output: Into<Answer>>,
{
    let (head, body) = request.into_parts();
    // A header that comes twice, or is no text, must not pass for one that is missing.
    let header = |name: HeaderName| {
        let mut values = head.headers.get_all(name).iter().map(|value| value.to_str());
        let first = values.next()?.unwrap_or("\u{fffd}").to_owned();
        Some(values.fold(first, |all, next| format!("{all}, {}", next.unwrap_or("\u{fffd}"))))
    };
    let body = tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, body_bytes_max).collect());
    match body.await.unwrap_or_else(|late| Err(late.into())) {
        Ok(body) => {
            let request = Request {
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                host: head
                    .uri
                    .authority()
                    .map(ToString::to_string)
                    .or_else(|| header(hyper::header::HOST)),
                origin: header(hyper::header::ORIGIN),
                fetch_site: header(FETCH_SITE),
                fetch_mode: header(FETCH_MODE),
                local,
                peer,
                authorization: header(hyper::header::AUTHORIZATION),
                content_type: header(hyper::header::CONTENT_TYPE),
                method: head.method,
                headers: head.headers,
                body: body.to_bytes(),
            };
            let _answering = place.answering();
            handler(request).await.into()
        }
        Err(_) => Answer::Whole(Response::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("body is larger than {body_bytes_max} bytes, was cut off, or took too long\n"),
        )),
    }
}

/// Sends one request and returns status and body. A body is sent as JSON.
///
/// # Errors
/// When nobody answers within `patience`, or not in HTTP.
pub async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    call_as(address, None, method, path, body, patience).await
}

/// As [`call`], with an `Authorization` header.
///
/// # Errors
/// As [`call`].
pub async fn call_as(
    address: SocketAddr,
    authorization: Option<&str>,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, address.to_string());
        if let Some(authorization) = authorization {
            request = request.header(hyper::header::AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(hyper::header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        let response = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            drop(sender);
            anyhow::Ok((status, body))
        };
        let (response, connection) = tokio::join!(response, connection);
        if let Err(error) = connection {
            debug!(%error, "http connection ended");
        }
        response
    };
    tokio::time::timeout(patience, exchange)
        .await
        .map_err(|_| anyhow::anyhow!("no answer from http://{address} within {patience:?}"))?
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn inv8_readers_that_read_nothing_and_writers_that_say_nothing_shut_nobody_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
        // More than sockets hold.
        let large = Bytes::from(vec![b'x'; 32 << 20]);
        let handler = move |request: Request| {
            let body = if request.path == "/large" { large.clone() } else { Bytes::new() };
            async move { Response { status: StatusCode::OK, content_type: "text/plain", body } }
        };
        let client = async {
            let mut stalled = Vec::new();
            for n in 0..2 * CONNECTIONS_MAX {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let head: &[u8] = match n % 3 {
                    0 => b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    1 => b"GET /lar",
                    _ => b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
                };
                stream.write_all(head).await.unwrap();
                stalled.push(stream);
            }
            for _ in 0..3 {
                let patience = Duration::from_secs(5);
                let answer = call(address, Method::GET, "/healthz", Bytes::new(), patience).await;
                assert_eq!(answer.unwrap().0, StatusCode::OK);
            }
            stop.cancel();
            drop(stalled);
        };
        tokio::join!(serve(listener, 1 << 20, handler, stop.clone()), client).0.unwrap();
    }

    #[tokio::test]
    async fn requests_are_answered_and_large_bodies_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::new();
        let echo = |request: Request| async move {
            Response::text(StatusCode::OK, format!("{} {}", request.path, request.body.len()))
        };
        let client = async {
            let patience = Duration::from_secs(5);
            let small = call(address, Method::POST, "/x", Bytes::from_static(b"abc"), patience)
                .await
                .unwrap();
            assert_eq!(small, (StatusCode::OK, Bytes::from_static(b"/x 3")));
            let large =
                call(address, Method::POST, "/x", vec![0; 100].into(), patience).await.unwrap();
            assert_eq!(large.0, StatusCode::PAYLOAD_TOO_LARGE);
            stop.cancel();
        };
        let (served, ()) = tokio::join!(serve(listener, 10, echo, stop.clone()), client);
        served.unwrap();
    }
}
