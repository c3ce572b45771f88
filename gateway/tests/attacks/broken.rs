//! Packets of every type, cut off at every byte and with every byte changed, over real sockets.

use tokio::task::JoinSet;

use crate::neighbour::Neighbour;
use crate::wire::build::{PINGREQ, ack, ack_with, disconnect, packet, text, unsubscribe};
use crate::wire::{Client, Connect, Publish, Subscribe, TestGateway, Version, Will, property};

/// One of each type, with as many fields as it has.
fn packets(version: Version) -> Vec<Vec<u8>> {
    let publish = Publish::new("cmd/broken/a", "payload")
        .property(property::byte(property::PAYLOAD_FORMAT, 1))
        .property(property::long(property::EXPIRY, 60))
        .property(property::text(property::CONTENT_TYPE, "t"))
        .property(property::text(property::RESPONSE_TOPIC, "r"))
        .property(property::text(property::CORRELATION, "c"))
        .property(property::pair("k", "v"))
        .alias(1);
    let subscribe = Subscribe::new("cmd/broken/#", 1).and("$share/g/cmd/broken/+", 2).id(300);
    let mut packets = vec![
        publish.bytes(version),
        publish.clone().qos1(1).bytes(version),
        publish.qos2(2).retain().bytes(version),
        subscribe.bytes(version),
        unsubscribe(version, 4, &["cmd/broken/#", "b"]),
        PINGREQ.to_vec(),
    ];
    packets.extend([0x40, 0x50, 0x62, 0x70].map(|first| ack(first, 5)));
    if version == Version::V5 {
        packets.extend([0x40, 0x50].map(|first| ack_with(first, 5, 0x10)));
        let reason = [&[0, 5, 0, 7, 0x1f], &text("why!")[..]].concat();
        packets.extend([0x40, 0x50, 0x62, 0x70].map(|first| packet(first, &reason)));
        packets.push(disconnect(4, &[property::pair("k", "v")]));
        packets.push(packet(0xf0, &[0x18, 0]));
    } else {
        packets.push(vec![0xe0, 0]);
    }
    packets
}

fn connects() -> Vec<Connect> {
    let will = Will::new("cmd/broken/will", "x").qos(1);
    let rich = Connect::v5("broken")
        .expiry(0)
        .property(property::short(property::RECEIVE_MAX, 10))
        .property(property::long(property::PACKET_BYTES_MAX, 10_000))
        .property(property::short(property::TOPIC_ALIAS_MAX, 10))
        .property(property::byte(property::PROBLEM_INFO, 1))
        .property(property::pair("k", "v"))
        .will(will.clone().delay(0).property(property::pair("k", "v")));
    vec![Connect::v311("broken").will(will), rich]
}

/// Sends each input on a connection of its own, some at a time, and reads to the end: whatever the gateway answers is well-formed.
async fn play(gateway: &TestGateway, version: Version, inputs: Vec<Vec<u8>>) {
    let (address, mut running) = (gateway.address, JoinSet::new());
    for input in inputs {
        if running.len() >= 16 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(async move {
            let mut client = Client::open(address, version).await;
            client.send(&input).await;
            client.all_is_well_formed().await;
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

fn after_connect(version: Version, bytes: &[u8]) -> Vec<u8> {
    [&Connect::new(version, "").bytes()[..], bytes].concat()
}

/// A packet cut at every byte: once as it is, once with a header that says so.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    // All lengths here take one byte.
    let honest = (2..bytes.len()).map(|end| packet(bytes[0], &bytes[2..end]));
    (0..bytes.len()).map(|end| bytes[..end].to_vec()).chain(honest)
}

/// A packet with each byte changed in a few ways.
fn changes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len()).flat_map(move |at| {
        [0x00, 0xff, bytes[at] ^ 0x80, bytes[at].wrapping_add(1)].map(|value| {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            changed
        })
    })
}

#[tokio::test]
async fn packets_of_every_type_cut_at_every_byte_harm_nobody() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    for connect in connects() {
        let bytes = connect.bytes();
        play(&gateway, connect.version, cuts(&bytes).collect()).await;
        let packets = packets(connect.version);
        let inputs = packets.iter().flat_map(|bytes| cuts(bytes));
        let inputs = inputs.map(|cut| after_connect(connect.version, &cut)).collect();
        play(&gateway, connect.version, inputs).await;
        neighbour.is_served().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn packets_of_every_type_with_any_byte_changed_harm_nobody() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    for connect in connects() {
        let bytes = connect.bytes();
        // The eighth byte says which version the answer is to have.
        let (new, old) = changes(&bytes).partition(|changed| changed[8] == 5);
        play(&gateway, Version::V5, new).await;
        play(&gateway, Version::V311, old).await;
        let packets = packets(connect.version);
        let inputs = packets.iter().flat_map(|bytes| changes(bytes));
        let inputs = inputs.map(|bytes| after_connect(connect.version, &bytes)).collect();
        play(&gateway, connect.version, inputs).await;
        neighbour.is_served().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn lengths_that_lie_cost_nothing() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    for version in [Version::V311, Version::V5] {
        let lies: [&[u8]; 7] = [
            b"\x30\xff\xff\xff\xff\x7f",
            b"\x30\xff\xff\xff\x7f",
            b"\x30\x80\x80\x80\x80",
            b"\x82\xff\xff\xff\x7f",
            b"\x40\xff\xff\xff\x7f\x00\x01",
            b"\x30\x05\xff\xffabc",
            b"\x82\x06\x00\x01\x00\xff\xffa",
        ];
        for lie in lies {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.send(lie).await;
            let code = client.ended().await;
            assert!(
                version == Version::V311 || matches!(code, Some(0x81 | 0x95)),
                "{lie:x?} {code:x?}"
            );
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}
