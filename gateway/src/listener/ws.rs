//! MQTT over WebSocket (MQTT 5 section 6): binary frames that together are one stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{self, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// Bytes that are read at once, and kept for reading while a connection idles.
const READ_BYTES: usize = 4 << 10;
/// Most bytes of a frame that we write.
const FRAME_BYTES: usize = 64 << 10;
/// Where clients find us.
const PATHS: [&str; 2] = ["/mqtt", "/"];
/// The sub-protocol of MQTT; and the name that clients of old give to it.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What carries a WebSocket. Until its client is known, so many bytes come through and no more: what a frame announces is gathered
/// before anything of it can be looked at.
#[derive(Debug)]
struct Carrier<S> {
    stream: S,
    left: Option<usize>,
}

/// The stream of bytes within a WebSocket.
pub(crate) struct WsStream<S> {
    socket: WebSocketStream<Carrier<S>>,
    /// What is left of a frame that has arrived.
    arrived: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// Returns what carries the WebSocket.
    pub(crate) fn socket(&self) -> &S {
        &self.socket.get_ref().stream
    }

    /// Its client has proved who it is: it may send as much as any.
    pub(crate) fn trust(&mut self) {
        self.socket.get_mut().left = None;
    }
}

/// A WebSocket that has been opened.
pub(crate) struct Opened<S> {
    pub(crate) stream: WsStream<S>,
    /// A browser opened it for a page.
    pub(crate) from_page: bool,
}

/// Answers the client's HTTP request. A frame of the client may have `frame_bytes_max` bytes; until [`WsStream::trust`] all that it
/// sends together `before_bytes_max`.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    (before_bytes_max, frame_bytes_max): (usize, usize),
) -> Result<Opened<S>, Error> {
    let stream = Carrier { stream, left: Some(before_bytes_max) };
    let mut from_page = false;
    #[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
    let answer = |request: &Request, response: Response| {
        from_page = request.headers().contains_key(ORIGIN);
        agree(request, response)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        // Each frame is written at once: it is the caller who gathers.
        .write_buffer_size(0)
        .max_write_buffer_size(4 * FRAME_BYTES)
        .max_frame_size(Some(frame_bytes_max))
        .max_message_size(Some(frame_bytes_max));
    let socket = accept_hdr_async_with_config(stream, answer, Some(config)).await?;
    Ok(Opened { stream: WsStream { socket, arrived: Bytes::new() }, from_page })
}

#[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if !PATHS.contains(&request.uri().path()) {
        return Err(refusal(StatusCode::NOT_FOUND, "MQTT is at /mqtt\n"));
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered =
        offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let Some(protocol) =
        offered.find_map(|name| PROTOCOLS.into_iter().find(|known| *known == name.trim()))
    else {
        return Err(refusal(StatusCode::BAD_REQUEST, "ask for the sub-protocol mqtt\n"));
    };
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    Ok(response)
}

fn refusal(status: StatusCode, text: &str) -> ErrorResponse {
    let mut response = http::Response::new(Some(text.to_owned()));
    *response.status_mut() = status;
    response
}

impl<S: AsyncRead + Unpin> AsyncRead for Carrier<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(buffer.filled().len() - before) else {
                let text = "too much for a client that nobody knows yet";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            };
            *left = rest;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Carrier<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.arrived.is_empty() {
                let count = self.arrived.len().min(buffer.remaining());
                buffer.put_slice(&self.arrived[..count]);
                self.arrived.advance(count);
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.arrived = bytes,
                // Text is an error by the standard, MQTT-6.0.0-1; a raw frame is never read.
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    let text = "a WebSocket frame that is not binary";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Ready means that the frame before has left: at most one is held.
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io_error)?;
        let bytes = &bytes[..bytes.len().min(FRAME_BYTES)];
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket).start_send(frame).map_err(io_error)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(io_error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests;
