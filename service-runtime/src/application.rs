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
