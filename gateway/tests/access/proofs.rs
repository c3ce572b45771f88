//! Certificates, passwords and tokens: the right ones, and everything else.

use std::fs;

use gateway::access::config::ClientIds;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rumqttc::v5::ConnectionError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason};
use service_runtime::Clock;

use crate::harness::{Client, PASSWORD, PATIENCE, TestGateway};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[track_caller]
fn refused(result: Result<Client, ConnectionError>) -> ConnectReturnCode {
    match result.err().expect("is refused") {
        ConnectionError::ConnectionRefused(code) => code,
        other => panic!("not refused by the gateway: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_lets_a_device_publish_as_itself() {
    let gateway = TestGateway::start().await;
    gateway.authority.issue("mon-1", 7);
    gateway.authority.issue("nobody", 8);
    let mut mon = gateway.try_certificate("mon-1").await.unwrap();
    assert_eq!(mon.publish("dt/icu/mon-1/readings").await, PubAckReason::Success);
    assert_eq!(mon.publish("dt/icu/mon-2/readings").await, PubAckReason::NotAuthorized);
    // A valid certificate of somebody nobody has heard of.
    let unknown = gateway.try_certificate("nobody").await;
    assert_eq!(refused(unknown), ConnectReturnCode::NotAuthorized);
    gateway.authority.revoke(&[7]);
    let audit = gateway.stop().await;
    let events: Vec<_> = audit.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert!(events.starts_with(&["connected", "publish_denied", "refused"]), "{events:?}");
    let (connected, denied) = (&audit[0], &audit[1]);
    assert_eq!(
        (&connected["identity"], &connected["proof"]),
        (&"mon-1".into(), &"certificate".into())
    );
    assert_eq!(denied["topic"], "dt/icu/mon-2/readings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_right_or_the_client_stays_out() {
    let gateway = TestGateway::start().await;
    let mut mon = gateway.log_in("mon-1").await;
    assert_eq!(mon.publish("dt/icu/mon-1/readings").await, PubAckReason::Success);
    for (name, password) in [("mon-1", "wrong horse"), ("nobody", PASSWORD), ("mon-1", "")] {
        let result = gateway
            .try_with("mon-1", |options| {
                options.set_credentials(name, password);
            })
            .await;
        assert_eq!(refused(result), ConnectReturnCode::BadUserNamePassword, "{name}");
    }
    let anonymous = gateway.try_with("mon-1", |_| {}).await;
    assert_eq!(refused(anonymous), ConnectReturnCode::NotAuthorized);
    for line in gateway.stop().await {
        assert!(!line.to_string().contains("horse"), "no password in the audit log: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_token_does() {
    let gateway = TestGateway::with(|config, folder| {
        let key = folder.path().join("jwt.key");
        fs::write(&key, SECRET).unwrap();
        config.access.jwt.key_file = Some(key);
        config.access.jwt.algorithms = vec![Algorithm::HS256];
        config.access.jwt.leeway_s = 0;
    })
    .await;
    let token = |seconds: i64, secret: &str| {
        let exp = Clock::default().now_us() / 1_000_000 + seconds;
        let claims = serde_json::json!({"sub": "van-9", "exp": exp, "roles": ["agent"]});
        encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let connect = async |token: String| {
        gateway
            .try_with("van-9@1", |options| {
                options.set_credentials("van-9", token);
            })
            .await
    };
    let mut van = connect(token(3, SECRET)).await.unwrap();
    assert_eq!(van.publish("tm/v1/status/van-9").await, PubAckReason::NoMatchingSubscribers);
    assert_eq!(van.publish("tm/v1/status/van-7").await, PubAckReason::NotAuthorized);
    van.ended(PATIENCE).await;
    let expired = connect(token(-1, SECRET)).await;
    assert_eq!(refused(expired), ConnectReturnCode::NotAuthorized);
    let forged = connect(token(60, &SECRET.to_uppercase())).await;
    assert_eq!(refused(forged), ConnectReturnCode::BadUserNamePassword);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_belongs_to_one_identity() {
    let gateway = TestGateway::start().await;
    let _mon = gateway.log_in("mon-1").await;
    let login = |name: &'static str| {
        move |options: &mut rumqttc::v5::MqttOptions| {
            options.set_credentials(name, PASSWORD);
        }
    };
    let stolen = gateway.try_with("mon-1", login("mon-2")).await;
    assert_eq!(refused(stolen), ConnectReturnCode::ClientIdentifierNotValid);
    assert!(gateway.try_with("mon-2@other", login("mon-2")).await.is_ok());
    assert!(gateway.try_with("", login("mon-2")).await.is_ok());
    gateway.stop().await;
    // With ids of the clients' own, a session stays with who began it.
    let gateway = TestGateway::with(|config, _| config.access.client_ids = ClientIds::Any).await;
    let mut first = gateway.try_with("shared", login("mon-1")).await.unwrap();
    let stolen = gateway.try_with("shared", login("mon-2")).await;
    assert_eq!(refused(stolen), ConnectReturnCode::NotAuthorized);
    assert_eq!(first.publish("dt/icu/mon-1/readings").await, PubAckReason::Success);
    gateway.stop().await;
}
