//! INV-8: what happens at the limits, and what makes no sense.

use api::ApiConfig;
use axum::http::Method;
use service_runtime::application::Proof;

use crate::kit::{OK, Ward, request};

#[tokio::test]
async fn what_makes_no_sense_is_answered_with_400_and_a_sentence() {
    let ward = Ward::new().await;
    let long = "2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z";
    for path in [
        "/api/v1/devices?limit=0".to_owned(),
        "/api/v1/devices?limit=1001".into(),
        "/api/v1/devices?limit=x".into(),
        "/api/v1/devices?after=x".into(),
        "/api/v1/devices?status=gone".into(),
        "/api/v1/devices?unknown=1".into(),
        "/api/v1/devices/%ff/x".into(),
        "/api/v1/alerts?state=gone".into(),
        "/api/v1/alerts/history?from=yesterday".into(),
        "/api/v1/landings?limit=5000".into(),
        "/api/v1/dead-letters/samples?limit=101".into(),
        "/api/v1/devices/a/b/series".into(),
        "/api/v1/devices/a/b/series?metric=x&points=1".into(),
        "/api/v1/devices/a/b/series?metric=x&points=10001".into(),
        format!("/api/v1/devices/a/b/series?metric=x&from={long}"),
        "/api/v1/devices/a/b/series?metric=x&from=2026-03-01T00:00:00Z&to=2026-01-01T00:00:00Z"
            .into(),
    ] {
        let answer = ward.get(&path).await;
        assert_eq!((answer.status, answer.kind.as_str()), (400, "application/json"), "{path}");
        assert!(answer.body["error"].as_str().is_some_and(|text| text.len() > 5), "{path}");
    }
    ward.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_as_json() {
    let ward = Ward::new().await;
    let unknown = ward.get("/api/v1/nothing").await;
    assert_eq!((unknown.status, unknown.kind.as_str()), (404, "application/json"));
    for (method, path) in
        [(Method::DELETE, "/api/v1/devices"), (Method::GET, "/api/v1/maintenance")]
    {
        let answer = ward.ask(request(method.as_str(), path, Proof::NotNeeded, None, None)).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (405, "application/json"),
            "{method} {path}"
        );
    }
    assert_eq!(ward.get("/").await.status, OK);
    assert_eq!(ward.get("/openapi.json").await.status, OK);
    ward.stop().await;
}

#[tokio::test]
async fn inv8_a_body_is_small_and_said_to_be_json() {
    let ward = Ward::new().await;
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(20 << 10));
    assert_eq!(ward.post("/api/v1/dead-letters/replay", &large).await.status, 400);
    let mut plain =
        request("POST", "/api/v1/dead-letters/replay", Proof::NotNeeded, None, Some("{}"));
    plain.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(ward.ask(plain).await.status, 400, "a page of another site may send that unasked");
    ward.stop().await;
}

#[tokio::test]
async fn inv8_who_asks_too_often_waits_and_others_do_not() {
    let ward = Ward::with(ApiConfig { requests_per_second: 1, ..ApiConfig::default() }, &[]).await;
    let mut taken = 0;
    while ward.get("/api/v1/me").await.status == OK {
        taken += 1;
        assert!(taken < 1_000, "there is a limit");
    }
    assert!(taken >= 10, "{taken}");
    let late = ward.send(request("GET", "/api/v1/me", Proof::NotNeeded, None, None)).await;
    assert_eq!(late.headers().get("retry-after").map(|it| it.to_str().unwrap()), Some("1"));
    ward.stop().await;
}

#[tokio::test]
async fn inv8_so_many_listen_and_no_more() {
    let ward = Ward::new().await;
    let listen = || request("GET", "/api/v1/events", Proof::NotNeeded, None, None);
    let mut streams = Vec::new();
    for _ in 0..64 {
        let response = ward.send(listen()).await;
        assert_eq!(response.status(), OK);
        streams.push(response.into_body());
    }
    assert_eq!(ward.send(listen()).await.status(), 503);
    streams.pop();
    assert_eq!(ward.send(listen()).await.status(), OK, "whoever leaves makes room");
    ward.stop().await;
}
