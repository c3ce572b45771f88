//! What the rules say holds for messages, subscriptions, wills and what is retained.

use rumqttc::v5::ConnectionError;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, LastWill, PubAckReason, SubscribeReasonCode};

use crate::harness::{PASSWORD, TestGateway};

const GRANTED: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtLeastOnce);

#[tokio::test(flavor = "multi_thread")]
async fn inv9_an_agent_sends_as_itself_and_only_ingest_says_what_landed() {
    let gateway = TestGateway::start().await;
    let (mut agent, mut ingest) = (gateway.log_in("van-7").await, gateway.log_in("ingest").await);
    assert_eq!(ingest.subscribe("tm/v1/up/+/+").await, GRANTED);
    assert_eq!(agent.subscribe("tm/v1/receipt/van-7/+").await, GRANTED);
    for topic in ["tm/v1/up/19/agent-1", "tm/v1/receipt/van-7/0000000000000001", "tm/v1/status/x"] {
        assert_eq!(agent.publish(topic).await, PubAckReason::NotAuthorized, "{topic}");
    }
    assert_eq!(ingest.publish("tm/v1/receipt/van-7/0000000000000001").await, PubAckReason::Success);
    assert_eq!(agent.message().await, "tm/v1/receipt/van-7/0000000000000001");
    for name in ["mon-1", "operator", "analyst"] {
        let mut other = gateway.log_in(name).await;
        let topic = "tm/v1/receipt/van-7/0000000000000001";
        assert_eq!(other.publish(topic).await, PubAckReason::NotAuthorized, "{name}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_what_the_rules_do_not_give() {
    let gateway = TestGateway::start().await;
    let mut mon = gateway.log_in("mon-1").await;
    for filter in
        ["#", "dt/#", "cmd/icu/+/x", "$SYS/#", "tm/v1/up/#", "$share/g/dt/#", "cmd/icu/mon-2/x"]
    {
        assert_eq!(mon.subscribe(filter).await, SubscribeReasonCode::NotAuthorized, "{filter}");
    }
    assert_eq!(mon.subscribe("cmd/icu/mon-1/#").await, GRANTED);
    let mut operator = gateway.log_in("operator").await;
    assert_eq!(operator.subscribe("#").await, GRANTED);
    operator.send("cmd/icu/mon-1/x", true).await;
    assert_eq!(mon.message().await, "cmd/icu/mon-1/x");
    // A retained message is read by whoever may read its topic, and by nobody else.
    let mut other = gateway.log_in("mon-2").await;
    assert_eq!(other.subscribe("cmd/icu/mon-1/x").await, SubscribeReasonCode::NotAuthorized);
    let mut late = gateway.log_in("operator").await;
    assert_eq!(late.subscribe("cmd/#").await, GRANTED);
    assert_eq!(late.message().await, "cmd/icu/mon-1/x");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_needs_the_right_to_publish_it() {
    let gateway = TestGateway::start().await;
    let connect = async |topic: &str| {
        gateway
            .try_with("mon-1", |options| {
                options.set_credentials("mon-1", PASSWORD);
                let will = LastWill::new(topic, "gone", QoS::AtLeastOnce, false, None);
                options.set_last_will(will);
            })
            .await
    };
    assert!(connect("dt/icu/mon-1/status").await.is_ok());
    match connect("dt/icu/mon-2/status").await.err() {
        Some(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized)) => {}
        other => panic!("{other:?}"),
    }
    gateway.stop().await;
}
