//! A client's stream of bytes, whatever carries it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::ws::WsStream;

/// A client's stream of bytes. What was written has left only after a flush.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Ws(Box<WsStream<TcpStream>>),
    Wss(Box<WsStream<TlsStream<TcpStream>>>),
}

impl Stream {
    /// Its client has proved who it is: limits for those who have not end.
    pub(crate) fn trust(&mut self) {
        match self {
            Self::Tcp(_) | Self::Tls(_) => {}
            Self::Ws(framed) => framed.trust(),
            Self::Wss(framed) => framed.trust(),
        }
    }

    /// Waits until a read may find something. Only of plain TCP is that known without a read.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            // Of an error the read will tell.
            Self::Tcp(socket) => socket.poll_read_ready(cx).map(drop),
            Self::Tls(_) | Self::Ws(_) | Self::Wss(_) => Poll::Ready(()),
        }
    }

    /// Tells the peer's TCP at once that its bytes have come. A peer that gathers small writes (Nagle's algorithm) waits for that
    /// before it sends the next one, and the kernel would wait 40 ms for an answer to send it along with.
    pub(crate) fn acknowledge_now(&self) {
        let socket = match self {
            Self::Tcp(socket) => socket,
            Self::Tls(secured) => secured.get_ref().0,
            Self::Ws(framed) => framed.socket(),
            Self::Wss(framed) => framed.socket().get_ref().0,
        };
        #[cfg(target_os = "linux")]
        // A socket that cannot is slower, and breaks at the next read if it is broken.
        drop(socket.set_quickack(true));
        #[cfg(not(target_os = "linux"))]
        let _ = socket;
    }
}

macro_rules! on_each {
    ($stream:expr, $each:ident => $do:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($each) => $do,
            Stream::Tls($each) => $do,
            Stream::Ws($each) => $do,
            Stream::Wss($each) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_each!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
