//! The uplink against a model of ingest that loses frames and receipts.

use std::time::Duration;

use bytes::Bytes;
use service_runtime::{Clock, Stop};
use telemetry_core::delivery::Patience;
use telemetry_core::frame::Frame;
use telemetry_core::receipt::Receipt;
use telemetry_core::topic::ControlTopics;
use tokio::sync::mpsc;

use super::*;
use crate::UplinkConfig;
use crate::uplink::{Transport, TransportEvent, Uplink};

/// The source's end of a wire.
struct Wire {
    frames: mpsc::Sender<Bytes>,
    events: mpsc::Receiver<TransportEvent>,
    followed: Option<Epoch>,
}

impl Transport for Wire {
    async fn event(&mut self) -> Option<TransportEvent> {
        self.events.recv().await
    }

    async fn send(&mut self, topic: &str, frame: Bytes) {
        assert!(topic.starts_with("tm/v1/up/"));
        self.frames.send(frame).await.unwrap();
    }

    async fn follow(&mut self, epoch: Epoch) {
        self.followed = Some(epoch);
    }
}

/// What ingest has.
#[derive(Default)]
struct Lake {
    next: Offset,
    chain: u64,
    payloads: Vec<Vec<u8>>,
}

impl Lake {
    fn take(&mut self, bytes: &Bytes) -> Option<Offset> {
        let frame = Frame::decode(bytes).unwrap();
        if frame.header.first_offset > self.next {
            return Some(self.next);
        }
        for (item, chain) in frame.items() {
            if item.end() > self.next
                && let Item::Record(record) = item
            {
                self.payloads.push(record.payload.to_vec());
                (self.next, self.chain) = (item.end(), chain);
            }
        }
        None
    }

    fn receipt(&self, epoch: Epoch, resend_from: Option<Offset>) -> TransportEvent {
        self.receipt_of("lake", epoch, resend_from)
    }

    fn receipt_of(
        &self,
        lake_id: &str,
        epoch: Epoch,
        resend_from: Option<Offset>,
    ) -> TransportEvent {
        let receipt = Receipt {
            v: 1,
            lake_id: lake_id.into(),
            source_id: "s".parse().unwrap(),
            epoch,
            landed: self.next,
            chain: self.chain,
            resend_from,
            window: 100_000,
            word_ms: None,
            worker: "w".into(),
            at: 0,
        };
        TransportEvent::Receipt(receipt.to_json().into())
    }
}

fn patience() -> Patience {
    let ms = Duration::from_millis;
    Patience {
        probe_first: ms(20),
        probe_max: ms(40),
        rewind_first: ms(200),
        rewind_max: ms(400),
        word_every: ms(30),
    }
}

fn wired(running: &Running) -> (Uplink<Wire>, mpsc::Receiver<Bytes>, mpsc::Sender<TransportEvent>) {
    let (frames, received) = mpsc::channel(4);
    let (sender, events) = mpsc::channel(64);
    let config = UplinkConfig { linger_ms: 0, ..UplinkConfig::default() };
    let topics = ControlTopics::default();
    let uplink = Uplink::new(
        running.spool.clone(),
        Wire { frames, events, followed: None },
        config,
        &topics,
        Clock::default(),
        patience(),
        || 5,
    );
    (uplink, received, sender)
}

/// Else nobody could tell a source that has nothing to send from one that is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_has_nothing_to_send_says_so_and_when() {
    let folder = tempfile::tempdir().unwrap();
    let running =
        tokio::task::block_in_place(|| Running::open(folder.path(), small(WhenFull::Refuse)));
    let (uplink, mut frames, events) = wired(&running);
    let (stop, clock) = (Stop::new(), Clock::default());
    let before = clock.now_us();
    let ingest = async {
        events.send(TransportEvent::Connected).await.unwrap();
        for _ in 0..3 {
            let probe = Frame::decode(&frames.recv().await.unwrap()).unwrap();
            assert_eq!((probe.header.count, probe.header.appended), (0, 0));
            let at = probe.probe_time().unwrap();
            assert!((before..=clock.now_us()).contains(&at), "{at}");
            assert_eq!(probe.items().count(), 0);
        }
        stop.cancel();
        while frames.recv().await.is_some() {}
    };
    let (result, ()) = tokio::join!(uplink.run(stop.clone(), std::future::ready(())), ingest);
    result.unwrap();
    tokio::task::block_in_place(|| running.close());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_every_message_arrives_once_although_frames_and_receipts_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let running = tokio::task::block_in_place(|| {
        let running = Running::open(
            folder.path(),
            SpoolConfig { bytes_max: 64 << 20, ..small(WhenFull::Refuse) },
        );
        for n in 0..2000 {
            running.append(&[payload(n)]);
        }
        running
    });
    let (uplink, mut frames, events) = wired(&running);
    let epoch = running.spool.epoch();
    let (stop, mut lake) = (Stop::new(), Lake::default());
    let ingest = async {
        events.send(TransportEvent::Connected).await.unwrap();
        let mut seen = 0_u32;
        while lake.next < 2000 {
            let frame = frames.recv().await.unwrap();
            seen += 1;
            if seen.is_multiple_of(3) {
                continue;
            }
            let resend_from = lake.take(&frame);
            if !seen.is_multiple_of(4) {
                events.send(lake.receipt(epoch, resend_from)).await.unwrap();
            }
        }
        stop.cancel();
        // The last receipt may have been lost: the source asks again.
        loop {
            tokio::select! {
                frame = frames.recv() => match frame {
                    Some(frame) => {
                        lake.take(&frame);
                        if events.send(lake.receipt(epoch, None)).await.is_err() { return }
                    }
                    None => return,
                }
            }
        }
    };
    let (ran, ()) = tokio::join!(
        uplink.run(stop.clone(), async { tokio::time::sleep(Duration::from_secs(20)).await }),
        ingest
    );
    ran.unwrap();
    let expected: Vec<_> = (0..2000).map(payload).collect();
    assert!(lake.payloads == expected);
    assert_eq!(running.spool.resume_from(), (2000, Some("lake".into())));
    tokio::task::block_in_place(|| running.close());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_another_lake_that_answers_is_told_until_the_right_one_does_again() {
    let folder = tempfile::tempdir().unwrap();
    let running = tokio::task::block_in_place(|| {
        let running = Running::open(folder.path(), small(WhenFull::Refuse));
        running.append(&[payload(0)]);
        running
    });
    let (uplink, mut frames, events) = wired(&running);
    let (epoch, stop, mut status) = (running.spool.epoch(), Stop::new(), uplink.status());
    let lake = std::cell::RefCell::new(Lake::default());
    let takes = async {
        while let Some(frame) = frames.recv().await {
            lake.borrow_mut().take(&frame);
        }
    };
    let ingest = async {
        events.send(TransportEvent::Connected).await.unwrap();
        while lake.borrow().next == 0 {
            tokio::task::yield_now().await;
        }
        let (right, wrong) =
            (lake.borrow().receipt(epoch, None), lake.borrow().receipt_of("other", epoch, None));
        let again = lake.borrow().receipt(epoch, None);
        events.send(right).await.unwrap();
        status.wait_for(|now| now.lake_id.is_some()).await.unwrap();
        events.send(wrong).await.unwrap();
        status.wait_for(|now| now.wrong_lake.as_deref() == Some("other")).await.unwrap();
        events.send(again).await.unwrap();
        let told = status.wait_for(|now| now.wrong_lake.is_none());
        let over = tokio::time::timeout(Duration::from_secs(20), told).await.is_ok();
        stop.cancel();
        over
    };
    let (ran, over, ()) = tokio::join!(uplink.run(stop.clone(), async {}), ingest, takes);
    ran.unwrap();
    tokio::task::block_in_place(|| running.close());
    assert!(over);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_forked_spool_moves_on_in_place_while_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let running = tokio::task::block_in_place(|| {
        let running = Running::open(
            folder.path(),
            SpoolConfig { bytes_max: 64 << 20, ..small(WhenFull::Refuse) },
        );
        for n in 0..500 {
            running.append(&[payload(n)]);
        }
        running.sync();
        running
    });
    let (uplink, mut frames, events) = wired(&running);
    let (old, stop) = (running.spool.epoch(), Stop::new());
    let (spool, ended) = (running.spool.clone(), stop.clone());
    // A device that goes on publishing, each message after the one before is safe.
    let device = async {
        let mut progress = spool.progress();
        for n in 500..1500 {
            let place = loop {
                let payload = payload(n);
                let message =
                    Message { publisher: "p", topic: "t", attributes: &[], payload: &payload };
                progress.mark_unchanged();
                match spool.append(1, [message]).places().next() {
                    Some(place) => break place,
                    None => progress.changed().await.unwrap(),
                }
            };
            progress.wait_for(|now| now.covers(place)).await.unwrap();
        }
    };
    let ingest = async {
        events.send(TransportEvent::Connected).await.unwrap();
        let (mut lake, mut fork) = (Lake::default(), 0_u32);
        while lake.payloads.len() < 1500 {
            let frame = frames.recv().await.unwrap();
            let epoch = Frame::decode(&frame).unwrap().header.epoch;
            if epoch == old {
                assert!(lake.payloads.is_empty(), "nothing more is sent under the old epoch");
                // The other spool of this name has landed five messages of its own.
                fork += 1;
                let foreign = Lake { next: 5, chain: 12345, payloads: Vec::new() };
                events.send(foreign.receipt(old, None)).await.unwrap();
                continue;
            }
            let resend_from = lake.take(&frame);
            events.send(lake.receipt(epoch, resend_from)).await.unwrap();
        }
        stop.cancel();
        while let Some(frame) = frames.recv().await {
            lake.take(&frame);
            let epoch = spool.epoch();
            if events.send(lake.receipt(epoch, None)).await.is_err() {
                break;
            }
        }
        assert!(fork > 0, "the fork was heard of");
        lake
    };
    let drain = Duration::from_secs(20);
    let (ran, lake, ()) =
        tokio::join!(uplink.run(ended, tokio::time::sleep(drain)), ingest, device);
    ran.unwrap();
    let mut expected: Vec<_> = (0..1500).map(payload).collect();
    assert_eq!(lake.payloads.len(), expected.len());
    // Nothing is lost or doubled, and the order of acceptance is kept.
    assert!(lake.payloads == std::mem::take(&mut expected));
    assert_ne!(running.spool.epoch(), old);
    assert_eq!(running.spool.resume_from(), (1500, Some("lake".into())));
    tokio::task::block_in_place(|| running.close());
}
