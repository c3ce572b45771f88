//! Dead letters that the rules of today can decode land exactly once, whoever tries it how often.

use ingest::Config;
use ingest::config::TopicRule;
use ingest::replay::{Kept, Replayed, Wanted, replay};
use lake::{Lake, OpenMode, check};

use super::kit::{Lakeside, Source, TOPIC, fields, land};

const NOW: i64 = 1_785_600_000_000_000;

fn by_values() -> Config {
    let sources = [("*".into(), vec!["#".into()])].into();
    Config { topics: vec![TopicRule::new(TOPIC, "values")], sources, ..Config::default() }
}

async fn again(lake: &Lake, kept: Kept, wanted: &Wanted, dry: bool) -> Replayed {
    replay(lake, &by_values(), kept, wanted, dry, || NOW).await.unwrap()
}

async fn dead() -> Lakeside {
    land(&[
        (TOPIC, r#"{"temp":21,"mood":"good"}"#),
        (TOPIC, "{"),
        (TOPIC, r#"[{"metric":"a","value":1},{"metric":"b"}]"#),
        (TOPIC, r#"{"temp":22}"#),
        (TOPIC, r#"{"metric":"spo2","value":97}"#),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_what_can_be_decoded_now_lands_once_however_often_it_is_tried() {
    let lakeside = dead().await;
    let lake = &lakeside.lake;
    assert_eq!(lakeside.rows("readings").await.len(), 2);
    let all = Wanted::default();
    let expected = Replayed { wanted: 4, landed: 2, before: 0, refused: 1, partly: 1 };
    assert_eq!(again(lake, Kept::DeadLetters, &all, true).await, expected, "a dry run");
    assert_eq!(lakeside.rows("readings").await.len(), 2, "lands nothing");
    assert_eq!(again(lake, Kept::DeadLetters, &all, false).await, expected);
    let second = Replayed { wanted: 4, landed: 0, before: 2, refused: 1, partly: 1 };
    assert_eq!(again(lake, Kept::DeadLetters, &all, false).await, second);

    let rows = lakeside.rows("readings").await;
    let own: Vec<_> = rows
        .iter()
        .map(|row| {
            fields(row, ["source_id", "source_offset", "row_no", "metric", "value", "value_text"])
        })
        .collect();
    assert_eq!(
        own,
        [
            ["gw", "0", "0", "temp", "21.0", "-"],
            ["gw", "0", "1", "mood", "-", "good"],
            ["gw", "2", "0", "a", "1.0", "-"],
            ["gw", "3", "0", "temp", "22.0", "-"],
            ["gw", "4", "0", "spo2", "97.0", "-"],
        ]
    );
    assert!(rows.iter().all(|row| row["received_ts"] == "2026-08-01T00:00:00Z"), "as it was");
    let replays = lakeside.rows("replays").await;
    let done: Vec<_> =
        replays.iter().map(|row| fields(row, ["source_offset", "origin", "reason_code"])).collect();
    let reason = "metric_missing";
    assert_eq!(done, [["0", "dead_letters", reason], ["3", "dead_letters", reason]]);
    assert_eq!(lakeside.rows("dead_letters").await.len(), 4, "they stay");
    assert_eq!(check::run(lake).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_of_two_replays_at_once_each_message_lands_once_and_ingest_goes_on_beside_them() {
    let lakeside = dead().await;
    let url = lakeside.folder.path().display().to_string();
    let other = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
    let mut ingest = lakeside.ingest(|_| {}).await;
    let mut source = Source::new("beside");
    let all = Wanted::default();
    let (a, b, ()) = tokio::join!(
        again(&lakeside.lake, Kept::DeadLetters, &all, false),
        again(&other, Kept::DeadLetters, &all, false),
        async {
            for _ in 0..5 {
                ingest.send(source.readings(1)).await;
                ingest.landed(&source).await;
            }
        }
    );
    ingest.stop().await;
    assert_eq!((a.landed + b.landed, a.landed * b.landed), (2, 0), "{a:?} {b:?}");
    assert_eq!(lakeside.rows("readings").await.len(), 5 + 5);
    assert_eq!(lakeside.rows("replays").await.len(), 2);
    assert_eq!(check::run(&other).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_asked_for_is_replayed() {
    let lakeside = dead().await;
    let wanted = |reason: Option<&str>, topic: Option<&str>, since_us| Wanted {
        reason: reason.map(str::to_owned),
        topic: topic.map(str::to_owned),
        since_us,
    };
    for (wanted, count) in [
        (wanted(Some("json_truncated"), None, None), 1),
        (wanted(None, Some("dt/+/+/readings"), None), 4),
        (wanted(None, Some("dt/+/+/status"), None), 0),
        (wanted(None, None, Some(NOW)), 0),
    ] {
        let done = again(&lakeside.lake, Kept::DeadLetters, &wanted, true).await;
        assert_eq!(done.wanted, count, "{wanted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_kept_messages_without_rows_are_reprocessed_once() {
    let lakeside = Lakeside::new().await;
    let mut ingest = lakeside
        .ingest(|config| {
            let rule = TopicRule::new(TOPIC, "readings");
            config.topics.push(TopicRule { raw: true, ..rule });
        })
        .await;
    let mut source = Source::new("gw");
    ingest
        .send(source.frame(&[(TOPIC, r#"{"temp":21}"#), (TOPIC, r#"{"metric":"a","value":1}"#)]))
        .await;
    ingest.landed(&source).await;
    ingest.stop().await;
    let all = Wanted::default();
    let done = again(&lakeside.lake, Kept::Messages, &all, false).await;
    assert_eq!(done, Replayed { wanted: 2, landed: 1, before: 0, refused: 0, partly: 1 });
    // The same message is a dead letter, too.
    let done = again(&lakeside.lake, Kept::DeadLetters, &all, false).await;
    assert_eq!(done, Replayed { wanted: 1, landed: 0, before: 1, refused: 0, partly: 0 });
    assert_eq!(lakeside.rows("readings").await.len(), 2);
    assert_eq!(lakeside.rows("messages").await.len(), 2, "not kept again");
}
