//! Listens to the receipts of sources, whatever happens to the connection.

use std::sync::Arc;
use std::time::Duration;

use service_runtime::{Clock, Stop};
use telemetry_core::backoff::Backoff;
use telemetry_core::receipt::Receipt;
use tracing::debug;

use super::link::{Link, LinkError};
use super::mqtt::{Hello, Incoming};
use super::shared::Shared;

const KEEP_ALIVE_S: u16 = 30;
/// A ping is due so often, whatever comes in: the gateway asks for what we send.
const PING_EVERY: Duration = Duration::from_secs(KEEP_ALIVE_S as u64 / 2);

/// Listens to receipts until stopped; reconnects on its own, since receipts are retained.
pub(crate) async fn watch(
    shared: Arc<Shared>,
    client_id: String,
    filter: String,
    tracker: impl Fn(&Receipt, Duration),
    stop: Stop,
) {
    let Shared { dial, codec, clock, login, .. } = &*shared;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let hello = Hello {
        client_id: &client_id,
        login: login.as_ref(),
        keep_alive_s: KEEP_ALIVE_S,
        receipts: false,
    };
    let listening = async {
        loop {
            match Link::open(&**dial, *codec, &hello).await {
                Ok(mut link) => {
                    let ended = listen(&mut link, &filter, &tracker, (*clock, PING_EVERY)).await;
                    debug!(error = ?ended.err(), "receipts: connecting again");
                    backoff.reset();
                }
                Err(error) => debug!(%error, "receipts: cannot connect"),
            }
            // Jitter matters for fleets; this is one connection.
            tokio::time::sleep(backoff.delay(0)).await;
        }
    };
    tokio::select! {
        () = listening => {}
        () = stop.cancelled() => {}
    }
}

async fn listen(
    link: &mut Link,
    filter: &str,
    tracker: &impl Fn(&Receipt, Duration),
    (clock, ping_every): (Clock, Duration),
) -> Result<(), LinkError> {
    link.codec.subscribe(&mut link.out, filter)?;
    let mut pings = tokio::time::interval(ping_every);
    loop {
        tokio::select! {
            turned = link.turn() => {
                turned?;
            }
            _ = pings.tick() => link.codec.ping(&mut link.out),
        }
        while let Some(incoming) = link.next()? {
            if let Incoming::Published { payload } = incoming
                && let Ok(receipt) = Receipt::from_json(&payload)
            {
                tracker(&receipt, clock.uptime());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::dial::Tcp;
    use super::super::mqtt::Codec;
    use super::*;
    use crate::config::MqttVersion;

    /// Answers CONNECT and SUBSCRIBE, then sends receipts without a pause; returns once it was pinged twice.
    async fn busy_gateway(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 1024];
        assert!(stream.read(&mut seen).await.unwrap() > 0);
        stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let flood = async {
            loop {
                writer.write_all(b"\x30\x04\x00\x01r!").await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let pinged = async {
            let mut pings = 0;
            while pings < 2 {
                let read = reader.read(&mut seen).await.unwrap();
                pings += seen[..read].windows(2).filter(|two| *two == [0xc0, 0]).count();
            }
        };
        tokio::select! {
            () = flood => {}
            () = pinged => {}
        }
    }

    #[tokio::test]
    async fn it_pings_also_while_receipts_come_without_a_pause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dial = Tcp::new(&listener.local_addr().unwrap().to_string());
        let hello = Hello { client_id: "r", login: None, keep_alive_s: 30, receipts: false };
        let codec = Codec { version: MqttVersion::V311 };
        let listening = async {
            let mut link = Link::open(&dial, codec, &hello).await.unwrap();
            listen(&mut link, "r", &|_, _| {}, (Clock::default(), Duration::from_millis(20))).await
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it never pinged"),
            () = busy_gateway(listener) => {}
            ended = listening => panic!("{:?}", ended.err()),
        }
    }
}
