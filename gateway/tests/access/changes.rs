//! Changes of the files reach those who are connected, and nobody else.

use std::fs;

use gateway::access::{Entry, Identities, hash_password};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, SubscribeReasonCode};
use tokio::time::{Instant, sleep};

use crate::harness::{PASSWORD, PATIENCE, REVOKED_WITHIN, TestGateway};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_is_gone_within_seconds_and_others_stay() {
    let gateway = TestGateway::start().await;
    gateway.authority.issue("mon-1", 7);
    gateway.authority.issue("mon-2", 8);
    let mut by_password = gateway.log_in("analyst").await;
    let mut by_certificate = gateway.try_certificate("mon-1").await.unwrap();
    let mut other = gateway.try_certificate("mon-2").await.unwrap();
    Identities::revoke(&gateway.identities(), "analyst").unwrap();
    by_password.ended(REVOKED_WITHIN).await;
    gateway.authority.revoke(&[7]);
    by_certificate.ended(REVOKED_WITHIN).await;
    assert_eq!(other.publish("dt/icu/mon-2/readings").await, PubAckReason::Success);
    assert!(gateway.try_certificate("mon-1").await.is_err());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let gateway = TestGateway::start().await;
    let mut analyst = gateway.log_in("analyst").await;
    let password = Some(hash_password(b"another horse").unwrap());
    let entry = Entry { roles: vec!["analyst".into()], password, ..Entry::default() };
    Identities::add(&gateway.identities(), "analyst", entry).unwrap();
    analyst.ended(REVOKED_WITHIN).await;
    let old = gateway.try_with("analyst", |options| {
        options.set_credentials("analyst", PASSWORD);
    });
    assert!(old.await.is_err());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_holds_for_connections_that_exist() {
    let gateway = TestGateway::with(|config, folder| {
        let policy = folder.path().join("policy.toml");
        fs::write(&policy, "").unwrap();
        config.access.policy_file = Some(policy);
    })
    .await;
    let policy = |text: &str| {
        let new = gateway.path("policy.new");
        fs::write(&new, text).unwrap();
        fs::rename(new, gateway.path("policy.toml")).unwrap();
    };
    let (mut analyst, mut mon) = (gateway.log_in("analyst").await, gateway.log_in("mon-1").await);
    assert_eq!(analyst.subscribe("dt/icu/#").await, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    assert_eq!(mon.publish("dt/icu/mon-1/readings").await, PubAckReason::Success);
    assert_eq!(analyst.message().await, "dt/icu/mon-1/readings");
    // A file that cannot be used changes nothing: the next one, which can, is what is waited for.
    policy("[[rule]]\nallow = \"everything\"\n");
    policy(
        "[[rule]]\nroles = [\"analyst\"]\ndeny = \"subscribe\"\ntopics = [\"dt/icu/#\"]\n\
         [[rule]]\nroles = [\"device\"]\nallow = \"publish\"\ntopics = [\"extra\"]\n",
    );
    let deadline = Instant::now() + PATIENCE;
    while mon.publish("extra").await != PubAckReason::Success {
        assert!(Instant::now() < deadline, "the new rule holds in time");
        sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(analyst.subscribe("dt/icu/#").await, SubscribeReasonCode::NotAuthorized);
    // The subscription has ended: the next message that comes is another one's.
    assert_eq!(
        analyst.subscribe("dt/hall/#").await,
        SubscribeReasonCode::Success(QoS::AtLeastOnce)
    );
    assert_eq!(mon.publish("dt/icu/mon-1/readings").await, PubAckReason::Success);
    let mut operator = gateway.log_in("operator").await;
    assert_eq!(operator.publish("cmd/icu/mon-1/x").await, PubAckReason::NoMatchingSubscribers);
    let silent = tokio::time::timeout(std::time::Duration::from_millis(200), analyst.message());
    assert!(silent.await.is_err());
    gateway.stop().await;
}
