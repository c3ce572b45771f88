//! A client that sends whatever bytes a test wants and shows every packet of the server.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::build::{self, Connect, Publish, Subscribe};
use super::packet::{Message, Packet};
use super::property::Properties;
use super::{PATIENCE, TestGateway, Version};

/// A connected client.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// What came while something else was waited for.
    held: VecDeque<Packet>,
    pub(crate) version: Version,
    /// What the CONNACK said.
    pub(crate) present: bool,
    pub(crate) offer: Properties,
}

impl Client {
    /// Connects and is accepted.
    pub(crate) async fn connect(gateway: &TestGateway, connect: Connect) -> Self {
        Self::connect_to(gateway.address, connect).await
    }

    pub(crate) async fn connect_to(address: SocketAddr, connect: Connect) -> Self {
        let mut client = Self::open(address, connect.version).await;
        client.send(&connect.bytes()).await;
        match client.packet().await {
            Packet::ConnAck { present, code: 0, properties } => {
                (client.present, client.offer) = (present, properties);
            }
            other => panic!("instead of a CONNACK that accepts: {other:?}"),
        }
        client
    }

    /// Connects and is refused; returns the code and the connection.
    pub(crate) async fn refused(gateway: &TestGateway, connect: Connect) -> (u8, Self) {
        let mut client = Self::open(gateway.address, connect.version).await;
        client.send(&connect.bytes()).await;
        match client.packet().await {
            Packet::ConnAck { present: false, code, .. } => (code, client),
            other => panic!("instead of a CONNACK: {other:?}"),
        }
    }

    /// Opens a connection and says nothing.
    pub(crate) async fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (input, held) = (Vec::new(), VecDeque::new());
        Self { stream, input, held, version, present: false, offer: Properties::default() }
    }

    /// Sends bytes. The server may be gone: what comes back tells.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        drop(timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the server reads"));
    }

    /// Sends a message and does not wait for its acknowledgement.
    pub(crate) async fn post(&mut self, publish: &Publish) {
        self.send(&publish.bytes(self.version)).await;
    }

    /// Sends a message and waits until it is accepted: PUBACK, or the whole exchange of QoS 2.
    pub(crate) async fn publish(&mut self, publish: Publish) {
        self.post(&publish).await;
        let pkid = publish.pkid;
        match publish.qos {
            0 => {}
            1 => {
                self.wait(
                    |packet| matches!(packet, Packet::PubAck { pkid: of, .. } if *of == pkid),
                )
                .await;
            }
            _ => {
                self.wait(|packet| *packet == Packet::PubRec { pkid, code: 0 }).await;
                self.send(&build::ack(0x62, pkid)).await;
                self.wait(|packet| *packet == Packet::PubComp { pkid, code: 0 }).await;
            }
        }
    }

    /// Waits for a packet; messages that come before it stay to be read.
    async fn wait(&mut self, wanted: impl Fn(&Packet) -> bool) {
        loop {
            match self.read().await.expect("the connection is open") {
                packet if wanted(&packet) => return,
                packet @ (Packet::Publish(_) | Packet::PubRel { .. }) => {
                    self.held.push_back(packet);
                }
                other => panic!("an answer that nobody waits for: {other:?}"),
            }
        }
    }

    /// Subscribes and returns the codes. Messages that come before them stay to be read.
    pub(crate) async fn subscribe_with(&mut self, subscribe: Subscribe) -> Vec<u8> {
        self.send(&subscribe.bytes(self.version)).await;
        loop {
            match self.read().await.expect("the connection is open") {
                Packet::SubAck { pkid, codes } => {
                    assert_eq!(pkid, subscribe.pkid);
                    return codes;
                }
                message @ Packet::Publish(_) => self.held.push_back(message),
                other => panic!("instead of a SUBACK: {other:?}"),
            }
        }
    }

    /// Subscribes to one filter and gets what it asked for.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) {
        assert_eq!(self.subscribe_with(Subscribe::new(filter, qos)).await, [qos]);
    }

    /// Returns the next packet; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        match self.held.pop_front() {
            None => self.read().await,
            held => held,
        }
    }

    async fn read(&mut self) -> Option<Packet> {
        let next = async {
            loop {
                if let Some(packet) = Packet::read(self.version, &mut self.input) {
                    return Some(packet);
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        timeout(PATIENCE, next).await.expect("something comes in time")
    }

    /// Returns the next packet.
    pub(crate) async fn packet(&mut self) -> Packet {
        self.next().await.expect("the connection is open")
    }

    /// Returns the next packet, which is a message.
    pub(crate) async fn message(&mut self) -> Message {
        match self.packet().await {
            Packet::Publish(message) => message,
            other => panic!("instead of a message: {other:?}"),
        }
    }

    /// Returns the next message and acknowledges it as its QoS wants it.
    pub(crate) async fn accept(&mut self) -> Message {
        let message = self.message().await;
        let pkid = message.pkid;
        match message.qos {
            0 => {}
            1 => self.send(&build::ack(0x40, pkid)).await,
            _ => {
                self.send(&build::ack(0x50, pkid)).await;
                self.wait(|packet| *packet == Packet::PubRel { pkid, code: 0 }).await;
                self.send(&build::ack(0x70, pkid)).await;
            }
        }
        message
    }

    /// Returns what the server has to say until it has answered everything that was sent before.
    pub(crate) async fn until_ping(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        // What waits for the client follows the first answer.
        for _ in 0..2 {
            self.send(&build::PINGREQ).await;
            loop {
                match self.packet().await {
                    Packet::PingResp => break,
                    other => packets.push(other),
                }
            }
        }
        packets
    }

    /// Has been sent nothing that it has not read, up to the answer of a ping.
    pub(crate) async fn hears_nothing(&mut self) {
        assert_eq!(self.until_ping().await, []);
    }

    /// Waits for the end of the connection; the reason that the server gives, which 3.1.1 cannot.
    pub(crate) async fn ended(&mut self) -> Option<u8> {
        let mut reason = None;
        while let Some(packet) = self.next().await {
            if let Packet::Disconnect { code } = packet {
                reason = Some(code);
            }
        }
        reason
    }

    /// Says goodbye and waits until the server has closed.
    pub(crate) async fn disconnect(mut self) {
        self.send(&build::DISCONNECT).await;
        self.ended().await;
    }

    /// Ends what is sent, and reads to the end of what the server sends.
    pub(crate) async fn all_is_well_formed(mut self) {
        // It may be closed already.
        drop(self.stream.shutdown().await);
        while self.next().await.is_some() {}
    }

    /// Closes without a word.
    pub(crate) fn vanish(self) {
        drop(self.stream);
    }

    /// Waits that nothing comes for a while: for what cannot be shown otherwise.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) {
        let heard = timeout(time, self.stream.read_buf(&mut self.input)).await;
        assert!(heard.is_err() && self.input.is_empty(), "{heard:?} {:x?}", self.input);
    }
}
