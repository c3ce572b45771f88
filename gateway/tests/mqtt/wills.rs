//! Wills: published for who vanishes, at once or after a delay, and not for who says goodbye.

use std::time::Duration;

use crate::wire::build::{DISCONNECT, disconnect};
use crate::wire::{BOTH, Client, Connect, Message, Publish, TestGateway, Version, Will, property};

async fn watcher(gateway: &TestGateway) -> Client {
    let mut watcher = Client::connect(gateway, Connect::v5("watcher")).await;
    watcher.subscribe("cmd/will/#", 2).await;
    watcher
}

fn will(name: &str) -> Will {
    Will::new(&format!("cmd/will/{name}"), name)
}

#[tokio::test]
async fn a_will_is_published_with_its_qos_when_the_connection_breaks() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    for version in BOTH {
        for qos in 0..=2 {
            let connect = Connect::new(version, "a").will(will("lost").qos(qos));
            Client::connect(&gateway, connect).await.vanish();
            let message = watcher.accept().await;
            assert_eq!((message.qos, message.payload.as_str()), (qos, "lost"));
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_will_is_published_when_the_server_ends_the_connection() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    for version in BOTH {
        for (bytes, name) in [(&[0x20, 2, 0, 0][..], "protocol"), (&[0x36, 0], "malformed")] {
            let connect = Connect::new(version, "a").will(will(name));
            let mut client = Client::connect(&gateway, connect).await;
            client.send(bytes).await;
            client.ended().await;
            assert_eq!(watcher.message().await.payload, name);
        }
        let connect = Connect::new(version, "a").keep_alive(1).will(will("silent"));
        let _silent = Client::connect(&gateway, connect).await;
        assert_eq!(watcher.message().await.payload, "silent");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_goodbye_discards_the_will_unless_it_asks_for_it() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    for version in BOTH {
        let mut client =
            Client::connect(&gateway, Connect::new(version, "a").will(will("unwanted"))).await;
        client.send(&DISCONNECT).await;
        assert_eq!(client.ended().await, None);
        watcher.hears_nothing().await;
    }
    for (reason, wanted) in [(0, false), (4, true), (0x80, true)] {
        let name = format!("reason-{reason}");
        let mut client = Client::connect(&gateway, Connect::v5("a").will(will(&name))).await;
        client.send(&disconnect(reason, &[])).await;
        assert_eq!(client.ended().await, None);
        if wanted {
            assert_eq!(watcher.message().await.payload, name);
        }
        watcher.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_will_waits_for_its_delay() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    let connect = Connect::durable(Version::V5, "a").will(will("later").delay(300));
    Client::connect(&gateway, connect).await.vanish();
    gateway.counted("gateway_connections 1").await;
    watcher.hears_nothing().await;
    gateway.after(Duration::from_secs(300));
    assert_eq!(watcher.message().await.payload, "later");
    gateway.stop().await;
}

#[tokio::test]
async fn a_delay_goes_on_when_the_gateway_starts_again() {
    let gateway = TestGateway::start().await;
    for (id, delay) in [("soon", 300), ("late", 3600)] {
        let connect = Connect::durable(Version::V5, id).will(will(id).delay(delay).retain());
        Client::connect(&gateway, connect).await.vanish();
    }
    gateway.counted("gateway_connections 0").await;
    let gateway = gateway.restart().await;
    let mut watcher = watcher(&gateway).await;
    watcher.hears_nothing().await;
    gateway.after(Duration::from_secs(300));
    assert_eq!(watcher.accept().await.payload, "soon");
    watcher.hears_nothing().await;
    let back = Client::connect(&gateway, Connect::durable(Version::V5, "late")).await;
    assert!(back.present);
    let gateway = gateway.restart().await;
    let mut watcher = Client::connect(&gateway, Connect::v5("again")).await;
    watcher.subscribe("cmd/will/late", 1).await;
    watcher.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_comes_back_in_time_has_no_will_published() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    for (id, name) in [("a", "cancelled"), ("b", "due")] {
        let connect = Connect::durable(Version::V5, id).will(will(name).delay(300));
        Client::connect(&gateway, connect).await.vanish();
        gateway.counted("gateway_connections 1").await;
    }
    let back = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    assert!(back.present);
    gateway.after(Duration::from_secs(300));
    assert_eq!(watcher.message().await.payload, "due", "and the other one is not");
    watcher.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_delayed_will_along() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    let delayed = |name| Connect::v5("a").resume().will(will(name).delay(600));
    // It ends with its connection.
    Client::connect(&gateway, delayed("no session")).await.vanish();
    assert_eq!(watcher.message().await.payload, "no session");
    // It expires before the will is due.
    Client::connect(&gateway, delayed("short session").expiry(300)).await.vanish();
    gateway.counted("gateway_connections 1").await;
    watcher.hears_nothing().await;
    gateway.after(Duration::from_secs(300));
    assert_eq!(watcher.message().await.payload, "short session");
    // It is ended by a clean start.
    Client::connect(&gateway, delayed("replaced").expiry(600)).await.vanish();
    gateway.counted("gateway_connections 1").await;
    Client::connect(&gateway, Connect::v5("a")).await;
    assert_eq!(watcher.message().await.payload, "replaced");
    gateway.stop().await;
}

#[tokio::test]
async fn a_will_is_retained_if_it_says_so() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let name = format!("retained-{version:?}");
        let connect = Connect::new(version, "a").will(will(&name).qos(1).retain());
        Client::connect(&gateway, connect).await.vanish();
        gateway.counted("gateway_connections 0").await;
        let mut late = Client::connect(&gateway, Connect::v5("late")).await;
        late.subscribe(&format!("cmd/will/{name}"), 2).await;
        let Message { retain, qos, payload, .. } = late.accept().await;
        assert_eq!((retain, qos, payload), (true, 1, name));
        late.disconnect().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_properties_of_a_will_travel_with_it() {
    let gateway = TestGateway::start().await;
    let mut watcher = watcher(&gateway).await;
    let properties = [
        property::byte(property::PAYLOAD_FORMAT, 1),
        property::long(property::EXPIRY, 100),
        property::text(property::CONTENT_TYPE, "text/plain"),
        property::text(property::RESPONSE_TOPIC, "cmd/answers"),
        property::text(property::CORRELATION, "c"),
        property::pair("ward", "icu"),
        property::pair("bed", "7"),
        property::pair("ward", "east"),
    ];
    let with_all = properties.iter().cloned().fold(will("rich").delay(0), Will::property);
    Client::connect(&gateway, Connect::v5("a").will(with_all)).await.vanish();
    let Message { properties, .. } = watcher.message().await;
    assert_eq!(properties.number(property::PAYLOAD_FORMAT), Some(1));
    assert!(matches!(properties.number(property::EXPIRY), Some(98..=100)));
    assert_eq!(properties.text(property::CONTENT_TYPE).as_deref(), Some("text/plain"));
    assert_eq!(properties.text(property::RESPONSE_TOPIC).as_deref(), Some("cmd/answers"));
    assert_eq!(properties.text(property::CORRELATION).as_deref(), Some("c"));
    let user = [("ward", "icu"), ("bed", "7"), ("ward", "east")];
    assert_eq!(properties.user(), user.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(properties.number(property::WILL_DELAY), None);
    gateway.stop().await;
}

#[tokio::test]
async fn a_will_with_a_telemetry_topic_is_stored() {
    let gateway = TestGateway::start().await;
    let will = Will::new("dt/w/mon-1/status", "offline").qos(1);
    Client::connect(&gateway, Connect::v311("mon-1").will(will)).await.vanish();
    gateway.counted("gateway_connections 0").await;
    assert_eq!(gateway.spool.status().appended, 1);
    let mut other = Client::connect(&gateway, Connect::v5("other")).await;
    other.publish(Publish::new("dt/w/mon-1/status", "online").qos1(1)).await;
    gateway.stop().await;
}
