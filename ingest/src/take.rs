//! Taking what a frame holds into the batch that is filling, as much of it as there is room for.

use std::time::Duration;

use telemetry_core::frame::Frame;
use telemetry_core::spool::record::Item;
use tracing::warn;

use crate::batch::dates::DATES_FULL;
use crate::pipeline::Pipeline;
use crate::sequencer::Key;
use crate::topics::{Came, OfFrame};

/// Bytes of a frame's messages after which it is looked whether there is memory for more.
const CHECK_BYTES: usize = 64 << 10;
/// What a record has beside its topic and payload, about.
const RECORD_OVERHEAD: usize = 64;

impl Pipeline {
    /// Takes a few messages of the frame that waits for that, as a batch of their own, after it is written down which.
    pub(crate) async fn take_carefully(&mut self) {
        let Some((frame, next, chain)) = self.state.careful.take() else { return };
        let key: Key = (frame.header.source_id.clone(), frame.header.epoch);
        let until = next.saturating_add(self.attempts.slice(&key).unwrap_or(u64::MAX));
        self.attempts.tries(&key, next, until.min(frame.header.end())).await;
        self.take(&frame, next, chain, until);
        self.state.closed = !self.state.filling.is_empty();
    }

    /// Takes the items of a frame from `next` on, at most up to `until`. What there is no room for is asked for again after the
    /// next landing.
    pub(crate) fn take(&mut self, frame: &Frame, next: u64, expected: Option<u64>, until: u64) {
        let key: Key = (frame.header.source_id.clone(), frame.header.epoch);
        let before = self.state.filling.messages();
        let (mut source, mut stopped) = (None, false);
        let (mut reached, mut chain) = (next, expected.unwrap_or_default());
        let (mut bytes, mut checked, mut received) = (0, 0, None);
        // A frame is taken in a moment.
        let now = (self.clock.uptime(), self.clock.now_us());
        let mut topics = OfFrame::new(&mut self.marks);
        for (item, chain_after) in frame.items() {
            if item.end() <= next {
                continue;
            }
            if let (None, Item::Record(record), Some(expected)) = (source, item, expected)
                && record.chain != expected
            {
                self.metrics.frame("forked");
                self.sequencer.forked(&key);
                return warn!(source = %key.0, epoch = %key.1, offset = next, "dropped a frame that contradicts what is landed: the spool was copied");
            }
            let source =
                *source.get_or_insert_with(|| self.state.filling.source(&key.0, key.1, next));
            let dates = self.state.filling.dates();
            self.take_item((&key, source), &item, next, now, &mut topics);
            (reached, chain) = (item.end(), chain_after);
            if let Item::Record(record) = item {
                received = Some(record.received_us);
            }
            bytes += item_bytes(&item);
            let look = bytes - checked >= CHECK_BYTES;
            checked = if look { bytes } else { checked };
            // Who brings no further date may go on.
            let dates = dates..self.state.filling.dates();
            let dated = !dates.is_empty() && dates.end >= DATES_FULL;
            let used_up = look && self.budget.is_used_up(&self.state.filling);
            if reached >= until || dated || used_up {
                stopped = reached < frame.header.end();
                break;
            }
        }
        let Some(source) = source else { return };
        self.note(&topics);
        let raw_bytes = (if stopped { bytes } else { frame.records.len() }) as u64;
        let batch = &mut self.state.filling;
        batch.advance(source, reached, chain, frame.header.appended);
        if let Some(at_us) = received {
            batch.received(source, at_us);
        }
        batch.add_raw_bytes(raw_bytes);
        self.metrics.taken(raw_bytes, batch.messages() - before);
        self.watch(false);
        self.hear(&key, (received, stopped || reached < frame.header.appended));
        self.sequencer.took(&key, reached, chain);
        if stopped {
            self.sequencer.stopped(&key);
            self.state.no_room = true;
            self.metrics.frame("stopped");
        }
        self.state.since.get_or_insert(self.clock.uptime());
    }

    fn take_item<'f>(
        &mut self,
        (key, source): (&Key, u32),
        item: &Item<'f>,
        next: u64,
        (now, now_us): (Duration, i64),
        topics: &mut OfFrame<'f>,
    ) {
        let batch = &mut self.state.filling;
        match *item {
            Item::Record(record) => {
                let (rows, readings) = (batch.rows(), batch.readings.len());
                let code = if self.attempts.is_poison(key, record.offset) {
                    Some(self.decoding.unseen(batch, source, &record, now_us))
                } else {
                    crash_point::about_to_decode(record.payload);
                    self.decoding.record(batch, source, &record, now_us)
                };
                let dead = code.is_some();
                let rows = batch.rows().saturating_sub(rows + usize::from(dead));
                if let Some(traced) = &mut self.traced
                    && !record.attributes.is_empty()
                {
                    traced.decoded(key, &record, (now_us, self.clock.now_us()), (rows, code));
                }
                let reading = (readings..batch.readings.len()).next_back();
                let one = Came::one(record.topic, record.payload, now_us);
                let came = Came { rows, dead: dead.into(), reading, ..one };
                topics.add(&mut self.marks, batch.topic(), &came);
                if let Some(code) = code {
                    self.dead_letters.note(now, code, &key.0, record.topic);
                }
            }
            Item::Gap { first, count, reason, .. } => {
                let missing = count - next.saturating_sub(first).min(count);
                batch.gap(source, first.max(next), missing, reason.as_str());
                self.metrics.gap(missing);
            }
            Item::Unparsable { first, count, bytes } => {
                let first_new = first.max(next);
                let code = self.decoding.unparsable(batch, source, first_new, bytes, now_us);
                self.dead_letters.note(now, code, &key.0, "");
                let rest = first + count - first_new - 1;
                if rest > 0 {
                    // One dead letter holds the bytes of them all.
                    batch.gap(source, first_new + 1, rest, "unparsable");
                }
            }
        }
    }
}

impl Pipeline {
    /// Notes what came on the topics of a frame.
    fn note(&self, topics: &OfFrame<'_>) {
        for came in topics.came() {
            let of = || {
                let reading = self.state.filling.reading(came.reading?)?;
                Some((reading.site.to_owned(), reading.device.to_owned()))
            };
            self.seen.note(*came, || self.decoding.about(came.topic), of);
        }
    }
}

fn item_bytes(item: &Item<'_>) -> usize {
    let held = match item {
        Item::Record(record) => record.topic.len() + record.payload.len(),
        Item::Gap { .. } => 0,
        Item::Unparsable { bytes, .. } => bytes.len(),
    };
    held + RECORD_OVERHEAD
}
