//! What waits for a client that is away, or speaks for one that is gone, ends with its rights.

use std::fs;

use gateway::access::config::ClientIds;
use gateway::access::{Entry, Identities, hash_password};
use gateway::admin::SessionList;
use rcgen::RevocationReason;
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, LastWillProperties, PubAckReason};
use service_runtime::http::{self, Method, StatusCode};

use crate::harness::{Client, PASSWORD, PATIENCE, REVOKED_WITHIN, TestGateway};

/// Logs in with a session that stays.
async fn with_session(gateway: &TestGateway, name: &str, client_id: &str) -> Client {
    let stays = |options: &mut MqttOptions| stay(options.set_credentials(name, PASSWORD));
    gateway.try_with(client_id, stays).await.unwrap()
}

fn stay(options: &mut MqttOptions) {
    options.set_clean_start(false).set_session_expiry_interval(Some(3600));
}

fn will(options: &mut MqttOptions, topic: &str, delay_interval: Option<u32>) {
    let mut will = LastWill::new(topic, "gone", QoS::AtLeastOnce, false, None);
    will.properties = delay_interval.map(|_| LastWillProperties {
        delay_interval,
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    });
    options.set_last_will(will);
}

/// Leaves without a word, and waits until the gateway has noticed: `left` connections are open then.
async fn leave(gateway: &TestGateway, client: Client, left: usize) {
    drop(client);
    gateway.counted(&format!("gateway_connections {left}")).await;
}

/// A file of identities in which a name is another identity: it was deleted and made again.
fn made_again(gateway: &TestGateway, name: &str) {
    let (file, next) = (gateway.identities(), gateway.path("next.toml"));
    fs::copy(&file, &next).unwrap();
    let mut entry = Identities::load(&next).unwrap().get(name).unwrap().clone();
    entry.password = Some(hash_password(PASSWORD.as_bytes()).unwrap());
    Identities::remove(&next, name).unwrap();
    Identities::add(&next, name, entry).unwrap();
    fs::rename(next, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_subscriptions_of_who_is_away_end_with_its_rights() {
    let gateway = TestGateway::with(|config, folder| {
        let policy = folder.path().join("policy.toml");
        fs::write(&policy, "").unwrap();
        config.access.policy_file = Some(policy);
    })
    .await;
    let mut analyst = with_session(&gateway, "analyst", "analyst").await;
    for filter in ["dt/icu/#", "dt/hall/#"] {
        analyst.subscribe(filter).await;
    }
    leave(&gateway, analyst, 0).await;
    let mut mon = gateway.log_in("mon-1").await;
    assert_eq!(mon.publish("dt/icu/mon-1/before").await, PubAckReason::Success);
    let new = gateway.path("policy.new");
    fs::write(
        &new,
        "[[rule]]\nroles = [\"analyst\"]\ndeny = \"subscribe\"\ntopics = [\"dt/icu/#\"]\n\
         [[rule]]\nroles = [\"device\"]\nallow = \"publish\"\ntopics = [\"dt/hall/#\"]\n",
    )
    .unwrap();
    fs::rename(new, gateway.path("policy.toml")).unwrap();
    // Its client is away all the while; one subscription is the gateway's own.
    gateway.counted("gateway_subscriptions 2").await;
    assert_eq!(mon.publish("dt/icu/mon-1/after").await, PubAckReason::Success);
    assert_eq!(mon.publish("dt/hall/mon-1/allowed").await, PubAckReason::Success);
    let mut analyst = with_session(&gateway, "analyst", "analyst").await;
    assert!(analyst.present);
    assert_eq!(analyst.message().await, "dt/hall/mon-1/allowed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_leaves_neither_session_nor_will() {
    let gateway = TestGateway::start().await;
    let mut analyst = gateway.log_in("analyst").await;
    analyst.subscribe("dt/icu/#").await;
    // One is there when it is revoked, the other is away with a will that waits.
    let connect = async |client_id: &str, delay| {
        let options = |options: &mut MqttOptions| {
            stay(options.set_credentials("mon-1", PASSWORD));
            will(options, "dt/icu/mon-1/will", delay);
        };
        gateway.try_with(client_id, options).await.unwrap()
    };
    let mut here = connect("mon-1@here", None).await;
    let away = connect("mon-1@away", Some(2)).await;
    leave(&gateway, away, 2).await;
    Identities::revoke(&gateway.identities(), "mon-1").unwrap();
    here.ended(REVOKED_WITHIN).await;
    gateway.counted("gateway_sessions 1").await;
    let mut other = gateway.log_in("mon-2").await;
    assert_eq!(other.publish("dt/icu/mon-2/readings").await, PubAckReason::Success);
    assert_eq!(analyst.message().await, "dt/icu/mon-2/readings");
    drop(analyst);
    let log = gateway.stop().await;
    let of = |event: &str| -> Vec<_> {
        let lines = log.iter().filter(|line| line["event"] == event);
        lines.map(|line| line["client_id"].as_str().unwrap()).collect()
    };
    assert!(of("session_ended").contains(&"mon-1@away"), "{log:?}");
    let denied = of("will_denied");
    assert!(denied.len() == 2 && denied.contains(&"mon-1@away"), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_withdrawn_leaves_neither_session_nor_will_and_one_that_is_replaced_does()
 {
    let gateway = TestGateway::start().await;
    gateway.authority.issue("mon-1", 7);
    gateway.authority.issue("mon-2", 8);
    let connect = async |name: &str, client_id: &str| {
        let options = |options: &mut MqttOptions| {
            stay(options);
            will(options, &format!("dt/icu/{name}/will"), Some(3600));
        };
        gateway.try_certificate_with(name, client_id, options).await.unwrap()
    };
    for (name, client_id) in [("mon-1", "mon-1@a"), ("mon-2", "mon-2@a"), ("mon-2", "mon-2@b")] {
        let client = connect(name, client_id).await;
        leave(&gateway, client, 0).await;
    }
    // One session goes on with the next certificate; the other's client stays away, but its certificate is only superseded.
    gateway.authority.issue("mon-2", 9);
    let again = connect("mon-2", "mon-2@a").await;
    assert!(again.present);
    leave(&gateway, again, 0).await;
    gateway.authority.revoke_because(&[
        (7, Some(RevocationReason::KeyCompromise)),
        (8, Some(RevocationReason::Superseded)),
    ]);
    gateway.counted("gateway_sessions 2").await;
    gateway.authority.revoke_because(&[(7, None), (8, None)]);
    gateway.counted("gateway_sessions 1").await;
    assert!(connect("mon-2", "mon-2@a").await.present, "it rests on a certificate that is good");
    assert!(!connect("mon-2", "mon-2@b").await.present);
    let log = gateway.stop().await;
    let of = |event: &str| -> Vec<_> {
        let lines = log.iter().filter(|line| line["event"] == event);
        lines.map(|line| line["client_id"].as_str().unwrap()).collect()
    };
    assert_eq!(of("session_ended"), ["mon-1@a", "mon-2@b"], "{log:?}");
    assert_eq!(of("will_denied"), ["mon-1@a", "mon-2@b"], "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_published_only_where_its_owner_may_publish_then() {
    let gateway = TestGateway::with(|config, folder| {
        let policy = folder.path().join("policy.toml");
        fs::write(&policy, "").unwrap();
        config.access.policy_file = Some(policy);
    })
    .await;
    let mut analyst = gateway.log_in("analyst").await;
    analyst.subscribe("dt/icu/#").await;
    let options = |options: &mut MqttOptions| {
        options.set_credentials("mon-1", PASSWORD);
        will(options, "dt/icu/mon-1/will", None);
    };
    let mut mon = gateway.try_with("mon-1", options).await.unwrap();
    let new = gateway.path("policy.new");
    fs::write(
        &new,
        "[[rule]]\nroles = [\"device\"]\ndeny = \"publish\"\ntopics = [\"dt/icu/mon-1/will\"]\n\
         [[rule]]\nroles = [\"device\"]\nallow = \"publish\"\ntopics = [\"extra\"]\n",
    )
    .unwrap();
    fs::rename(new, gateway.path("policy.toml")).unwrap();
    while mon.publish("extra").await != PubAckReason::Success {
        tokio::task::yield_now().await;
    }
    leave(&gateway, mon, 1).await;
    let mut other = gateway.log_in("mon-2").await;
    assert_eq!(other.publish("dt/icu/mon-2/readings").await, PubAckReason::Success);
    assert_eq!(analyst.message().await, "dt/icu/mon-2/readings");
    drop(analyst);
    let log = gateway.stop().await;
    let denied = log.iter().find(|line| line["event"] == "will_denied").expect("it is recorded");
    assert_eq!(denied["identity"], "mon-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_made_again_is_another_one() {
    let gateway = TestGateway::start().await;
    let mut mon = with_session(&gateway, "mon-1", "mon-1").await;
    mon.subscribe("cmd/icu/mon-1/#").await;
    leave(&gateway, mon, 0).await;
    let mut operator = gateway.log_in("operator").await;
    assert_eq!(operator.publish("cmd/icu/mon-1/old").await, PubAckReason::Success);
    made_again(&gateway, "mon-1");
    gateway.counted("gateway_subscriptions 1").await;
    let mut mon = with_session(&gateway, "mon-1", "mon-1").await;
    assert!(!mon.present, "the session was another identity's");
    mon.subscribe("cmd/icu/mon-1/#").await;
    assert_eq!(operator.publish("cmd/icu/mon-1/new").await, PubAckReason::Success);
    assert_eq!(mon.message().await, "cmd/icu/mon-1/new");
    // A change that keeps it the same one keeps its session.
    let entry = Identities::load(&gateway.identities()).unwrap().get("mon-1").unwrap().clone();
    leave(&gateway, mon, 1).await;
    let kept = Entry { roles: vec!["device".into(), "fleet".into()], id: None, ..entry };
    Identities::add(&gateway.identities(), "mon-1", kept).unwrap();
    gateway.counted("gateway_access_reloads_total{what=\"identities\",result=\"ok\"} 2").await;
    assert!(with_session(&gateway, "mon-1", "mon-1").await.present);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_anonymous_does_not_lock_the_owner_of_its_client_id_out() {
    for client_ids in [ClientIds::Bound, ClientIds::Any] {
        let gateway = TestGateway::with(|config, _| {
            config.access.anonymous_on_loopback = Some(true);
            config.access.client_ids = client_ids;
        })
        .await;
        let mut before = gateway.try_with("mon-1", stay).await.unwrap();
        before.subscribe("#").await;
        // While it is connected, and while it is away.
        for left in [1, 0] {
            let mut mon = with_session(&gateway, "mon-1", "mon-1").await;
            assert!(!mon.present, "what was anonymous is nobody's to take up");
            assert_eq!(mon.publish("dt/icu/mon-1/readings").await, PubAckReason::Success);
            gateway.counted("gateway_subscriptions 1").await;
            assert!(gateway.try_with("mon-1", stay).await.is_err(), "it is the identity's now");
            if left == 1 {
                drop(mon);
                gateway.counted("gateway_connections 0").await;
                let end = |options: &mut MqttOptions| {
                    options.set_credentials("mon-1", PASSWORD).set_clean_start(true);
                };
                drop(gateway.try_with("mon-1", end).await.unwrap());
                gateway.counted("gateway_sessions 0").await;
                let mut away = gateway.try_with("mon-1", stay).await.unwrap();
                away.subscribe("#").await;
                leave(&gateway, away, 0).await;
            }
        }
        drop(before);
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_says_connected_of_those_who_are() {
    let gateway = TestGateway::with(|config, _| config.access.client_ids = ClientIds::Any).await;
    let first = with_session(&gateway, "mon-1", "shared-id").await;
    let foreign = |options: &mut MqttOptions| {
        options.set_credentials("mon-2", PASSWORD);
    };
    assert!(gateway.try_with("shared-id", foreign).await.is_err());
    let forbidden = |options: &mut MqttOptions| {
        options.set_credentials("analyst", PASSWORD);
        will(options, "dt/icu/mon-1/will", None);
    };
    assert!(gateway.try_with("will-id", forbidden).await.is_err());
    drop(first);
    let log = gateway.stop().await;
    let of = |event: &str| -> Vec<_> {
        let lines = log.iter().filter(|line| line["event"] == event);
        lines.map(|line| line["identity"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(of("connected"), ["mon-1"]);
    assert_eq!(of("refused"), ["mon-2", "analyst"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_sessions_and_ends_them_with_the_admin_token() {
    let gateway = TestGateway::with(|config, folder| {
        let token = folder.path().join("token");
        fs::write(&token, "0123456789abcdef").unwrap();
        config.admin_token_file = Some(token);
    })
    .await;
    let token = format!("Bearer {}", "0123456789abcdef");
    let ask = async |token: Option<&str>, method, path: &str, body: &'static str| {
        let body = body.as_bytes().into();
        http::call_as(gateway.admin, token, method, path, body, PATIENCE).await.unwrap()
    };
    let mut here = with_session(&gateway, "mon-1", "mon-1").await;
    let mut away = with_session(&gateway, "mon-2", "mon-2").await;
    away.subscribe("cmd/icu/mon-2/#").await;
    leave(&gateway, away, 1).await;
    let mut operator = gateway.log_in("operator").await;
    operator.publish("cmd/icu/mon-2/x").await;
    assert_eq!(ask(None, Method::GET, "/sessions", "").await.0, StatusCode::UNAUTHORIZED);
    let list = async |query: &str| {
        let path = format!("/sessions{query}");
        let (status, body) = ask(Some(&token), Method::GET, &path, "").await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_slice::<SessionList>(&body).unwrap().sessions
    };
    let names: Vec<_> = list("").await.into_iter().map(|it| (it.client_id, it.connected)).collect();
    let named = |name: &str, connected| (name.to_owned(), connected);
    assert_eq!(names, [named("mon-1", true), named("mon-2", false), named("operator", true)]);
    let [mon] = &list("?identity=mon-2").await[..] else { panic!("one session") };
    assert_eq!((mon.subscriptions, mon.waiting), (Some(1), Some(1)));
    let end = async |body| ask(Some(&token), Method::POST, "/sessions/end", body).await.0;
    for client_id in ["{\"client_id\": \"mon-1\"}", "{\"client_id\": \"mon-2\"}"] {
        assert_eq!(end(client_id).await, StatusCode::OK);
    }
    here.ended(PATIENCE).await;
    gateway.counted("gateway_sessions 1").await;
    assert_eq!(end("{\"client_id\": \"mon-2\"}").await, StatusCode::NOT_FOUND);
    assert_eq!(end("mon-2").await, StatusCode::BAD_REQUEST);
    assert!(!with_session(&gateway, "mon-1", "mon-1").await.present);
    assert!(!with_session(&gateway, "mon-2", "mon-2").await.present);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_sessions_where_there_is_no_admin_token() {
    let gateway = TestGateway::start().await;
    let body = "{\"client_id\": \"x\"}".as_bytes().into();
    let answer = http::call(gateway.admin, Method::POST, "/sessions/end", body, PATIENCE).await;
    let (status, said) = answer.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(String::from_utf8_lossy(&said).contains("admin_token_file"));
    gateway.stop().await;
}
