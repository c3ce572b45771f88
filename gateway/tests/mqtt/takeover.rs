//! A second connection with the same client id takes the first one's place.

use std::time::Duration;

use crate::wire::{BOTH, Client, Connect, Publish, TestGateway, Version, Will};

#[tokio::test]
async fn the_first_connection_is_told_and_closed() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut first = Client::connect(&gateway, Connect::new(version, "a")).await;
        let second = Client::connect(&gateway, Connect::new(version, "a")).await;
        assert!(!second.present);
        assert_eq!(first.ended().await, (version == Version::V5).then_some(0x8e));
        second.disconnect().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_second_connection_has_the_session_with_what_was_not_acknowledged() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let connect = Connect::durable(version, &format!("pump-{version:?}"));
        let mut first = Client::connect(&gateway, connect.clone()).await;
        first.subscribe("cmd/w/#", 1).await;
        let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
        nurse.publish(Publish::new("cmd/w/pump", "one").qos1(1)).await;
        nurse.publish(Publish::new("cmd/w/pump", "two").qos1(2)).await;
        let (one, two) = (first.message().await, first.accept().await);
        assert!(!one.dup && two.payload == "two");
        first.hears_nothing().await;
        let mut second = Client::connect(&gateway, connect).await;
        assert!(second.present);
        let again = second.accept().await;
        assert_eq!((again.dup, again.pkid, &again.payload), (true, one.pkid, &one.payload));
        second.hears_nothing().await;
        first.ended().await;
        second.disconnect().await;
        // Both versions' sessions would get what the next round sends.
        drop(Client::connect(&gateway, Connect::new(version, &format!("pump-{version:?}"))).await);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_takes_over_with_a_clean_start_has_nothing_of_the_session() {
    let gateway = TestGateway::start().await;
    let mut first = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    first.subscribe("cmd/#", 1).await;
    let mut second = Client::connect(&gateway, Connect::v5("a").expiry(60)).await;
    assert!(!second.present);
    first.ended().await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    nurse.publish(Publish::new("cmd/w/pump", "x").qos1(1)).await;
    second.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_connection_that_takes_nothing_keeps_its_session_from_nobody() {
    let gateway = TestGateway::with(|config| config.limits.write_time_ms = 60_000).await;
    let connect = Connect::durable(Version::V5, "pump");
    let mut stuck = Client::connect(&gateway, connect.clone()).await;
    stuck.subscribe("cmd/#", 1).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    // More than sockets buffer, and nobody reads it.
    for n in 1..=15 {
        nurse.publish(Publish::new("cmd/w/pump", "x".repeat(999_999)).qos1(n)).await;
    }
    let second = Client::connect(&gateway, connect);
    let second = tokio::time::timeout(Duration::from_secs(30), second)
        .await
        .expect("long before write_time_ms");
    assert!(second.present);
    gateway.stop().await;
}

#[tokio::test]
async fn of_many_connections_at_once_the_last_one_stays_and_the_session_is_not_lost() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V311, "pump");
    let mut first = Client::connect(&gateway, connect.clone()).await;
    first.subscribe("cmd/#", 1).await;
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (address, connect) = (gateway.address, connect.clone());
        others.spawn(async move {
            let mut client = Client::open(address, Version::V311).await;
            client.send(&connect.bytes()).await;
            client.ended().await
        });
    }
    // All but one of them are told to leave.
    for _ in 0..19 {
        others.join_next().await.unwrap().unwrap();
    }
    first.ended().await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    nurse.publish(Publish::new("cmd/w/pump", "x").qos1(1)).await;
    let mut last = Client::connect(&gateway, connect).await;
    assert!(last.present);
    assert_eq!(last.accept().await.payload, "x");
    others.join_next().await.unwrap().unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn the_will_of_who_is_taken_over_is_published_unless_its_session_goes_on_before_its_delay() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, Connect::v5("watcher")).await;
    watcher.subscribe("cmd/will/#", 0).await;
    let with_will = |name: &str, delay| {
        let will = Will::new(&format!("cmd/will/{name}"), "gone").delay(delay);
        Connect::durable(Version::V5, name).will(will)
    };
    for (name, delay, clean, expected) in
        [("at-once", 0, false, true), ("delayed", 60, false, false), ("clean", 60, true, true)]
    {
        let mut first = Client::connect(&gateway, with_will(name, delay)).await;
        let again = Connect::v5(name).expiry(600);
        let again = if clean { again } else { again.resume() };
        let second = Client::connect(&gateway, again).await;
        assert_eq!(first.ended().await, Some(0x8e));
        if expected {
            assert_eq!(watcher.message().await.topic, format!("cmd/will/{name}"));
        }
        second.disconnect().await;
        watcher.hears_nothing().await;
    }
    gateway.stop().await;
}
