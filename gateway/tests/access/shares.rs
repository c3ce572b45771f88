//! What one identity takes leaves room for others, and nobody is told that something was kept which was not.

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{ConnectionError, MqttOptions};

use crate::harness::{Client, PASSWORD, TestGateway};

async fn limited(change: impl FnOnce(&mut gateway::Limits)) -> TestGateway {
    TestGateway::with(|config, _| change(&mut config.limits)).await
}

async fn with_session(
    gateway: &TestGateway,
    name: &str,
    client_id: &str,
) -> Result<Client, ConnectionError> {
    let stays = |options: &mut MqttOptions| {
        options.set_credentials(name, PASSWORD);
        options.set_clean_start(false).set_session_expiry_interval(Some(3600));
    };
    gateway.try_with(client_id, stays).await
}

/// A client that is away, with a session that has subscribed to `filter`.
async fn away(gateway: &TestGateway, name: &str, filter: &str) {
    let mut client = with_session(gateway, name, name).await.unwrap();
    assert!(matches!(client.subscribe(filter).await, SubscribeReasonCode::Success(_)));
    drop(client);
    gateway.counted("gateway_connections 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_one_identity_does_not_have_all_sessions() {
    let gateway = limited(|limits| {
        (limits.sessions_max, limits.identity_share_percent) = (20, Some(10));
    })
    .await;
    let mut kept = Vec::new();
    for client_id in ["mon-1@a", "mon-1@b"] {
        kept.push(with_session(&gateway, "mon-1", client_id).await.unwrap());
    }
    match with_session(&gateway, "mon-1", "mon-1@c").await.err() {
        Some(ConnectionError::ConnectionRefused(ConnectReturnCode::QuotaExceeded)) => {}
        other => panic!("{other:?}"),
    }
    assert!(with_session(&gateway, "mon-1", "mon-1@b").await.is_ok(), "it has that one");
    assert!(with_session(&gateway, "mon-2", "mon-2").await.is_ok());
    // Who leaves nothing behind takes nobody's place.
    let leaves_nothing = |options: &mut MqttOptions| {
        options.set_credentials("mon-1", PASSWORD);
    };
    assert!(gateway.try_with("mon-1@d", leaves_nothing).await.is_ok());
    drop(kept);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_one_identity_does_not_have_all_memory_for_subscriptions() {
    let gateway = limited(|limits| {
        (limits.subscriptions_bytes_max, limits.identity_share_percent) = (100_000, Some(10));
    })
    .await;
    let mut greedy = gateway.log_in("analyst").await;
    let mut answers = Vec::new();
    for n in 0..20 {
        answers.push(greedy.subscribe(&format!("dt/icu/{n}/#")).await);
    }
    let granted =
        answers.iter().filter(|answer| matches!(answer, SubscribeReasonCode::Success(_))).count();
    assert!((1..10).contains(&granted), "{answers:?}");
    assert_eq!(answers.last(), Some(&SubscribeReasonCode::QuotaExceeded));
    let mut mon = gateway.log_in("mon-1").await;
    let own = mon.subscribe("cmd/icu/mon-1/#").await;
    assert!(matches!(own, SubscribeReasonCode::Success(_)), "{own:?}");
    // What is given back can be had again.
    greedy.unsubscribe("dt/icu/0/#").await;
    let again = greedy.subscribe("dt/icu/x/#").await;
    assert!(matches!(again, SubscribeReasonCode::Success(_)), "{again:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_one_identity_does_not_have_all_retained_messages() {
    let gateway = limited(|limits| {
        (limits.retained_max, limits.identity_share_percent) = (20, Some(10));
    })
    .await;
    let mut operator = gateway.log_in("operator").await;
    let mut answers = Vec::new();
    for n in 0..3 {
        answers.push(operator.send(&format!("cmd/icu/{n}"), true).await);
    }
    assert_eq!(
        answers,
        [PubAckReason::Success, PubAckReason::Success, PubAckReason::QuotaExceeded]
    );
    let mut mon = gateway.log_in("mon-1").await;
    mon.send("dt/icu/mon-1/state", true).await;
    let mut analyst = gateway.log_in("analyst").await;
    analyst.subscribe("dt/#").await;
    assert_eq!(analyst.message().await, "dt/icu/mon-1/state");
    // Receipts are retained as well, and their acknowledgements say whether they are.
    let mut ingest = gateway.log_in("ingest").await;
    ingest.subscribe("tm/v1/up/#").await;
    let mut answers = Vec::new();
    for n in 1..=3 {
        answers.push(ingest.send(&format!("tm/v1/receipt/van-7/000000000000000{n}"), true).await);
    }
    assert_eq!(answers.last(), Some(&PubAckReason::QuotaExceeded), "{answers:?}");
    // Those of another source count for that one.
    let other = ingest.send("tm/v1/receipt/van-8/0000000000000001", true).await;
    assert_eq!(other, PubAckReason::Success);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_who_is_away_is_not_crowded_out_by_the_queues_of_others() {
    let gateway = limited(|limits| {
        (limits.queues_bytes_max, limits.identity_share_percent) = (40_000, Some(50));
    })
    .await;
    away(&gateway, "analyst", "dt/#").await;
    away(&gateway, "operator", "dt/#").await;
    away(&gateway, "mon-1", "cmd/icu/mon-1/#").await;
    let mut mon = gateway.log_in("mon-2").await;
    for _ in 0..100 {
        mon.say("dt/icu/mon-2/readings", &[b'x'; 1000]).await;
    }
    for _ in 0..100 {
        mon.say("dt/icu/mon-2/readings", b"x").await;
    }
    let all_full = |text: &str| {
        let dropped =
            text.lines().find_map(|line| line.strip_prefix("gateway_queue_dropped_total "));
        dropped.is_some_and(|count| count.parse::<u32>().unwrap() > 100)
    };
    assert!(all_full(&gateway.metrics()), "{}", gateway.metrics());
    let mut other = gateway
        .try_with("operator@desk", |options| {
            options.set_credentials("operator", PASSWORD);
        })
        .await
        .unwrap();
    assert_eq!(other.say("cmd/icu/mon-1/rate", &[b'x'; 1000]).await, PubAckReason::Success);
    let mut back = with_session(&gateway, "mon-1", "mon-1").await.unwrap();
    assert_eq!(back.message().await, "cmd/icu/mon-1/rate");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_what_a_client_does_not_acknowledge_counts_as_waiting() {
    let gateway = limited(|limits| {
        (limits.queues_bytes_max, limits.inflight_max) = (40_000, 1_000);
    })
    .await;
    // It takes messages from the socket and acknowledges none.
    let mut silent = gateway
        .try_with("analyst", |options| {
            options.set_credentials("analyst", PASSWORD);
            options.set_manual_acks(true);
        })
        .await
        .unwrap();
    silent.subscribe("dt/#").await;
    let mut mon = gateway.log_in("mon-2").await;
    for _ in 0..100 {
        mon.say("dt/icu/mon-2/readings", &[b'x'; 1000]).await;
        if gateway.metrics().contains("gateway_queue_dropped_total 0") {
            silent.message().await;
        }
    }
    assert!(!gateway.metrics().contains("gateway_queue_dropped_total 0"));
    gateway.stop().await;
}
