//! Who may ask what.

use api::{ApiConfig, Role};
use serde_json::json;
use service_runtime::application::Proof;

use crate::kit::{Ward, basic, request, roles};

const NAMES: [&str; 4] = ["ops", "ana", "nurse-1", "nobody"];

#[tokio::test]
async fn each_role_may_what_the_table_says() {
    let mut ward = Ward::with(roles(), &NAMES).await;
    ward.some().await;
    // ops, ana, nurse
    for (path, statuses) in [
        ("/api/v1/me", [200, 200, 200]),
        ("/api/v1/overview", [200, 200, 200]),
        ("/api/v1/sources", [200, 200, 200]),
        ("/api/v1/devices", [200, 200, 200]),
        ("/api/v1/devices/icu/mon-1", [200, 200, 200]),
        ("/api/v1/devices/icu/mon-1/series?metric=heart_rate", [200, 200, 200]),
        ("/api/v1/alerts", [200, 403, 200]),
        ("/api/v1/alerts/history", [200, 403, 200]),
        ("/api/v1/dead-letters", [200, 200, 403]),
        ("/api/v1/dead-letters/samples", [200, 403, 403]),
        ("/api/v1/landings", [200, 200, 403]),
        ("/api/v1/tables", [200, 200, 403]),
        ("/api/v1/connections", [200, 403, 403]),
        ("/api/v1/limits", [200, 403, 403]),
        ("/api/v1/topics", [200, 200, 403]),
        ("/api/v1/config", [200, 403, 403]),
    ] {
        for (name, status) in NAMES.iter().zip(statuses) {
            let answer = ward.get_as(Some(&basic(name)), path).await;
            assert_eq!(answer.status, status, "{name} {path} {:?}", answer.body);
        }
    }
    let nobody = "/api/v1/alerts/00000000000000000000000000000000/acknowledge";
    for (path, statuses) in
        [(nobody, [404, 403, 404]), ("/api/v1/dead-letters/replay", [200, 403, 403])]
    {
        for (name, status) in NAMES.iter().zip(statuses) {
            let login = basic(name);
            let answer =
                ward.ask(request("POST", path, Proof::Missing, Some(&login), Some("{}"))).await;
            assert_eq!(answer.status, status, "{name} {path} {:?}", answer.body);
        }
    }
    let device = ward.get_as(Some(&basic("ana")), "/api/v1/devices/icu/mon-1").await;
    assert_eq!(device.body["alerts"], json!([]), "an analyst sees no alerts");
    ward.stop().await;
}

#[tokio::test]
async fn patients_are_seen_only_by_those_who_may() {
    let mut ward = Ward::with(roles(), &NAMES).await;
    ward.some().await;
    let path = "/api/v1/dead-letters/samples?reason=topic_not_allowed";
    let masked = ward.get_as(Some(&basic("ops")), path).await;
    let sample = &masked.body["samples"][0];
    assert_eq!(sample["payload_text"], r#"{"patient":"***","pulse":0}"#);
    assert_eq!((&sample["payload_base64"], &sample["masked"]), (&json!(null), &json!(true)));
    assert!(!masked.body.to_string().contains("Anna"));
    let whole = ward.ask(request("GET", path, Proof::Token, None, None)).await;
    assert!(whole.body.to_string().contains("Anna"));
    for (name, seen) in [("ops", false), ("nurse-1", true)] {
        let device = ward.get_as(Some(&basic(name)), "/api/v1/devices/icu/mon-1").await;
        let payload = device.body["raw"]["payload"].as_str().unwrap();
        assert_eq!(payload.contains("130"), seen, "{name} {payload}");
    }
    ward.stop().await;
}

#[tokio::test]
async fn nobody_is_let_in_without_a_login_or_by_a_wrong_one() {
    let ward = Ward::with(roles(), &NAMES).await;
    let wrong = basic("ops").replace("Basic ", "Basic x");
    for authorization in
        [None, Some("Bearer nothing"), Some("Basic !"), Some("Digest x"), Some(wrong.as_str())]
    {
        for path in ["/api/v1/me", "/api/v1/config", "/api/v1/nothing", "/status"] {
            let answer = ward.get_as(authorization, path).await;
            assert!(
                matches!(answer.status, 401 | 429),
                "{authorization:?} {path} {}",
                answer.status
            );
        }
    }
    // What offers a wrong login is not let in although nothing is asked for.
    let offered = request("GET", "/api/v1/me", Proof::NotNeeded, Some("Basic !"), None);
    assert_eq!(ward.ask(offered).await.status, 401);
    let known = ward.get_as(Some(&basic("nobody")), "/api/v1/me").await;
    assert_eq!(
        (known.status, known.body["error"].as_str().unwrap().contains("no role")),
        (403, true)
    );
    ward.stop().await;
}

#[tokio::test]
async fn a_browser_is_asked_for_a_name_and_a_script_is_not() {
    let ward = Ward::with(roles(), &NAMES).await;
    let shown = ward.send(request("GET", "/api/v1/me", Proof::Missing, None, None)).await;
    assert!(shown.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let mut script = request("GET", "/api/v1/me", Proof::Missing, None, None);
    script.headers_mut().insert("sec-fetch-mode", "cors".parse().unwrap());
    let said = ward.send(script).await;
    assert!(said.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    ward.stop().await;
}

#[tokio::test]
async fn failed_logins_make_the_next_one_wait() {
    let ward = Ward::with(roles(), &["ops"]).await;
    let mut waits = false;
    for _ in 0..8 {
        let answer = ward.get_as(Some("Basic b3BzOndyb25n"), "/api/v1/me").await;
        assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
        waits |= answer.status == 429;
    }
    assert!(waits, "the throttle of MQTT holds here, too");
    let right = ward.get_as(Some(&basic("ops")), "/api/v1/me").await;
    assert_eq!(right.status, 429, "also with the right password");
    ward.stop().await;
}

#[test]
fn roles_are_read_from_a_file() {
    let text = "[roles]\n\"nurse-*\" = \"clinician\"\nops = \"operator\"\n";
    let config: ApiConfig = toml::from_str(text).unwrap();
    assert_eq!(config.roles["nurse-*"], Role::Clinician);
    assert!(toml::from_str::<ApiConfig>("[roles]\nx = \"king\"\n").is_err());
}
