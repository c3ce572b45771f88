//! What happens after a kill, with a replaced lake, a copied spool, or another worker.

use ingest::Inbound;
use telemetry_core::spool::record::CHAIN_START;

use super::kit::{Lakeside, Source, again};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_tells_every_known_source_where_it_is() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.readings(5)).await;
    ingest.landed(&source).await;
    ingest.stop().await;
    let mut next = lakeside.ingest(|config| config.worker = "w2".into()).await;
    let receipt = next.receipt().await;
    assert_eq!((receipt.landed, receipt.chain, receipt.worker.as_str()), (5, source.chain, "w2"));
    assert_eq!(receipt.resend_from, Some(5), "what was on its way to the old process is lost");
    next.send(source.readings(5)).await;
    next.landed(&source).await;
    assert_eq!(lakeside.offsets().await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_a_killed_process_loses_nothing_that_is_sent_again() {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("gw");
    let frames: Vec<Inbound> = (0..20).map(|_| source.readings(10)).collect();
    for kill_after in [1, 5, 12] {
        let ingest = lakeside.ingest(|config| config.flush_rows = 30).await;
        for frame in frames.iter().take(kill_after) {
            ingest.send(again(frame)).await;
        }
        ingest.kill();
    }
    let mut last = lakeside.ingest(|_| {}).await;
    last.deliver(&source, &frames).await;
    assert_eq!(lakeside.offsets().await, (0..200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_lake_was_replaced_goes_on_and_the_gap_is_recorded() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    source.readings(50);
    source.oldest = 50;
    ingest.send(source.readings(5)).await;
    let receipt = ingest.landed(&source).await;
    assert_eq!(receipt.chain, source.chain);
    assert_eq!(lakeside.offsets().await, (50..55).collect::<Vec<_>>());
    let gaps: Vec<_> = lakeside
        .rows("landings")
        .await
        .into_iter()
        .filter_map(|row| row.get("gaps").cloned())
        .collect();
    assert_eq!(gaps, [r#"[{"first":0,"count":50,"reason":"replaced"}]"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_read_the_ledger_before_the_last_owners_landing_asks_it_again() {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("gw");
    let mut last_owner = lakeside.ingest(|config| config.worker = "a".into()).await;
    let mut owner = lakeside.ingest(|config| config.worker = "b".into()).await;
    last_owner.send(source.readings(5)).await;
    last_owner.landed(&source).await;
    last_owner.stop().await;
    // The source knows that these landed, so it neither keeps them nor believes a receipt that says less.
    source.oldest = 5;
    let in_flight = source.readings(5);
    owner.send(source.readings(5)).await;
    // Its first answer, which opens the window, is from before it looked.
    let mut receipt = owner.receipt().await;
    while receipt.landed < 5 {
        receipt = owner.receipt().await;
    }
    assert_eq!(receipt.resend_from, Some(5));
    owner.send(in_flight).await;
    source.next = 10;
    while owner.receipt().await.landed < 10 {}
    assert_eq!(lakeside.offsets().await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_a_source_whose_lake_was_replaced_moves_nothing() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    source.readings(50);
    source.oldest = 50;
    ingest.send(source.probe()).await;
    let receipt = ingest.receipt().await;
    assert_eq!(
        (receipt.landed, receipt.chain),
        (0, CHAIN_START),
        "no chain value is known at 50 yet"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_spool_can_not_go_on_where_the_other_one_is() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.readings(5)).await;
    ingest.landed(&source).await;
    let mut copy = source.clone();
    ingest.send(source.readings(5)).await;
    ingest.landed(&source).await;
    // The copy accepted other messages for the same offsets, and now sends what comes after.
    copy.frame(&[("dt/icu/mon-2/readings", "{}"); 5]);
    ingest.send(copy.readings(3)).await;
    let receipt = ingest.receipt().await;
    assert_eq!(
        (receipt.landed, receipt.chain),
        (10, source.chain),
        "it can see that this is not its chain"
    );
    ingest.stop().await;
    assert_eq!(lakeside.offsets().await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_two_processes_on_the_same_lanes_land_everything_once() {
    let lakeside = Lakeside::new().await;
    let mut a = lakeside.ingest(|config| config.worker = "a".into()).await;
    let b = lakeside.ingest(|config| config.worker = "b".into()).await;
    let mut source = Source::new("gw");
    let frames: Vec<Inbound> = (0..6).map(|_| source.readings(10)).collect();
    // Both get every frame, as two subscribers of one broker would; a source sends again until all is landed.
    let mut landed = 0;
    while landed < source.next {
        for frame in &frames {
            a.send(again(frame)).await;
            b.send(again(frame)).await;
        }
        landed = a.receipt().await.landed.max(landed);
    }
    a.stop().await;
    b.stop().await;
    assert_eq!(lakeside.offsets().await, (0..60).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_fails_is_not_ready_until_it_takes_a_landing_again_and_nothing_is_lost() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.readings(5)).await;
    ingest.landed(&source).await;
    assert!(ingest.readiness.is_ready());

    // Plans can be neither written nor read where there is no folder for them.
    let plans = lakeside.folder.path().join("_tidemark/landings");
    std::fs::rename(&plans, plans.with_extension("away")).unwrap();
    std::fs::write(&plans, "not a folder").unwrap();
    let frame = source.readings(5);
    ingest.send(again(&frame)).await;
    while ingest.readiness.is_ready() {
        tokio::task::yield_now().await;
    }

    std::fs::remove_file(&plans).unwrap();
    std::fs::rename(plans.with_extension("away"), &plans).unwrap();
    let asked = ingest.receipt_that(|receipt| receipt.resend_from.is_some()).await;
    assert_eq!((asked.landed, asked.resend_from), (5, Some(5)));
    assert!(!ingest.readiness.is_ready(), "nothing has been written yet");
    ingest.send(frame).await;
    ingest.landed(&source).await;
    assert!(ingest.readiness.is_ready());
    assert_eq!(lakeside.offsets().await, (0..10).collect::<Vec<_>>());
}

/// What a worker notes of its attempts.
fn note(lakeside: &Lakeside) -> Option<String> {
    let path = lakeside.folder.path().join("_tidemark/attempts/ingest-1.json");
    std::fs::read_to_string(path).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_notes_that_it_runs_and_takes_the_note_back_when_it_stops() {
    let lakeside = Lakeside::new().await;
    for ends in 1..4 {
        let ingest = lakeside.ingest(|_| {}).await;
        assert_eq!(note(&lakeside).unwrap(), format!(r#"{{"v":1,"ends":{ends},"trying":null}}"#));
        ingest.kill();
    }
    // Careful by now. What it lands it lands a thousand at a time, and that it is all well again is said after some.
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    let frame = source.readings(3000);
    assert_eq!(ingest.deliver(&source, &[frame]).await, [0, 1024, 2048, 3000]);
    ingest.stop().await;
    assert_eq!(note(&lakeside).unwrap(), r#"{"v":1,"ends":3,"trying":null}"#, "still careful");
    assert_eq!(lakeside.offsets().await, (0..3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_a_message_that_ended_its_worker_twice_alone_is_a_dead_letter_and_the_rest_lands() {
    let lakeside = Lakeside::new().await;
    let ended =
        r#"{"v":1,"ends":6,"trying":{"source_id":"gw","epoch":42,"from":2,"to":3,"times":2}}"#;
    let folder = lakeside.folder.path().join("_tidemark/attempts");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ingest-1.json"), ended).unwrap();
    let mut ingest = lakeside.ingest(|_| {}).await;
    let (mut source, mut other) = (Source::new("gw"), Source::new("other"));
    let (frame, others) = (source.readings(6), other.readings(4));
    ingest.deliver(&source, &[frame]).await;
    ingest.deliver(&other, &[others]).await;
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0]["reason_code"].as_str(), dead[0]["source_offset"].as_str()),
        ("ends_ingest", "2")
    );
    assert_eq!(lakeside.rows("readings").await.len(), 9);
    assert_eq!(note(&lakeside).unwrap(), r#"{"v":1,"ends":1,"trying":null}"#, "all is well again");
    ingest.stop().await;
    assert_eq!(note(&lakeside), None);
}
