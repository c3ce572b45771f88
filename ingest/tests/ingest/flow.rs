//! The way of a frame when nothing fails: order, identity, receipts, limits, shutdown.

use ingest::Inbound;

use super::kit::{Lakeside, Source, TOPIC, again, bytes, reading};

#[tokio::test(flavor = "multi_thread")]
async fn inv6_messages_land_in_order_with_their_identity_and_the_receipt_says_where() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    for _ in 0..3 {
        ingest.send(source.readings(4)).await;
    }
    let receipt = ingest.landed(&source).await;
    assert_eq!((receipt.landed, receipt.chain), (12, source.chain));
    assert_eq!(receipt.lake_id, lakeside.lake.id());
    assert_eq!(receipt.window, 192 << 20, "one source has all the memory");
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), 12);
    for (n, row) in rows.iter().enumerate() {
        let identity =
            ["source_id", "epoch", "source_offset", "row_no", "seq"].map(|name| row[name].as_str());
        assert_eq!(identity, ["gw", "42", &n.to_string(), "0", &n.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_repeated_overlapping_and_reordered_frames_land_once() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    let mut overlap = source.clone();
    let first = source.readings(3);
    let overlapping = overlap.readings(5);
    let second = source.readings(4);
    ingest.send(again(&second)).await;
    let asked = ingest.receipt_that(|receipt| receipt.resend_from.is_some()).await;
    assert_eq!(asked.resend_from, Some(0), "the second frame came first");
    for frame in [&first, &first, &overlapping, &first, &second, &second] {
        ingest.send(again(frame)).await;
    }
    ingest.landed(&source).await;
    assert_eq!(lakeside.offsets().await, (0..7).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_receipt_never_runs_ahead_of_a_fresh_reader() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    for _ in 0..5 {
        ingest.send(source.readings(10)).await;
    }
    let mut landed = 0;
    while landed < source.next {
        landed = ingest.receipt().await.landed;
        let readable = lakeside.offsets().await;
        assert!(readable.iter().filter(|offset| **offset < landed).count() as u64 == landed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_a_new_source_is_answered_with_a_window() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.probe()).await;
    let receipt = ingest.receipt().await;
    assert_eq!((receipt.landed, receipt.chain, receipt.resend_from), (0, 0, None));
    assert!(receipt.window > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_land_together_and_share_the_memory() {
    let lakeside = Lakeside::new().await;
    let mut ingest = lakeside.ingest(|config| config.flush_rows = 9).await;
    let mut sources = ["a", "b", "c"].map(Source::new);
    for source in &mut sources {
        ingest.send(source.readings(3)).await;
    }
    let mut last = None;
    for _ in &sources {
        last = Some(ingest.receipt_that(|receipt| receipt.landed == 3).await);
    }
    assert_eq!(last.unwrap().window, (192 << 20) / 3);
    let landings = lakeside.rows("landings").await;
    assert_eq!(landings.len(), 3, "one landing, a row for each source");
    assert!(
        landings
            .iter()
            .all(|row| row["landing_id"] == landings[0]["landing_id"] && row["row_count"] == "3")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_a_source_cannot_deliver_are_recorded_as_gaps() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.readings(2)).await;
    ingest.send(source.gap(100)).await;
    ingest.send(source.readings(2)).await;
    let receipt = ingest.landed(&source).await;
    assert_eq!((receipt.landed, receipt.chain), (104, source.chain));
    let landings = lakeside.rows("landings").await;
    let sum =
        |name: &str| landings.iter().map(|row| row[name].parse::<u64>().unwrap()).sum::<u64>();
    assert_eq!(
        (sum("message_count"), sum("gap_count"), sum("row_count")),
        (4, 100, 4),
        "they reconcile"
    );
    let gaps: Vec<_> = landings.iter().filter_map(|row| row.get("gaps")).collect();
    assert_eq!(gaps, [r#"[{"first":2,"count":100,"reason":"dropped"}]"#]);
    let books = lakeside.lake.books().await.unwrap();
    let books: Vec<_> = books.iter().map(|b| (b.landed, b.dropped, b.appended)).collect();
    assert_eq!(books, [(104, 100, Some(104))]);
    let key = lakeside.lake.books().await.unwrap()[0].key.clone();
    for (offset, expected) in [(1, None), (2, Some("dropped")), (101, Some("dropped")), (102, None)]
    {
        let found = lakeside.lake.gap_at(&key, offset).await.unwrap();
        assert_eq!(found.as_deref(), expected, "{offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv9_a_frame_on_another_sources_topic_is_dropped() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source, other) =
        (lakeside.ingest(|_| {}).await, Source::new("gw"), Source::new("evil"));
    let frame = source.readings(2);
    ingest.send(Inbound::Frame { topic: other.topic(), payload: bytes(&frame) }).await;
    ingest.send(Inbound::Frame { topic: source.topic(), payload: "no frame".into() }).await;
    ingest.send(other.probe()).await;
    assert_eq!(ingest.receipt().await.source_id, other.id, "the first was not even answered");
    ingest.stop().await;
    assert!(lakeside.offsets().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_another_workers_lanes_are_left_to_it() {
    let lakeside = Lakeside::new().await;
    let mut ingest = lakeside.ingest(|config| config.lanes = vec![25]).await;
    let (mut other, mut own) = (Source::new("agent-1"), Source::new("gateway"));
    ingest.send(other.readings(2)).await;
    ingest.send(own.readings(3)).await;
    ingest.landed(&own).await;
    assert_eq!(lakeside.offsets().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lands_what_was_received_and_sends_the_receipts() {
    let lakeside = Lakeside::new().await;
    let (ingest, mut source) =
        (lakeside.ingest(|config| config.flush_rows = 1_000_000).await, Source::new("gw"));
    for _ in 0..3 {
        ingest.send(source.readings(5)).await;
    }
    // Frames are taken in order: when this one, which can't be read, is counted, the others were taken.
    ingest.send(Inbound::Frame { topic: source.topic(), payload: "no frame".into() }).await;
    while !ingest.metrics.render().contains(r#"ingest_frames_total{outcome="unreadable"} 1"#) {
        tokio::task::yield_now().await;
    }
    let receipts = ingest.stop().await;
    assert_eq!(receipts.last().map(|receipt| receipt.landed), Some(15));
    assert_eq!(lakeside.offsets().await.len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_lands_when_it_is_old_enough() {
    let lakeside = Lakeside::new().await;
    let change =
        |config: &mut ingest::Config| (config.flush_rows, config.flush_age_ms) = (1_000_000, 200);
    let (mut ingest, mut source) = (lakeside.ingest(change).await, Source::new("gw"));
    ingest.send(source.readings(5)).await;
    ingest.landed(&source).await;
    assert_eq!(lakeside.offsets().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_when_memory_is_used_up_frames_are_dropped_the_window_closes_and_nothing_is_lost() {
    let lakeside = Lakeside::new().await;
    let change = |config: &mut ingest::Config| {
        (config.flush_rows, config.flush_bytes, config.memory_bytes) = (1_000_000, 4096, 8192);
    };
    let (mut ingest, mut source) = (lakeside.ingest(change).await, Source::new("gw"));
    // More than fits at once: the source goes back to where it is told.
    let frames: Vec<(u64, Inbound)> = (0..40).map(|_| (source.next, source.readings(10))).collect();
    let mut at = 0;
    while at < frames.len() {
        ingest.send(again(&frames[at].1)).await;
        at += 1;
        if at == frames.len() {
            let end = source.next;
            let receipt = ingest
                .receipt_that(|receipt| {
                    receipt.landed == end || (receipt.resend_from.is_some() && receipt.window > 0)
                })
                .await;
            if let Some(from) = receipt.resend_from.filter(|_| receipt.landed < end) {
                at =
                    frames.iter().position(|(first, _)| *first >= from).unwrap_or(frames.len() - 1);
            }
        }
    }
    assert_eq!(lakeside.offsets().await, (0..400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_frame_beyond_the_memory_is_not_taken_and_its_source_waits_until_there_is_room() {
    let lakeside = Lakeside::new().await;
    let change = |config: &mut ingest::Config| {
        (config.flush_rows, config.flush_bytes, config.memory_bytes) =
            (1_000_000, 1 << 30, 32 << 10);
        config.flush_age_ms = 3_600_000;
    };
    let (mut ingest, mut source) = (lakeside.ingest(change).await, Source::new("gw"));
    for _ in 0..40 {
        ingest.send(source.readings(10)).await;
    }
    let asked = ingest.receipt_that(|receipt| receipt.resend_from.is_some()).await;
    let next = asked.resend_from.unwrap();
    assert!(next > 0 && next < source.next, "{asked:?}");
    ingest.receipt_that(|receipt| receipt.landed == next).await;
    ingest.stop().await;
    assert_eq!(lakeside.offsets().await, (0..next).collect::<Vec<_>>(), "and not one message more");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_frame_whose_rows_are_beyond_the_memory_is_taken_a_part_at_a_time() {
    let lakeside = Lakeside::new().await;
    let change = |config: &mut ingest::Config| {
        (config.flush_rows, config.flush_age_ms) = (10_000_000, 3_600_000);
        config.memory_bytes = 4 << 20;
    };
    let (mut ingest, mut source) = (lakeside.ingest(change).await, Source::new("gw"));
    let values: Vec<String> = (0..10_000).map(|n| format!(r#""m{}":{n}"#, n % 9)).collect();
    let payload = format!(r#"{{"values":{{{}}}}}"#, values.join(","));
    let frame = source.frame(&vec![(TOPIC, payload); 12]);
    let parts = ingest.deliver(&source, &[frame]).await;
    assert!(parts.len() > 2, "landed to {parts:?}");
    ingest.stop().await;
    assert_eq!(lakeside.rows("readings").await.len(), 120_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_at_the_size_limit_lands() {
    let pad = (1 << 20) - 200 - reading(0).len();
    let payload = reading(0).replace("{\"ts\"", &format!("{{{}\"ts\"", " ".repeat(pad)));
    let lakeside = super::kit::land(&[(TOPIC, payload)]).await;
    assert_eq!(lakeside.rows("readings").await.len(), 1);
    assert!(lakeside.rows("dead_letters").await.is_empty());
}
