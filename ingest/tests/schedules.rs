//! A source and ingest through thousands of bad days: frames and receipts are lost, repeated and reordered, either side is
//! killed, memory runs out, the oldest is evicted, another worker lands first. The real delivery state machine and the real sequencer, a spool and a
//! ledger that are lists. Each schedule has its seed; a failure names it.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ingest::sequencer::{Key, Sequencer, Verdict, window};
use telemetry_core::delivery::{self, Delivery, Next, Patience};
use telemetry_core::frame::{self, Codec, Frame, FrameHeader};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::receipt::{self, Receipt};
use telemetry_core::spool::format::{self, Format};
use telemetry_core::spool::record::{self, GapReason, Item, Record};

const SCHEDULES: u64 = 4000;
const STEPS: u64 = 120;
/// When the harm is over everything lands within this: a few probes, however rarely they are sent by then.
const HEALS_IN: Duration = Duration::from_secs(100);

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

fn key() -> Key {
    ("gw".parse::<SourceId>().unwrap(), Epoch::from_random(7))
}

/// A wire that loses, repeats and reorders.
#[derive(Default)]
struct Wire {
    queue: VecDeque<Bytes>,
}

impl Wire {
    fn send(&mut self, dice: &mut Dice, bad: bool, bytes: Bytes) {
        if !bad {
            return self.queue.push_back(bytes);
        }
        for _ in 0..[1, 1, 1, 0, 2][usize::try_from(dice.roll(5)).unwrap()] {
            let back = dice.roll(4).min(self.queue.len() as u64);
            let at = self.queue.len() - usize::try_from(back).unwrap();
            self.queue.insert(at, bytes.clone());
        }
    }
}

/// The spool: every record, what is durable, and what a restart would remember.
struct Source {
    records: Vec<Vec<u8>>,
    /// Chain value before each record, and after the last.
    chains: Vec<u64>,
    synced: u64,
    /// First offset that is still there.
    oldest: u64,
    saved_landed: u64,
    delivery: Delivery,
}

/// How the source writes.
const FORMAT: Format = Format::V2(format::Key::from_random(1));

impl Source {
    fn new(now: Duration) -> Self {
        let delivery = Delivery::new(now, key().1, None, 0, 0, Patience::default());
        let (records, chains) = (Vec::new(), vec![record::CHAIN_START]);
        Self { records, chains, synced: 0, oldest: 0, saved_landed: 0, delivery }
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let (offset, chain) = (self.records.len() as u64, *self.chains.last().unwrap());
            let payload = offset.to_le_bytes();
            let (publisher, topic) = ("d", "t");
            let record = Record {
                offset,
                chain,
                received_us: 1,
                flags: 0,
                publisher,
                topic,
                attributes: &[],
                payload: &payload,
            };
            let mut bytes = Vec::new();
            self.chains.push(FORMAT.encode(&record, &mut bytes));
            self.records.push(bytes);
        }
    }

    fn chain_at(&self, offset: u64) -> u64 {
        self.chains[usize::try_from(offset).unwrap()]
    }

    fn sync(&mut self, now: Duration) {
        self.synced = self.records.len() as u64;
        self.delivery.on_synced(now, self.synced, self.synced);
    }

    /// Killed and started again: what was not synced is gone, what had landed may be forgotten.
    fn restart(&mut self, now: Duration) {
        let synced = usize::try_from(self.synced).unwrap();
        self.records.truncate(synced);
        self.chains.truncate(synced + 1);
        let lake = self.delivery.lake().map(str::to_owned);
        let epoch = key().1;
        self.delivery =
            Delivery::new(now, epoch, lake, self.saved_landed, self.synced, Patience::default());
    }

    fn frame(&self, from: u64, records: &[u8], end: u64) -> Bytes {
        let at = self.delivery.positions();
        let (source_id, epoch) = key();
        let header = FrameHeader {
            source_id,
            epoch,
            oldest: self.oldest.max(at.landed).min(at.appended),
            first_offset: from,
            count: end - from,
            appended: at.appended,
            format: FORMAT,
        };
        frame::encode(&header, records, Codec::None).into()
    }

    /// Sends what the state machine wants sent, if anything.
    fn send(&mut self, now: Duration, dice: &mut Dice) -> Option<Bytes> {
        match self.delivery.next(now) {
            Next::Wait { .. } => None,
            Next::Probe { from } => {
                self.delivery.on_probed(now, dice.roll(1 << 30));
                Some(self.frame(from, &[], from))
            }
            Next::Frame { from, limit, .. } if from < self.oldest => {
                let end = self.oldest.min(limit);
                let mut gap = Vec::new();
                let chain = self.chain_at(end);
                FORMAT.encode_gap(from, end - from, GapReason::Dropped, chain, 0, &mut gap);
                let frame = self.frame(from, &gap, end);
                self.delivery.on_sent(end, gap.len() as u64, chain);
                Some(frame)
            }
            Next::Frame { from, limit, .. } => {
                let end = limit.min(from + 1 + dice.roll(6));
                let range = usize::try_from(from).unwrap()..usize::try_from(end).unwrap();
                let records = self.records[range].concat();
                let frame = self.frame(from, &records, end);
                self.delivery.on_sent(end, records.len() as u64, self.chain_at(end));
                Some(frame)
            }
        }
    }

    fn take(&mut self, now: Duration, bytes: &Bytes, ledger: &Ledger) {
        let receipt = Receipt::from_json(bytes).unwrap();
        let own = (receipt.landed <= self.synced).then(|| self.chain_at(receipt.landed));
        let verdict = self.delivery.on_receipt(now, &receipt, own);
        assert!(!matches!(verdict, delivery::Verdict::Fork(_)), "nobody forked: {receipt:?}");
        let at = self.delivery.positions();
        assert!(at.landed <= ledger.landed(), "INV-3: {at:?} freed, {} landed", ledger.landed());
        assert!(at.landed <= at.sent && at.sent <= at.synced && at.synced <= at.appended, "{at:?}");
    }
}

/// What landed at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Landed {
    Message(u64),
    Gap,
}

/// The lake: one entry an offset, in the order of landing.
#[derive(Default)]
struct Ledger {
    entries: Vec<Landed>,
    chain: u64,
}

impl Ledger {
    fn landed(&self) -> u64 {
        self.entries.len() as u64
    }

    fn positions(&self) -> Vec<(Key, u64, u64)> {
        match self.landed() {
            0 => Vec::new(),
            landed => vec![(key(), landed, self.chain)],
        }
    }
}

/// One worker: the sequencer, and what it took and has not landed.
struct Worker {
    sequencer: Sequencer,
    taken: Vec<Landed>,
    chain: u64,
}

impl Worker {
    fn start(ledger: &Ledger) -> Self {
        let sequencer = Sequencer::new(10, ledger.positions());
        Self { sequencer, taken: Vec::new(), chain: ledger.chain }
    }

    fn offer(&mut self, now: Duration, bytes: &Bytes, room: bool, ledger: &Ledger) {
        let frame = Frame::decode(bytes).unwrap();
        match self.sequencer.offer(now, &frame.header, room) {
            Verdict::Take { next, chain } => self.take(&frame, next, chain),
            Verdict::Behind => {
                self.lose(ledger);
                self.offer(now, bytes, room, ledger);
            }
            Verdict::Gone { from, oldest } => {
                // Read the ledger again: only then what is gone is gone.
                self.lose(ledger);
                if let Verdict::Gone { from, oldest } =
                    self.sequencer.offer(now, &frame.header, true)
                {
                    self.taken.extend((from..oldest).map(|_| Landed::Gap));
                    self.sequencer.skip(&key(), oldest);
                    self.chain = record::CHAIN_START;
                    self.offer(now, bytes, true, ledger);
                } else {
                    assert!(from < oldest);
                }
            }
            Verdict::Repeat | Verdict::Gap | Verdict::Full => {}
            Verdict::TooMany => panic!("there is one source"),
        }
    }

    fn take(&mut self, frame: &Frame, next: u64, expected: Option<u64>) {
        let (mut reached, mut first) = (next, true);
        for (item, chain) in frame.items() {
            if item.end() <= next {
                continue;
            }
            match item {
                Item::Record(record) => {
                    if let (true, Some(expected)) = (first, expected) {
                        assert_eq!(record.chain, expected, "nobody forked");
                    }
                    let number = u64::from_le_bytes(record.payload.try_into().unwrap());
                    self.taken.push(Landed::Message(number));
                }
                Item::Gap { first, count, .. } => {
                    let lost = first.max(next)..first + count;
                    self.taken.extend(lost.map(|_| Landed::Gap));
                }
                Item::Unparsable { .. } => panic!("every record is sound"),
            }
            (reached, self.chain, first) = (item.end(), chain, false);
        }
        self.sequencer.took(&key(), reached, self.chain);
    }

    fn land(&mut self, ledger: &mut Ledger) {
        let believed = self.sequencer.position(&key()).map_or(0, |(landed, _)| landed);
        if !self.taken.is_empty() && believed != ledger.landed() {
            // Another worker landed this source first: the ledger takes nothing that does not go on from there.
            self.lose(ledger);
        } else if !self.taken.is_empty() {
            ledger.entries.append(&mut self.taken);
            ledger.chain = self.chain;
            self.sequencer.landed(ledger.positions());
        }
    }

    /// A landing was lost, or the ledger is read again.
    fn lose(&mut self, ledger: &Ledger) {
        self.taken.clear();
        self.chain = ledger.chain;
        self.sequencer.reset(ledger.positions());
        self.sequencer.landed([]);
    }

    fn receipts(&mut self, now: Duration, ledger: &Ledger) -> Vec<Bytes> {
        let answers = self.sequencer.answers(now);
        let room = window(64 << 10, self.sequencer.active(now));
        let receipts = answers.into_iter().map(|answer| {
            assert!(answer.landed <= ledger.landed(), "INV-7: {answer:?}");
            let (source_id, epoch) = answer.key;
            let receipt = Receipt {
                v: receipt::VERSION,
                lake_id: "lake".into(),
                source_id,
                epoch,
                landed: answer.landed,
                chain: answer.chain,
                resend_from: answer.resend_from,
                word_ms: None,
                window: if answer.closed { 0 } else { room },
                worker: "w".into(),
                at: 0,
            };
            receipt.to_json().into()
        });
        receipts.collect()
    }
}

/// One bad day.
struct Day {
    dice: Dice,
    now: Duration,
    source: Source,
    worker: Worker,
    ledger: Ledger,
    up: Wire,
    down: Wire,
    /// The broker keeps the last receipt.
    retained: Option<Bytes>,
    evicts: bool,
}

impl Day {
    fn new(seed: u64) -> Self {
        let (mut dice, ledger) = (Dice(seed), Ledger::default());
        let evicts = dice.one_in(3);
        Self {
            dice,
            now: Duration::ZERO,
            source: Source::new(Duration::ZERO),
            worker: Worker::start(&ledger),
            ledger,
            up: Wire::default(),
            down: Wire::default(),
            retained: None,
            evicts,
        }
    }

    fn misfortune(&mut self) {
        match self.dice.roll(40) {
            0 => {
                self.source.restart(self.now);
                self.reconnect();
            }
            1 => {
                self.worker = Worker::start(&self.ledger);
                self.up.queue.clear();
            }
            2 => self.reconnect(),
            3 => self.worker.lose(&self.ledger),
            4 => {
                self.worker.sequencer.connected();
                self.up.queue.clear();
            }
            5 if self.evicts => {
                let most = self.source.synced.saturating_sub(self.source.oldest);
                self.source.oldest += self.dice.roll(most + 1).min(10);
            }
            6 => self.source.saved_landed = self.source.delivery.positions().landed,
            7 => self.elsewhere(),
            _ => {}
        }
    }

    /// A worker that still owns the lane lands what it has, and its receipt reaches the source. Ours read the ledger before.
    fn elsewhere(&mut self) {
        let (landed, synced) = (self.ledger.landed(), self.source.synced);
        let to = synced.min(landed + self.dice.roll(20));
        if landed < self.source.oldest || to <= landed {
            return;
        }
        let mut other = Worker::start(&self.ledger);
        let range = usize::try_from(landed).unwrap()..usize::try_from(to).unwrap();
        let frame = self.source.frame(landed, &self.source.records[range].concat(), to);
        other.offer(self.now, &frame, true, &self.ledger);
        other.land(&mut self.ledger);
        self.down.queue.extend(other.receipts(self.now, &self.ledger));
    }

    /// The source's connection is new: what was under way is lost, the retained receipt comes again.
    fn reconnect(&mut self) {
        self.up.queue.clear();
        self.down.queue.clear();
        self.down.queue.extend(self.retained.clone());
        self.source.delivery.on_connected(self.now);
    }

    fn step(&mut self, bad: bool) {
        if bad {
            self.misfortune();
            self.source.append(self.dice.roll(4));
        }
        if !bad || self.dice.one_in(2) {
            self.source.sync(self.now);
        }
        self.source.delivery.on_time(self.now, self.dice.roll(1 << 30));
        for _ in 0..self.dice.roll(4) {
            if let Some(frame) = self.source.send(self.now, &mut self.dice) {
                self.up.send(&mut self.dice, bad, frame);
            }
        }
        for _ in 0..self.dice.roll(6) {
            let Some(frame) = self.up.queue.pop_front() else { break };
            // Memory is only ever used up by what is about to land.
            let room = self.worker.taken.is_empty() || !(bad && self.dice.one_in(12));
            self.worker.offer(self.now, &frame, room, &self.ledger);
        }
        if self.dice.one_in(4) {
            self.worker.land(&mut self.ledger);
        }
        for receipt in self.worker.receipts(self.now, &self.ledger) {
            self.retained = Some(receipt.clone());
            self.down.send(&mut self.dice, bad, receipt);
        }
        for _ in 0..self.dice.roll(4) {
            let Some(receipt) = self.down.queue.pop_front() else { break };
            self.source.take(self.now, &receipt, &self.ledger);
        }
        self.now += Duration::from_millis(self.dice.roll(if bad { 8000 } else { 2000 }));
    }

    /// INV-5, INV-6: every offset once, in order, as it was accepted; a gap only where something was evicted.
    fn check_ledger(&self, gaps_allowed_below: u64) {
        for (offset, entry) in (0..).zip(&self.ledger.entries) {
            match entry {
                Landed::Message(number) => assert_eq!(*number, offset),
                Landed::Gap => assert!(offset < gaps_allowed_below, "{offset} was never evicted"),
            }
        }
    }
}

fn live(seed: u64) -> (u64, u64, Duration) {
    let mut day = Day::new(seed);
    for _ in 0..STEPS {
        day.step(true);
        day.check_ledger(day.source.oldest);
    }
    // Everything heals: it must all arrive, without anybody's help.
    let end_of_harm = day.now;
    while day.source.delivery.positions().landed < day.source.records.len() as u64 {
        let at = day.source.delivery.positions();
        assert!(
            day.now < end_of_harm + HEALS_IN,
            "stuck at {at:?}, ledger {}",
            day.ledger.landed()
        );
        day.step(false);
    }
    day.check_ledger(day.source.oldest);
    assert_eq!(day.ledger.landed(), day.source.records.len() as u64);
    let gaps = day.ledger.entries.iter().filter(|entry| **entry == Landed::Gap).count() as u64;
    (day.ledger.landed(), gaps, day.now - end_of_harm)
}

#[test]
fn inv3_inv5_inv6_inv7_whatever_happens_each_message_lands_once_and_in_order() {
    let (mut landed, mut gaps, mut slowest) = (0, 0, Duration::ZERO);
    for seed in 0..SCHEDULES {
        let day = std::panic::catch_unwind(|| live(seed));
        let (messages, dropped, healed_in) =
            day.unwrap_or_else(|_| panic!("schedule {seed} fails: see above"));
        (landed, gaps, slowest) = (landed + messages, gaps + dropped, slowest.max(healed_in));
    }
    println!(
        "{SCHEDULES} schedules, {landed} offsets landed, {gaps} of them as gaps, healed in {slowest:?} at most"
    );
    assert!(gaps > 0 && gaps < landed / 2, "the schedules evict, but not everything");
}
