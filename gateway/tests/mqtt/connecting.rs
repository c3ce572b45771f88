//! CONNECT and CONNACK.

use crate::wire::build::{self, DISCONNECT, PINGREQ};
use crate::wire::{BOTH, Client, Connect, Packet, Publish, TestGateway, Version, Will, property};

#[tokio::test]
async fn the_connack_comes_before_everything_else_and_packets_may_come_before_it() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut client = Client::open(gateway.address, version).await;
        let publish = Publish::new("dt/w/a/readings", "{}").qos1(1).bytes(version);
        let all = [&Connect::new(version, "a").bytes()[..], &PINGREQ, &publish].concat();
        client.send(&all).await;
        assert!(matches!(client.packet().await, Packet::ConnAck { code: 0, .. }));
        assert_eq!(client.packet().await, Packet::PingResp);
        assert!(matches!(client.packet().await, Packet::PubAck { pkid: 1, code: 0, .. }));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_without_an_id_gets_one_of_its_own_and_is_told() {
    let gateway = TestGateway::start().await;
    let first = Client::connect(&gateway, Connect::v5("")).await;
    let second = Client::connect(&gateway, Connect::v5("")).await;
    let id = |client: &Client| client.offer.text(property::ASSIGNED_CLIENT_ID).unwrap();
    assert_ne!(id(&first), id(&second));
    let named = Client::connect(&gateway, Connect::v5("named")).await;
    assert_eq!(named.offer.text(property::ASSIGNED_CLIENT_ID), None);
    // As good as a chosen one: the session can be taken up by it.
    let durable = Client::connect(&gateway, Connect::durable(Version::V5, "")).await;
    let id = id(&durable);
    durable.disconnect().await;
    assert!(Client::connect(&gateway, Connect::durable(Version::V5, &id)).await.present);
    Client::connect(&gateway, Connect::v311("")).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_id_that_is_none_is_refused_by_name() {
    let gateway = TestGateway::start().await;
    let empty = Connect::v311("").resume();
    let (code, mut client) = Client::refused(&gateway, empty).await;
    assert_eq!((code, client.ended().await), (2, None));
    for (version, expected) in [(Version::V311, 2), (Version::V5, 0x85)] {
        let long = Connect::new(version, &"x".repeat(257));
        let (code, mut client) = Client::refused(&gateway, long).await;
        assert_eq!((code, client.ended().await), (expected, None));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_for_a_longer_keep_alive_or_none_is_told_ours() {
    let gateway = TestGateway::with(|config| config.limits.keep_alive_s_max = 100).await;
    for (asked, told) in [(0, Some(100)), (101, Some(100)), (100, None), (7, None)] {
        let client = Client::connect(&gateway, Connect::v5("a").keep_alive(asked)).await;
        assert_eq!(client.offer.number(property::SERVER_KEEP_ALIVE), told, "{asked}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn silence_of_one_and_a_half_keep_alives_ends_the_connection_and_pings_do_not() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut silent =
            Client::connect(&gateway, Connect::new(version, "silent").keep_alive(3)).await;
        let mut alive =
            Client::connect(&gateway, Connect::new(version, "alive").keep_alive(3)).await;
        let pings = async {
            loop {
                alive.hears_nothing().await;
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        let reason = tokio::select! {
            reason = silent.ended() => reason,
            () = pings => None,
        };
        assert_eq!(reason, (version == Version::V5).then_some(0x8d));
        alive.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_not_read_because_it_is_too_fast_is_not_taken_for_silent() {
    let gateway = TestGateway::with(|config| config.limits.publish_rate_max = Some(10)).await;
    let mut client = Client::connect(&gateway, Connect::v5("fast").keep_alive(3)).await;
    // Seven seconds' worth at once, then pings as a client sends them.
    let burst: Vec<u8> =
        (0..70).flat_map(|_| Publish::new("dt/w/a/readings", "{}").bytes(Version::V5)).collect();
    client.send(&[&burst[..], &PINGREQ].concat()).await;
    assert_eq!(client.packet().await, Packet::PingResp);
    client.send(&PINGREQ).await;
    assert_eq!(client.packet().await, Packet::PingResp, "when it is read again");
    gateway.stop().await;
}

#[tokio::test]
async fn enhanced_authentication_is_refused_as_the_protocol_says() {
    let gateway = TestGateway::start().await;
    let method = property::text(property::AUTH_METHOD, "SCRAM-SHA-256");
    let (code, mut client) = Client::refused(&gateway, Connect::v5("a").property(method)).await;
    assert_eq!((code, client.ended().await), (0x8c, None));
    // Nor may it begin later.
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.send(&build::packet(0xf0, &[])).await;
    assert_eq!(client.ended().await, Some(0x82));
    gateway.stop().await;
}

#[tokio::test]
async fn another_version_is_refused_in_the_words_of_3_1_1() {
    let gateway = TestGateway::start().await;
    for level in [0, 3, 6, 0x83, 0x85] {
        let mut connect = Connect::v311("a").bytes();
        connect[8] = level;
        let mut client = Client::open(gateway.address, Version::V311).await;
        client.send(&connect).await;
        let refused = Packet::ConnAck { present: false, code: 1, properties: Default::default() };
        assert_eq!((client.next().await, client.next().await), (Some(refused), None), "{level}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_second_connect_and_packets_that_only_servers_send_end_the_connection() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let connect = Connect::new(version, "a");
        let packets = [
            connect.bytes(),
            vec![0x20, 2, 0, 0],
            build::packet(0x90, &[0, 1, 0, 0]),
            build::packet(0xb0, &[0, 1, 0, 0]),
            build::packet(0xd0, &[]),
        ];
        for packet in packets {
            let mut client = Client::connect(&gateway, connect.clone()).await;
            client.send(&packet).await;
            let reason = (version == Version::V5).then_some(0x82);
            assert_eq!(client.ended().await, reason, "{packet:x?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_speaks_before_connect_is_not_answered() {
    let gateway = TestGateway::start().await;
    let packets = [&PINGREQ[..], &DISCONNECT, &[0xf0, 0], b"GET / HTTP/1.1\r\n\r\n", &[0]];
    for bytes in packets {
        let mut client = Client::open(gateway.address, Version::V5).await;
        client.send(bytes).await;
        assert_eq!(client.next().await, None, "{bytes:x?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_taken_after_a_disconnect() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        let late = Publish::new("dt/w/a/readings", "{}").qos1(1).bytes(version);
        client.send(&[&DISCONNECT[..], &late, &PINGREQ].concat()).await;
        assert_eq!(client.next().await, None);
    }
    assert_eq!(gateway.spool.status().appended, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_will_that_could_not_be_published_is_refused_with_its_client() {
    let gateway = TestGateway::start().await;
    for (topic, expected) in [("a/+", 0x90), ("a/#", 0x90), ("$SYS/x", 0x87), ("", 0x90)] {
        let connect = Connect::v5("a").will(Will::new(topic, "gone"));
        assert_eq!(Client::refused(&gateway, connect).await.0, expected, "{topic}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_server_says_what_it_offers_and_defaults_for_the_rest() {
    let gateway = TestGateway::start().await;
    let client = Client::connect(&gateway, Connect::v5("a")).await;
    assert_eq!(client.offer.number(property::RECEIVE_MAX), None);
    assert_eq!(client.offer.number(property::TOPIC_ALIAS_MAX), Some(32));
    assert_eq!(client.offer.number(property::PACKET_BYTES_MAX), Some(8_000_000));
    // Maximum QoS, Retain, Wildcard, Subscription Identifier and Shared Subscription Available.
    for id in [0x24, 0x25, 0x28, 0x29, 0x2a] {
        assert_eq!(client.offer.number(id), None, "absent is yes: {id:#x}");
    }
    assert_eq!(client.offer.number(property::SESSION_EXPIRY), None, "as the client asked");
    let long = Client::connect(&gateway, Connect::v5("b").expiry(u32::MAX)).await;
    assert_eq!(long.offer.number(property::SESSION_EXPIRY), Some(7 * 24 * 3600));
    gateway.stop().await;
}
