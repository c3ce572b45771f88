//! How a connection reaches the gateway: TCP or TLS.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;

use async_trait::async_trait;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::TlsFiles;

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
        Ok(Box::new(connect(&self.address).await?))
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // A single message must not wait for Nagle's algorithm.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS, with a client certificate if there is one.
pub(crate) struct Tls {
    address: String,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Tls {
    /// Connects to `host:port`; the server's certificate must be for that host.
    pub(crate) fn new(address: &str, files: &TlsFiles) -> anyhow::Result<Self> {
        let (host, _) = address.rsplit_once(':').context("the gateway is not host:port")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).context("the gateway's host is no name")?;
        let read = |path: &std::path::Path| {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(|all| all.collect::<Result<Vec<_>, _>>());
            certificates.with_context(|| format!("{} has no certificates in PEM", path.display()))
        };
        let ca_file = files.ca_file.as_deref().context("TLS needs ca_file")?;
        let mut roots = RootCertStore::empty();
        for certificate in read(ca_file)? {
            let unfit = || format!("{} has an unfit certificate", ca_file.display());
            roots.add(certificate).with_context(unfit)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match (&files.cert_file, &files.key_file) {
            (Some(cert), Some(key)) => {
                let unfit = || format!("{} has no private key in PEM", key.display());
                let key = PrivateKeyDer::from_pem_file(key).with_context(unfit)?;
                builder.with_client_auth_cert(read(cert)?, key).context("client certificate")?
            }
            _ => builder.with_no_client_auth(),
        };
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { address: address.to_owned(), name, connector })
    }
}

#[async_trait]
impl Dial for Tls {
    async fn dial(&self) -> io::Result<Box<dyn Socket>> {
        let stream = connect(&self.address).await?;
        Ok(Box::new(self.connector.connect(self.name.clone(), stream).await?))
    }
}
