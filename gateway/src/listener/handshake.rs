//! From an accepted socket to a client's stream of bytes: TLS and WebSocket, if the listener has them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::addresses::Place;
use super::config::Transport;
use super::stream::Stream;
use super::tls::Tls;
use super::ws;
use crate::access::certificate::{CertificateError, ClientCertificate};

/// Largest CONNECT: nobody has proved anything yet. A will and a token of 64 KiB each fit.
pub(crate) const CONNECT_BYTES_MAX: usize = 256 << 10;
/// Most bytes of a WebSocket until then: a CONNECT with its frames, behind the request.
const WS_BYTES_MAX: usize = CONNECT_BYTES_MAX + (64 << 10);

/// What connections of one listener have in common.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) transport: Transport,
    /// For the audit log, such as `tls 0.0.0.0:8883`.
    pub(crate) name: Arc<str>,
    /// Bound to loopback: only this machine reaches it.
    pub(crate) is_local: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) frame_bytes_max: usize,
}

/// A socket that nothing has been read from yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) place: Place,
}

/// A client that is about to send its CONNECT.
pub(crate) struct Arrived {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<str>,
    /// The listener is bound to loopback, and no web page is behind the connection: only then may it be anonymous.
    pub(crate) is_local: bool,
    pub(crate) certificate: Option<ClientCertificate>,
    /// Counted for the client's address as long as this lives.
    pub(crate) place: Place,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("client certificate")]
    Certificate(#[from] CertificateError),
    #[error("WebSocket handshake failed")]
    Ws(#[source] Box<tokio_tungstenite::tungstenite::Error>),
}

impl HandshakeError {
    /// The name for metrics and the audit log.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Tls(_) => "tls_handshake",
            Self::Certificate(_) => "client_certificate",
            Self::Ws(_) => "websocket_handshake",
        }
    }
}

/// Does the handshakes of the listener. It has no deadline of its own: the caller's is for this and the CONNECT together.
pub(crate) async fn handshake(accepted: Accepted) -> Result<Arrived, HandshakeError> {
    let Accepted { stream, peer, endpoint, place } = accepted;
    let bytes_max = (WS_BYTES_MAX, endpoint.frame_bytes_max);
    let (mut certificate, mut from_page) = (None, false);
    let stream = match (&endpoint.tls, endpoint.transport) {
        (Some(tls), transport) => {
            let secured = secure(tls, stream).await?;
            certificate = secured.1;
            match transport {
                Transport::Ws | Transport::Wss => {
                    let opened = ws::accept(secured.0, bytes_max).await.map_err(ws_error)?;
                    from_page = opened.from_page;
                    Stream::Wss(Box::new(opened.stream))
                }
                Transport::Tcp | Transport::Tls => Stream::Tls(Box::new(secured.0)),
            }
        }
        (None, Transport::Ws | Transport::Wss) => {
            let opened = ws::accept(stream, bytes_max).await.map_err(ws_error)?;
            from_page = opened.from_page;
            Stream::Ws(Box::new(opened.stream))
        }
        (None, Transport::Tcp | Transport::Tls) => Stream::Tcp(stream),
    };
    let is_local = endpoint.is_local && !from_page;
    Ok(Arrived { stream, peer, listener: endpoint.name.clone(), is_local, certificate, place })
}

async fn secure(
    tls: &Tls,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Option<ClientCertificate>), HandshakeError> {
    let stream = tls.acceptor().accept(stream).await.map_err(HandshakeError::Tls)?;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().map(ClientCertificate::read).transpose()?;
    Ok((stream, certificate))
}

fn ws_error(error: tokio_tungstenite::tungstenite::Error) -> HandshakeError {
    HandshakeError::Ws(Box::new(error))
}
