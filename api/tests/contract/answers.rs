//! What each path answers.

use serde_json::{Value, json};

use crate::kit::{OK, Ward, read_until, request, time};
use service_runtime::application::Proof;

#[tokio::test]
async fn a_device_is_there_with_its_values_its_alert_its_rules_and_its_series() {
    let mut ward = Ward::new().await;
    ward.some().await;
    let page = ward.good("/api/v1/devices?metrics=true&limit=1").await;
    assert_eq!(page["totals"], json!({"online": 2, "silent": 0, "unknown": 0}));
    assert_eq!(page["devices"][0]["device"], "mon-1");
    assert_eq!(page["devices"][0]["metrics"][0]["value"], 130.0);
    let next = page["next"].as_str().unwrap();
    let rest = ward.good(&format!("/api/v1/devices?after={next}")).await;
    assert_eq!((&rest["devices"][0]["device"], &rest["next"]), (&json!("mon-2"), &Value::Null));
    assert_eq!(ward.good("/api/v1/devices?q=MON-2").await["devices"].as_array().unwrap().len(), 1);
    assert_eq!(ward.good("/api/v1/devices?status=silent").await["devices"], json!([]));

    let device = ward.good("/api/v1/devices/icu/mon-1").await;
    assert_eq!(device["alerts"][0]["rule"], "fast");
    assert_eq!(device["rules"][0]["name"], "fast");
    assert_eq!(device["topic"], "dt/icu/mon-1/readings");
    assert!(device["raw"]["payload"].as_str().unwrap().contains("130"));
    assert_eq!(ward.get("/api/v1/devices/icu/nobody").await.status, 404);

    let series = ward.good("/api/v1/devices/icu/mon-1/series?metric=heart_rate").await;
    assert_eq!((&series["unit"], &series["more"]), (&json!("/min"), &json!(false)));
    assert_eq!((&series["points"][0][1], &series["points"][0][2]), (&json!(130.0), &json!("good")));
    let none = ward
        .good(&format!("/api/v1/devices/icu/mon-1/series?metric=heart_rate&to={}", time(-60)))
        .await;
    assert_eq!((&none["points"], &none["unit"]), (&json!([]), &Value::Null));
    ward.stop().await;
}

#[tokio::test]
async fn the_rules_of_a_device_are_those_in_force_whatever_the_file_says_by_now() {
    let mut ward = Ward::new().await;
    ward.some().await;
    ward.write_rules("[[rule]]\nname = \"unfinished");
    let device = ward.good("/api/v1/devices/icu/mon-1").await;
    assert_eq!(device["rules"][0]["name"], "fast", "a file that is refused changes nothing");
    ward.stop().await;
}

#[tokio::test]
async fn an_alert_is_acknowledged_silenced_and_told_once_it_is_in_the_lake() {
    let mut ward = Ward::new().await;
    ward.some().await;
    let alerts = ward.good("/api/v1/alerts?state=firing").await;
    let alert = alerts["alerts"][0].clone();
    assert_eq!((&alert["severity"], &alert["device"]), (&json!("critical"), &json!("mon-1")));
    let path = format!("/api/v1/alerts/{}", alert["alert"].as_str().unwrap());
    let done = ward.post(&format!("{path}/acknowledge"), "{}").await;
    assert_eq!((done.status, done.body), (OK, json!({})));
    assert_eq!(ward.post(&format!("{path}/acknowledge"), "{}").await.status, 409);
    let shown = ward.good("/api/v1/alerts").await;
    assert_eq!(
        (&shown["alerts"][0]["state"], &shown["alerts"][0]["by"]),
        (&json!("acknowledged"), &json!("local"))
    );
    let silenced = ward.post(&format!("{path}/silence"), r#"{"for": "2h"}"#).await;
    assert_eq!(silenced.status, OK, "{:?}", silenced.body);
    let steps = ward.good(&format!("/api/v1/alerts/history?to={}", time(60))).await;
    let states: Vec<&Value> =
        steps["transitions"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states.len(), 3, "{steps:#}");
    let page = ward.good(&format!("/api/v1/alerts/history?limit=2&to={}", time(60))).await;
    let next = page["next"].as_str().unwrap();
    let rest =
        ward.good(&format!("/api/v1/alerts/history?limit=2&to={}&after={next}", time(60))).await;
    assert_eq!((rest["transitions"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    ward.stop().await;
}

#[tokio::test]
async fn what_people_cannot_do_is_refused_with_a_reason() {
    let mut ward = Ward::new().await;
    ward.some().await;
    let nobody = "/api/v1/alerts/00000000000000000000000000000000/acknowledge";
    for (path, body, status) in [
        (nobody, "{}", 404),
        ("/api/v1/alerts/x/acknowledge", "{}", 400),
        (nobody, "", 400),
        (nobody, "[]", 400),
        (nobody, r#"{"x":1}"#, 400),
        ("/api/v1/alerts/00000000000000000000000000000000/silence", r#"{"for":"0s"}"#, 400),
        ("/api/v1/alerts/00000000000000000000000000000000/silence", r#"{"for":"2h"}"#, 404),
        ("/api/v1/maintenance", r#"{"site":"icu","device":"*","from":"x","until":"y"}"#, 400),
    ] {
        let answer = ward.post(path, body).await;
        assert_eq!(answer.status, status, "{path} {body} {:?}", answer.body);
        assert!(!answer.body["error"].as_str().unwrap().is_empty());
    }
    let window = |from: i64, until: i64| {
        json!({"site": "icu", "device": "mon-*", "from": time(from), "until": time(until)})
            .to_string()
    };
    assert_eq!(ward.post("/api/v1/maintenance", &window(-60, 3_600)).await.status, OK);
    assert_eq!(ward.post("/api/v1/maintenance", &window(-60, -30)).await.status, 400);
    ward.stop().await;
}

#[tokio::test]
async fn dead_letters_are_counted_shown_and_tried_again() {
    let mut ward = Ward::new().await;
    ward.some().await;
    let counts = ward.good("/api/v1/dead-letters").await;
    let reasons: Vec<&str> = counts["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    assert!(reasons.contains(&"topic_not_allowed") && reasons.len() == 2, "{reasons:?}");
    let samples = ward.good("/api/v1/dead-letters/samples?reason=topic_not_allowed").await;
    let sample = &samples["samples"][0];
    assert_eq!((&sample["topic"], &sample["masked"]), (&json!("home/somewhere"), &json!(false)));
    assert!(sample["payload_text"].as_str().unwrap().contains("Anna"));
    let broken = ward.good("/api/v1/dead-letters/samples?topic=dt/%23").await;
    assert_eq!(broken["samples"][0]["payload_text"], "{broken");
    assert_eq!(ward.get("/api/v1/dead-letters/samples?topic=a/%23/b").await.status, 400);
    let replayed =
        ward.post("/api/v1/dead-letters/replay", r#"{"reason":"topic_not_allowed"}"#).await;
    assert_eq!(
        replayed.body,
        json!({"wanted": 1, "landed": 0, "before": 0, "refused": 1, "partly": 0})
    );
    ward.stop().await;
}

#[tokio::test]
async fn what_is_in_the_lake_and_what_runs_is_said() {
    let mut ward = Ward::new().await;
    ward.some().await;
    let landings = ward.good("/api/v1/landings?limit=5").await;
    let first =
        landings["landings"].as_array().unwrap().iter().find(|it| it["source"] == "gw").unwrap();
    assert_eq!(
        (&first["from"], &first["to"], &first["tables"]["readings"]),
        (&json!(0), &json!(4), &json!(2))
    );
    let tables = ward.good("/api/v1/tables").await;
    let readings =
        tables["tables"].as_array().unwrap().iter().find(|it| it["name"] == "readings").unwrap();
    assert_eq!(readings["rows"], 2);
    assert_eq!((&tables["last_compaction"], &readings["compacted"]), (&json!(null), &json!(null)));
    let sources = ward.good("/api/v1/sources").await;
    let gw = sources["sources"].as_array().unwrap().iter().find(|it| it["source"] == "gw").unwrap();
    assert_eq!(
        (&gw["state"], &gw["landed"], &gw["dead_letters"]),
        (&json!("here"), &json!(4), &json!(2))
    );
    assert_eq!(
        (&gw["lag_seconds"], &gw["version"]),
        (&json!(0.0), &json!(null)),
        "no gateway here"
    );
    let topics = ward.good("/api/v1/topics?limit=2").await;
    assert_eq!(
        (&topics["topics"][0]["topic"], &topics["topics"][0]["rule"]),
        (&json!("dt/icu/mon-1/readings"), &topics["topics"][1]["rule"])
    );
    let rest =
        ward.good(&format!("/api/v1/topics?after={}", topics["next"].as_str().unwrap())).await;
    assert_eq!(
        (&rest["topics"][0]["topic"], &rest["topics"][0]["dead_letters"]),
        (&json!("home/somewhere"), &json!(1))
    );
    let limits = ward.good("/api/v1/limits").await;
    let listed =
        limits["limits"].as_array().unwrap().iter().find(|it| it["name"] == "topics").unwrap();
    assert_eq!((&listed["used"], &listed["max"]), (&json!(3), &json!(10_000)));
    let config = ward.good("/api/v1/config").await;
    assert_eq!(config["config"]["gateway"]["password"], "***");
    let overview = ward.good("/api/v1/overview").await;
    assert_eq!(
        (&overview["alerts"]["firing"], &overview["devices"]["online"]),
        (&json!(1), &json!(2))
    );
    let me = ward.good("/api/v1/me").await;
    assert_eq!(
        (&me["name"], &me["role"], me["may"].as_array().unwrap().len()),
        (&json!("local"), &json!("admin"), 8)
    );
    let none = ward.get("/api/v1/connections").await;
    assert!(none.status == 404 && none.body["error"].as_str().unwrap().contains("no gateway"));
    ward.stop().await;
}

#[tokio::test]
async fn what_moves_is_sent() {
    let mut ward = Ward::new().await;
    let response = ward.send(request("GET", "/api/v1/events", Proof::NotNeeded, None, None)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    ward.some().await;
    let mut read = read_until(&mut body, "event: landed").await;
    if !read.contains("event: heard") {
        read += &read_until(&mut body, "event: heard").await;
    }
    assert!(read.contains("event: alert\ndata: {\"alert\":\""), "{read}");
    assert!(read.contains("\"rows\":"), "{read}");
    ward.stop().await;
}

#[test]
fn the_description_has_every_path_and_a_schema_for_every_answer() {
    let description = serde_json::to_value(api::description()).unwrap();
    assert_eq!(description["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 21);
    for (path, methods) in paths {
        for (method, said) in methods.as_object().unwrap() {
            let content = &said["responses"]["200"]["content"];
            assert!(content.as_object().is_some_and(|it| !it.is_empty()), "{method} {path}");
            for refused in ["400", "401", "403", "404", "429", "503"] {
                assert!(said["responses"][refused].is_object(), "{method} {path} {refused}");
            }
        }
    }
}
