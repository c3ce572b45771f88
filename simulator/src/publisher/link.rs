//! One live connection: a socket with its two buffers, connected at the MQTT level.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::dial::{Dial, Socket};
use super::mqtt::{Accepted, Codec, Hello, Incoming, MqttError};

/// Time for TCP, TLS and CONNACK together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a connection ended or never began.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("cannot reach the gateway")]
    Dial(#[source] io::Error),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the gateway closed the connection: {0}")]
    Closed(String),
    #[error("the gateway did not answer in time")]
    Silent,
    #[error("the gateway refused the connection: {reason}")]
    Refused { fatal: bool, reason: String },
    #[error("the gateway does not speak MQTT")]
    Protocol(#[from] MqttError),
    #[error("cut on purpose")]
    Cut,
}

impl LinkError {
    /// Whether the other side, or the way there, ended a connection that was up.
    pub(crate) fn is_from_outside(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Closed(_))
    }
}

/// A connected socket.
pub(crate) struct Link {
    pub(crate) codec: Codec,
    pub(crate) accepted: Accepted,
    reader: ReadHalf<Box<dyn Socket>>,
    writer: WriteHalf<Box<dyn Socket>>,
    incoming: BytesMut,
    /// Bytes to be written.
    pub(crate) out: BytesMut,
    /// What was written may still be with TLS.
    unflushed: bool,
}

impl Link {
    /// Dials and waits for CONNACK.
    pub(crate) async fn open(
        dial: &dyn Dial,
        codec: Codec,
        hello: &Hello<'_>,
    ) -> Result<Self, LinkError> {
        let opening = async {
            let (reader, writer) = tokio::io::split(dial.dial().await.map_err(LinkError::Dial)?);
            let accepted = Accepted { receive_max: 1, packet_told: None, keep_alive_s: None };
            let mut link = Self {
                codec,
                accepted,
                reader,
                writer,
                incoming: BytesMut::new(),
                out: BytesMut::new(),
                unflushed: false,
            };
            codec.connect(&mut link.out, hello)?;
            link.writer.write_all_buf(&mut link.out).await.map_err(LinkError::Broken)?;
            link.writer.flush().await.map_err(LinkError::Broken)?;
            loop {
                match link.next()? {
                    Some(Incoming::Connected(accepted)) => {
                        link.accepted = accepted;
                        return Ok(link);
                    }
                    Some(Incoming::NotConnected { fatal, reason }) => {
                        return Err(LinkError::Refused { fatal, reason });
                    }
                    Some(_) => {}
                    None => link.read().await?,
                }
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(LinkError::Silent))
    }

    /// The next packet that has already arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, LinkError> {
        match self.codec.decode(&mut self.incoming)? {
            Some(Incoming::Closed { reason }) => Err(LinkError::Closed(reason)),
            other => Ok(other),
        }
    }

    /// Waits for more bytes. Cancel safe.
    pub(crate) async fn read(&mut self) -> Result<(), LinkError> {
        heard(self.reader.read_buf(&mut self.incoming).await).map(drop)
    }

    /// Waits for more bytes or writes some of `out`, whichever is possible first; returns true if bytes arrived. Cancel safe.
    ///
    /// What the other side said before it cut the connection is heard, also if the cut is noticed by a write.
    pub(crate) async fn turn(&mut self) -> Result<bool, LinkError> {
        let cut = {
            let Self { reader, writer, incoming, out, unflushed, .. } = self;
            let has_to_write = !out.is_empty() || *unflushed;
            let write = async {
                if out.is_empty() {
                    writer.flush().await?;
                    *unflushed = false;
                } else if writer.write_buf(out).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                } else {
                    *unflushed = true;
                }
                Ok(())
            };
            tokio::select! {
                read = reader.read_buf(incoming) => return heard(read),
                written = write, if has_to_write => match written {
                    Ok(()) => return Ok(false),
                    Err(error) => error,
                },
            }
        };
        match self.reader.read_buf(&mut self.incoming).await {
            Ok(read) if read > 0 => Ok(true),
            _ => Err(LinkError::Broken(cut)),
        }
    }

    /// Says goodbye; how that ends does not matter any more.
    pub(crate) async fn close(mut self) {
        self.codec.disconnect(&mut self.out);
        let goodbye = async {
            let written = self.writer.write_all_buf(&mut self.out).await;
            written.and(self.writer.shutdown().await)
        };
        drop(tokio::time::timeout(Duration::from_secs(1), goodbye).await);
    }
}

/// What reading gave: true, for bytes.
fn heard(read: io::Result<usize>) -> Result<bool, LinkError> {
    match read {
        Ok(0) => Err(LinkError::Closed("end of stream".into())),
        Ok(_) => Ok(true),
        Err(error) => Err(LinkError::Broken(error)),
    }
}
