//! Strings that are none, and topics and filters that nobody should get through, in every field that has one.

use crate::neighbour::Neighbour;
use crate::wire::build::{binary, packet, text};
use crate::wire::{BOTH, Client, Connect, Packet, Publish, Subscribe, TestGateway, Version, Will};

/// Bytes that are no string of MQTT.
const NO_TEXT: [&[u8]; 9] = [
    b"\xff",
    b"a\x00b",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\x80",
];

/// Builds bodies with a string in each place of a packet that has one.
fn with_string(version: Version, string: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let v5 = version == Version::V5;
    let none: &[u8] = if v5 { &[0] } else { &[] };
    let string = binary(string);
    let mut packets = vec![
        (0x30, [&string[..], none, b"x"].concat()),
        (0x32, [&string[..], &[0, 1], none, b"x"].concat()),
        (0x82, [&[0, 1], none, &string, &[0]].concat()),
        (0x82, [&[0, 1], none, &text("cmd/a"), &[0], &string, &[0]].concat()),
        (0xa2, [&[0, 1], none, &string].concat()),
    ];
    if v5 {
        let length = |more: usize| u8::try_from(string.len() + more).unwrap();
        for property in [0x03, 0x08] {
            let properties = [&[length(1), property], &string[..]].concat();
            packets.push((0x30, [text("cmd/a"), properties].concat()));
        }
        let name = [&[length(3), 0x26], &string[..], &[0, 0]].concat();
        let value = [&[length(3), 0x26, 0, 0], &string[..]].concat();
        for properties in [name, value] {
            packets.push((0x30, [text("cmd/a"), properties.clone()].concat()));
            packets.push((0x82, [vec![0, 1], properties.clone(), text("cmd/a"), vec![0]].concat()));
            packets.push((0xe0, [vec![0], properties].concat()));
        }
        let reason = [&[length(1), 0x1f], &string[..]].concat();
        packets.push((0x40, [vec![0, 1, 0], reason].concat()));
    }
    packets
}

#[tokio::test]
async fn what_is_no_string_ends_the_connection_wherever_it_stands() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    for version in BOTH {
        for string in NO_TEXT {
            for (first, body) in with_string(version, string) {
                let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
                client.send(&packet(first, &body)).await;
                let code = client.ended().await;
                assert_eq!(code, (version == Version::V5).then_some(0x81), "{first:#x} {body:x?}");
            }
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_string_in_a_connect_lets_nobody_in() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    for (version, level) in [(Version::V311, 4), (Version::V5, 5)] {
        let none: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let head = |flags| [&text("MQTT")[..], &[level, flags, 0, 60], none].concat();
        for string in NO_TEXT {
            let string = binary(string);
            for body in [
                [head(0x02), string.clone()].concat(),
                [&head(0x06)[..], &text("a"), none, &string, &text("x")].concat(),
                [head(0x82), text("a"), string.clone()].concat(),
            ] {
                let mut client = Client::open(gateway.address, version).await;
                client.send(&packet(0x10, &body)).await;
                match client.next().await {
                    Some(Packet::ConnAck { code: 0x81, .. }) => assert_eq!(version, Version::V5),
                    other => assert_eq!((other, version), (None, Version::V311), "{body:x?}"),
                }
            }
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn topics_that_nobody_may_publish_to_reach_nobody() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    let mut watcher = Client::connect(&gateway, Connect::v5("watcher")).await;
    watcher.subscribe("cmd/#", 0).await;
    let (long, deep) = ("cmd/".to_owned() + &"x".repeat(1_021), "cmd".to_owned() + &"/".repeat(32));
    let wrong =
        ["+", "#", "cmd/+", "cmd/#", "cmd/a#", "cmd/+a", "cmd/\u{7f}", "cmd/\n", &long, &deep, ""];
    for version in BOTH {
        for topic in wrong {
            for publish in [Publish::new(topic, "x"), Publish::new(topic, "x").qos2(1).retain()] {
                let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
                client.post(&publish).await;
                let code = if topic.is_empty() { 0x82 } else { 0x90 };
                let told = (version == Version::V5).then_some(code);
                assert_eq!(client.ended().await, told, "{topic:?}");
            }
            let mut client = Client::open(gateway.address, version).await;
            client.send(&Connect::new(version, "a").will(Will::new(topic, "x")).bytes()).await;
            let refused = client.next().await;
            assert!(matches!(refused, Some(Packet::ConnAck { code: 1.., .. })), "{topic:?}");
        }
    }
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for topic in ["$SYS", "$SYS/broker/version", "$share/g/cmd/a", "$", "$x/+"] {
        client.post(&Publish::new(topic, "x").qos1(1).retain()).await;
        assert!(matches!(client.packet().await, Packet::PubAck { code: 0x87, .. }), "{topic}");
    }
    watcher.hears_nothing().await;
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn filters_that_select_nothing_are_refused() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    let (long, deep) = ("x".repeat(1_025), "/".repeat(32));
    let wrong = [
        "a#",
        "#a",
        "#/a",
        "a/#/b",
        "+a",
        "a+",
        "a/b+/c",
        "\u{1}",
        "$share",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/+/a",
        "$share/g/a#",
        &long,
        &deep,
    ];
    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x8f)] {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        for filter in wrong {
            let codes = client.subscribe_with(Subscribe::new(filter, 1)).await;
            assert_eq!(codes, [refused], "{filter:?}");
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}
