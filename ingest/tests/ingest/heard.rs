//! What idle sources say is kept: without it no hour would ever be over for them.

use super::kit::{Lakeside, RECEIVED_US, Source};

const HOUR_US: i64 = 3_600_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nothing_more_says_when_that_was_and_it_is_kept() {
    let lakeside = Lakeside::new().await;
    let mut ingest = lakeside.ingest(|_| {}).await;
    let (mut done, mut behind, silent) = (Source::new("a"), Source::new("b"), Source::new("c"));
    for source in [&mut done, &mut behind] {
        let readings = source.readings(2);
        ingest.send(readings).await;
        ingest.landed(source).await;
    }
    let at = RECEIVED_US + HOUR_US;
    ingest.send(done.probe_at(at)).await;
    // Older than what was heard: nothing new.
    ingest.send(done.probe_at(at - 1)).await;
    // An older source's says no time.
    ingest.send(silent.probe()).await;
    // It has accepted more than has landed.
    let _under_way = behind.readings(1);
    ingest.send(behind.probe_at(at)).await;
    // Its clock is ahead: nobody has passed what is not over.
    let far = Source::new("d");
    ingest.send(far.probe_at(i64::MAX)).await;
    ingest.receipt_that(|receipt| receipt.source_id.as_str() == "d").await;
    ingest.stop().await;
    let heard = lakeside.lake.heard().await.unwrap();
    assert_eq!(heard.get("a"), Some(&at));
    assert!(!heard.contains_key("b") && !heard.contains_key("c"), "{heard:?}");
    assert!(heard["d"] < i64::MAX / 2, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_when_the_last_message_of_a_landing_was_accepted() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    for at in [RECEIVED_US, RECEIVED_US + HOUR_US] {
        source.received_us = at;
        ingest.send(source.readings(2)).await;
    }
    ingest.landed(&source).await;
    let rows = lakeside.rows("landings").await;
    let last = rows.iter().filter_map(|row| row.get("received_to")).max().unwrap();
    assert_eq!(last, "2026-08-01T01:00:00Z");
}
