//! How a connection reaches the gateway: the seam where TLS goes.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream of bytes in both directions.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Opens streams to the gateway.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Opens one.
    async fn dial(&self) -> io::Result<Box<dyn Socket>>;
}

/// Plain TCP.
#[derive(Debug, Clone)]
pub struct Tcp {
    address: String,
}

impl Tcp {
    /// Connects to `host:port`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned() }
    }
}

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self) -> io::Result<Box<dyn Socket>> {
        let stream = TcpStream::connect(&self.address).await?;
        // A single message must not wait for Nagle's algorithm.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
