//! A small S3 server for tests and drills: s3s-fs on a folder, with a put-if-absent that has one winner, and listings beside deletions.
//!
//! s3s-fs looks whether an object exists and then writes it, so two concurrent creations can both succeed; here puts of
//! one key queue up behind each other. It fails a listing when a file goes that it was about to look at; here it looks again. Not a
//! place for data: nothing is synced.
#![warn(missing_docs)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse};
use s3s_fs::FileSystem;
use service_runtime::Stop;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tracing::debug;

/// Access key of every server.
pub const ACCESS_KEY: &str = "tidemark";
/// Its secret.
pub const SECRET_KEY: &str = "tidemark-secret";
/// Keys are spread over so many queues.
const QUEUES: usize = 64;
/// Most connections at once; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 256;
/// How often a listing is made at most, until no file goes in its middle.
const LISTINGS_MAX: usize = 100;

/// How put-if-absent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// Exactly one of several concurrent creations succeeds, as in AWS S3 and MinIO.
    Atomic,
    /// Several may, as in s3s-fs itself: a store that must be refused.
    Racy,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The bucket's folder cannot be made, or the port cannot be had.
    #[error("cannot serve {} by S3", folder.display())]
    Io {
        /// The root folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// s3s-fs does not take the folder.
    #[error("cannot serve {} by S3: {reason}", folder.display())]
    Folder {
        /// The root folder.
        folder: PathBuf,
        /// Its words.
        reason: String,
    },
}

/// A server that has its port and does not answer yet.
pub struct S3Server {
    listener: TcpListener,
    address: SocketAddr,
    service: S3Service,
    creation: Creation,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl S3Server {
    /// Takes `address` (port 0: a free one) for a server whose buckets are the folders in `root`; makes `bucket`.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn bind(
        address: SocketAddr,
        root: &Path,
        bucket: &str,
        creation: Creation,
    ) -> Result<Self, ServerError> {
        let io = |source| ServerError::Io { folder: root.to_owned(), source };
        std::fs::create_dir_all(root.join(bucket)).map_err(io)?;
        let files = FileSystem::new(root).map_err(|error| ServerError::Folder {
            folder: root.to_owned(),
            reason: format!("{error:?}"),
        })?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind(address).await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        Ok(Self { listener, address, service: builder.build(), creation })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The environment of a client of this server.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        environment(self.address)
    }

    /// Serves until `stop`; open connections are closed then.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: Stop) -> std::io::Result<()> {
        let queues: Arc<Vec<Mutex<()>>> = Arc::new((0..QUEUES).map(|_| Mutex::default()).collect());
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            let (stream, _) = accepted?;
            // Answers are small and written in pieces: with Nagle's algorithm each would take 40 ms.
            stream.set_nodelay(true)?;
            let (service, creation, queues) = (self.service.clone(), self.creation, queues.clone());
            let slots = slots.clone();
            connections.spawn(async move {
                let Ok(_slot) = slots.acquire().await else { return };
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (service, queues) = (service.clone(), queues.clone());
                    async move {
                        let _turn = match creation {
                            Creation::Atomic if *request.method() == Method::PUT => {
                                Some(queues[queue_of(request.uri().path())].lock().await)
                            }
                            _ => None,
                        };
                        answer_of(&service, request).await
                    }
                });
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                if let Err(error) = served.await {
                    debug!(%error, "s3 connection ended");
                }
            });
        }
    }
}

async fn answer_of(
    service: &S3Service,
    request: Request<Incoming>,
) -> Result<HttpResponse, HttpError> {
    let asks = request.uri().query().unwrap_or_default();
    if *request.method() != Method::GET || !asks.contains("list-type=") {
        return service.call(request.map(Body::from)).await;
    }
    // A listing has no body.
    let (head, _) = request.into_parts();
    for _ in 1..LISTINGS_MAX {
        let answer = service.call(Request::from_parts(head.clone(), Body::empty())).await?;
        if answer.status() != StatusCode::INTERNAL_SERVER_ERROR {
            return Ok(answer);
        }
    }
    service.call(Request::from_parts(head, Body::empty())).await
}

/// The environment of a client of a server at `address`.
#[must_use]
pub fn environment(address: SocketAddr) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
    ]
}

fn queue_of(path: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    usize::try_from(hasher.finish() % QUEUES as u64).unwrap_or(0)
}
