//! INV-14: alerts are rows like others: landed with what caused them, once, whoever is killed; what people do is one of them.

use ingest::watching::{DevicesWanted, NoAnswer};
use watch::{Action, AlertId, State, Status};

use ingest::Inbound;

use crate::kit::{Ingest, Lakeside, RECEIVED_US, Row, Source, fields};

const RULES: &str = r#"
[[rule]]
name = "fast"
severity = "critical"
metric = "heart_rate"
above = 120
clear = 110

[[rule]]
name = "quiet"
device = "mon-*"
silent_for = "5m"
"#;

/// Rules in a file of the lake's folder.
fn rules(lakeside: &Lakeside, text: &str) -> std::path::PathBuf {
    let path = lakeside.folder.path().join("rules.toml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn ingest(lakeside: &Lakeside) -> Ingest {
    let path = lakeside.folder.path().join("rules.toml");
    lakeside.ingest(|config| config.alerts.rules = Some(path)).await
}

/// A message of a monitor: its heart rate at a second.
fn beats(source: &mut Source, device: &str, second: i64, rate: f64) -> Inbound {
    source.received_us = RECEIVED_US + second * 1_000_000;
    let at = jiff::Timestamp::from_microsecond(source.received_us).unwrap();
    let topic = format!("dt/icu/{device}/readings");
    let payload = format!(r#"{{"ts":"{at}","metric":"heart_rate","value":{rate},"unit":"/min"}}"#);
    source.frame(&[(topic.as_str(), payload)])
}

/// What the table says, without when it was found out.
async fn told(lakeside: &Lakeside) -> Vec<Row> {
    let mut rows = lakeside.rows("alerts").await;
    rows.iter_mut().for_each(|row| drop(row.remove("found_ts")));
    rows
}

fn steps(rows: &[Row]) -> Vec<[&str; 3]> {
    rows.iter().map(|row| fields(row, ["device_id", "rule", "state"])).collect()
}

#[tokio::test]
async fn inv14_steps_of_alerts_land_with_the_rows_that_caused_them() {
    let lakeside = Lakeside::new().await;
    rules(&lakeside, RULES);
    let (mut ingest, mut source) = (ingest(&lakeside).await, Source::new("gw"));
    for (second, rate) in [(0, 80.0), (1, 130.0), (2, 115.0), (3, 100.0)] {
        ingest.send(beats(&mut source, "mon-1", second, rate)).await;
        ingest.landed(&source).await;
    }
    ingest.stop().await;
    let rows = told(&lakeside).await;
    assert_eq!(steps(&rows), [["mon-1", "fast", "firing"], ["mon-1", "fast", "resolved"]]);
    assert_eq!(
        fields(&rows[0], ["severity", "site", "metric", "measured", "cause_offset"]),
        ["critical", "icu", "heart_rate", "130 /min", "1"]
    );
    assert_eq!(rows[0]["evidence"], format!("[\"gw/{}/1/0\"]", source.epoch.get()));
    assert_eq!(rows[0]["alert_id"], rows[1]["alert_id"]);
    assert_eq!(fields(&rows[1], ["source_id", "source_offset", "row_no"]), ["~watch-0", "1", "0"]);
    // In the same landing: the ledger names both.
    let ledger = lakeside.rows("landings").await;
    let landings = |table: &str, source: &str| -> Vec<&str> {
        let of = |row: &&Row| {
            row.get("table_name").is_some_and(|name| name == table) && row["source_id"] == source
        };
        let mut rows: Vec<&Row> = ledger.iter().filter(of).collect();
        rows.sort_by_key(|row| row["to_offset"].parse::<u64>().unwrap());
        rows.iter().map(|row| row["landing_id"].as_str()).collect()
    };
    let caused = landings("readings", "gw");
    assert_eq!(landings("alerts", "~watch-0"), [caused[1], caused[3]]);
}

/// Frames of two monitors that come and go.
fn course(source: &mut Source) -> Vec<Inbound> {
    let mut frames = Vec::new();
    for n in 0..40 {
        let rate = if n % 7 < 3 { 80.0 } else { 140.0 };
        // The second one is not heard for a while, and then again.
        let device = if n % 3 == 0 && !(10..30).contains(&n) { "mon-2" } else { "mon-1" };
        frames.push(beats(source, device, n * 40, rate));
    }
    frames
}

#[tokio::test]
async fn inv14_however_often_ingest_is_killed_each_step_is_there_once() {
    let mut tables = Vec::new();
    for kills in [false, true] {
        let lakeside = Lakeside::new().await;
        rules(&lakeside, RULES);
        let mut source = Source::new("gw");
        let frames = course(&mut source);
        let mut running = ingest(&lakeside).await;
        if kills {
            // After each landing, with more on the way of which some may have been decided.
            for n in 1..frames.len() as u64 {
                for frame in &frames {
                    running.send(crate::kit::again(frame)).await;
                }
                running.receipt_that(|receipt| receipt.landed >= n).await;
                running.kill();
                running = ingest(&lakeside).await;
            }
        }
        running.deliver(&source, &frames).await;
        running.stop().await;
        assert_eq!(lakeside.offsets().await, (0..40).collect::<Vec<_>>(), "kills: {kills}");
        tables.push(told(&lakeside).await);
        let kept = std::fs::read_dir(lakeside.folder.path().join("_tidemark/watch/ingest-1"));
        assert!(kept.unwrap().count() <= 3, "old states go");
    }
    assert!(tables[0].len() > 12, "{:?}", steps(&tables[0]));
    assert!(steps(&tables[0]).contains(&["mon-2", "quiet", "firing"]));
    assert_eq!(tables[0], tables[1]);
}

async fn alert_of(ingest: &Ingest, rule: &str) -> AlertId {
    let alerts = ingest.watcher.alerts().await.unwrap();
    alerts.iter().find(|alert| alert.rule == rule).unwrap().alert
}

#[tokio::test]
async fn inv14_what_people_do_is_in_the_lake_when_they_are_told_so_and_stays() {
    let lakeside = Lakeside::new().await;
    rules(&lakeside, RULES);
    // Nothing lands by itself soon: who waits is not kept waiting.
    let path = lakeside.folder.path().join("rules.toml");
    let mut ingest = lakeside
        .ingest(|config| {
            (config.flush_rows, config.flush_age_ms) = (1_000_000, 3_600_000);
            config.alerts.rules = Some(path);
        })
        .await;
    let mut source = Source::new("gw");
    let mut moves = ingest.watcher.moves();
    ingest.send(beats(&mut source, "mon-1", 0, 140.0)).await;
    // Told before it lands.
    let told_of = async {
        loop {
            if let ingest::watching::Moved::Alert(step) = moves.recv().await.unwrap() {
                return step;
            }
        }
    };
    assert_eq!(told_of.await.to, State::Firing);
    assert_eq!(told(&lakeside).await, Vec::<Row>::new());
    let alert = alert_of(&ingest, "fast").await;
    let acknowledge = |alert| Action::Acknowledge { alert, by: "nurse".into() };
    ingest.watcher.act(acknowledge(alert)).await.unwrap();
    let rows = told(&lakeside).await;
    assert_eq!(
        fields(&rows[1], ["state", "reason", "acted_by"]),
        ["acknowledged", "person", "nurse"]
    );
    assert!(matches!(ingest.watcher.act(acknowledge(alert)).await, Err(NoAnswer::Act(_))));
    assert!(matches!(ingest.watcher.act(acknowledge(AlertId(7))).await, Err(NoAnswer::Act(_))));
    ingest.landed(&source).await;
    ingest.kill();

    let ingest = self::ingest(&lakeside).await;
    let alerts = ingest.watcher.alerts().await.unwrap();
    assert_eq!((alerts[0].alert, alerts[0].state), (alert, State::Acknowledged));
    assert_eq!(alerts[0].by.as_deref(), Some("nurse"));
    ingest.stop().await;
}

#[tokio::test]
async fn inv14_an_idle_source_vouches_for_the_time_and_one_that_is_not_heard_does_not() {
    let lakeside = Lakeside::new().await;
    rules(&lakeside, RULES);
    let (mut ingest, mut source) = (ingest(&lakeside).await, Source::new("gw"));
    ingest.send(beats(&mut source, "mon-1", 0, 80.0)).await;
    ingest.send(beats(&mut source, "mon-2", 200, 80.0)).await;
    ingest.landed(&source).await;
    assert_eq!(told(&lakeside).await, Vec::<Row>::new());
    // It says that it had nothing more by then.
    ingest.send(source.probe_at(RECEIVED_US + 301_000_000)).await;
    let rows = loop {
        let rows = told(&lakeside).await;
        if !rows.is_empty() {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(steps(&rows), [["mon-1", "quiet", "firing"]]);
    assert_eq!(rows[0]["at_ts"], "2026-08-01T00:05:00Z");
    let page = ingest.watcher.devices(DevicesWanted { limit: 10, ..DevicesWanted::default() });
    let page = page.await.unwrap();
    assert_eq!(page.totals, [1, 1, 0]);
    assert_eq!(
        (page.devices[0].device.as_str(), page.devices[0].status),
        ("mon-1", Status::Silent)
    );
    let device = ingest.watcher.device("icu", "mon-1").await.unwrap().unwrap();
    assert_eq!(
        (device.metrics[0].metric.as_str(), device.metrics[0].value),
        ("heart_rate", Some(80.0))
    );
    assert_eq!(ingest.watcher.device("icu", "nobody").await.unwrap(), None);
    ingest.stop().await;
}

#[tokio::test]
async fn inv14_rules_that_change_are_taken_without_a_restart() {
    let lakeside = Lakeside::new().await;
    let path = rules(&lakeside, RULES);
    let (mut ingest, mut source) = (ingest(&lakeside).await, Source::new("gw"));
    ingest.send(beats(&mut source, "mon-1", 0, 140.0)).await;
    ingest.landed(&source).await;
    std::fs::write(&path, RULES.replace("fast", "faster")).unwrap();
    let rows = loop {
        let rows = told(&lakeside).await;
        if rows.len() > 1 {
            break rows;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(fields(&rows[1], ["rule", "state", "reason"]), ["fast", "resolved", "rule_changed"]);
    ingest.send(beats(&mut source, "mon-1", 1, 141.0)).await;
    ingest.landed(&source).await;
    ingest.stop().await;
    assert_eq!(steps(&told(&lakeside).await)[2..], [["mon-1", "faster", "firing"]]);
}

/// A server that answers each request with the next of these, and then with 200. Returns what was posted.
async fn receiver(
    answers: &'static [&'static str],
) -> (String, tokio::sync::mpsc::Receiver<String>, tokio::task::JoinSet<()>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (posted, seen) = tokio::sync::mpsc::channel(64);
    let server = async move {
        let mut answers = answers.iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            // The body ends with the JSON.
            while !request.ends_with(b"}") && !request.ends_with(b"]") {
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read > 0);
                request.extend(&piece[..read]);
            }
            let answer = answers.next().unwrap_or(&"200 OK");
            let answer =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if posted.send(String::from_utf8(request).unwrap()).await.is_err() {
                return;
            }
        }
    };
    (url, seen, tokio::task::JoinSet::from_iter([server]))
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.lines().take_while(|line| !line.is_empty());
    head.filter_map(|line| line.split_once(": "))
        .find_map(|(own, value)| own.eq_ignore_ascii_case(name).then_some(value))
}

fn body(request: &str) -> serde_json::Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn inv14_webhook_and_alertmanager_are_told_before_anything_lands_and_again_until_they_take_it()
 {
    let lakeside = Lakeside::new().await;
    let rules = rules(&lakeside, RULES);
    let secret = lakeside.folder.path().join("secret");
    std::fs::write(&secret, "hush\n").unwrap();
    let (hook, mut hooked, _server) = receiver(&["503 Service Unavailable", "404 Not Found"]).await;
    let (manager, mut managed, _other) = receiver(&[]).await;
    let ingest = lakeside
        .ingest(|config| {
            (config.flush_rows, config.flush_age_ms) = (1_000_000, 3_600_000);
            config.alerts.rules = Some(rules);
            let (url, secret_file) = (format!("{hook}/alerts?key=hidden"), Some(secret));
            config.alerts.webhooks = vec![ingest::notify::Webhook { url, secret_file }];
            config.alerts.alertmanager = Some(manager);
        })
        .await;
    let mut source = Source::new("gw");
    for (second, rate) in [(0, 130.0), (1, 100.0)] {
        ingest.send(beats(&mut source, "mon-1", second, rate)).await;
    }
    let mut tries = Vec::new();
    for _ in 0..4 {
        tries.push(hooked.recv().await.unwrap());
    }
    let states: Vec<_> = tries.iter().map(|request| body(request)["state"].clone()).collect();
    assert_eq!(states, ["firing", "firing", "firing", "resolved"]);
    assert!(tries[0].starts_with("POST /alerts?key=hidden HTTP/1.1"));
    let ids: Vec<_> = tries.iter().map(|request| header(request, "idempotency-key")).collect();
    assert_eq!((ids[0], ids[1]), (ids[2], ids[2]));
    assert_ne!(ids[2], ids[3]);
    assert!(header(&tries[0], "tidemark-signature").unwrap().starts_with("t="));
    for state in ["firing", "resolved"] {
        let told = body(&managed.recv().await.unwrap());
        assert_eq!(told[0]["annotations"]["state"], state);
        assert_eq!(told[0]["labels"]["alertname"], "fast");
    }
    assert_eq!(told(&lakeside).await, Vec::<Row>::new(), "nothing has landed yet");
    ingest.stop().await;
}

#[tokio::test]
async fn inv14_what_was_landed_and_not_told_is_told_by_the_next_life() {
    let lakeside = Lakeside::new().await;
    let rules = rules(&lakeside, RULES);
    let mut source = Source::new("gw");
    // Nobody listens there.
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nowhere.local_addr().unwrap();
    drop(nowhere);
    let with = |url: String| {
        let rules = rules.clone();
        move |config: &mut ingest::Config| {
            config.alerts.rules = Some(rules);
            config.alerts.webhooks = vec![ingest::notify::Webhook { url, secret_file: None }];
        }
    };
    let mut ingest = lakeside.ingest(with(format!("http://{address}"))).await;
    ingest.send(beats(&mut source, "mon-1", 0, 130.0)).await;
    ingest.landed(&source).await;
    ingest.kill();
    let (hook, mut hooked, _server) = receiver(&[]).await;
    let ingest = lakeside.ingest(with(hook)).await;
    assert_eq!(body(&hooked.recv().await.unwrap())["state"], "firing");
    ingest.stop().await;
}
