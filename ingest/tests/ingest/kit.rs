//! A source that makes frames, ingest with its transport in our hands, and a lake that can be looked into.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use futures::TryStreamExt;
use ingest::decode::{DECODERS, Spec};
use ingest::watching::Watcher;
use ingest::{Config, Inbound, Outbound};
use lake::{Catalog, Lake, LakeConfig, OpenMode};
use service_runtime::admin::Readiness;
use service_runtime::{Metrics, Stop, Tasks};
use telemetry_core::frame::{self, Codec, FrameHeader};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::receipt::Receipt;
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::record::{GapReason, Record};
use telemetry_core::topic::ControlTopics;
use tokio::sync::mpsc;

/// How sources write.
pub(crate) const FORMAT: Format = Format::V2(Key::from_random(1));

/// 2026-08-01T00:00:00Z: when every message was accepted.
pub(crate) const RECEIVED_US: i64 = 1_785_542_400_000_000;
pub(crate) const TOPIC: &str = "dt/icu/mon-1/readings";
/// Nothing here takes long; a test that waits for what never comes fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a spool and its uplink would do.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) id: SourceId,
    pub(crate) epoch: Epoch,
    pub(crate) oldest: u64,
    pub(crate) next: u64,
    pub(crate) chain: u64,
    /// What it says of when it received its messages.
    pub(crate) received_us: i64,
}

impl Source {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.parse().unwrap(),
            epoch: Epoch::from_random(42),
            oldest: 0,
            next: 0,
            chain: 0,
            received_us: RECEIVED_US,
        }
    }

    pub(crate) fn topic(&self) -> String {
        ControlTopics::default().up(&self.id)
    }

    fn wrap(&self, first_offset: u64, count: u64, records: &[u8]) -> Inbound {
        let header = FrameHeader {
            source_id: self.id.clone(),
            epoch: self.epoch,
            oldest: self.oldest,
            first_offset,
            count,
            appended: first_offset + count,
            format: FORMAT,
        };
        Inbound::Frame {
            topic: self.topic(),
            payload: frame::encode(&header, records, Codec::Lz4).into(),
        }
    }

    /// The next messages as one frame.
    pub(crate) fn frame<P: AsRef<[u8]>>(&mut self, messages: &[(&str, P)]) -> Inbound {
        self.frame_with(&[], messages)
    }

    /// The same, all with these attributes.
    pub(crate) fn frame_with<P: AsRef<[u8]>>(
        &mut self,
        attributes: &[u8],
        messages: &[(&str, P)],
    ) -> Inbound {
        let (first, mut records) = (self.next, Vec::new());
        for (topic, payload) in messages {
            let record = Record {
                offset: self.next,
                chain: self.chain,
                received_us: self.received_us,
                flags: 0,
                publisher: "mon-1",
                topic,
                attributes,
                payload: payload.as_ref(),
            };
            self.chain = FORMAT.encode(&record, &mut records);
            self.next += 1;
        }
        self.wrap(first, self.next - first, &records)
    }

    /// `count` plain readings as one frame.
    pub(crate) fn readings(&mut self, count: u64) -> Inbound {
        let payloads: Vec<String> = (self.next..self.next + count).map(reading).collect();
        let messages: Vec<(&str, &String)> =
            payloads.iter().map(|payload| (TOPIC, payload)).collect();
        self.frame(&messages)
    }

    /// A gap as one frame.
    pub(crate) fn gap(&mut self, count: u64) -> Inbound {
        let (first, mut records) = (self.next, Vec::new());
        self.chain = self.chain.wrapping_mul(31) + 1;
        FORMAT.encode_gap(first, count, GapReason::Dropped, self.chain, RECEIVED_US, &mut records);
        self.next += count;
        self.wrap(first, count, &records)
    }

    /// Whole bytes that are no record, in a sound frame, for `count` offsets.
    pub(crate) fn nonsense(&mut self, count: u64, bytes: &[u8]) -> Inbound {
        let first = self.next;
        (self.next, self.chain) = (self.next + count, 0);
        self.wrap(first, count, bytes)
    }

    pub(crate) fn probe(&self) -> Inbound {
        self.wrap(self.next, 0, &[])
    }

    /// A probe that says when it was made, Unix microseconds.
    pub(crate) fn probe_at(&self, at_us: i64) -> Inbound {
        self.wrap(self.next, 0, &at_us.to_le_bytes())
    }
}

/// A good reading whose value and `seq` are `n`.
pub(crate) fn reading(n: u64) -> String {
    format!(r#"{{"ts":"2026-07-31T23:00:00Z","metric":"steps","value":{n},"boot":1,"seq":{n}}}"#)
}

/// A lake in a folder of its own.
pub(crate) struct Lakeside {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) lake: Lake,
}

/// A row as texts; what is NULL is not in it.
pub(crate) type Row = BTreeMap<String, String>;

impl Lakeside {
    pub(crate) async fn new() -> Self {
        Self::of(&Catalog::builtin()).await
    }

    /// The same with other tables.
    pub(crate) async fn of(catalog: &Catalog) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = LakeConfig::at(&folder.path().display().to_string());
        let lake = Lake::open_with(&config, &[].into(), OpenMode::Create, catalog).await.unwrap();
        Self { folder, lake }
    }

    /// All rows of a table as a fresh reader sees them, in the order of source, offset and row.
    pub(crate) async fn rows(&self, table: &str) -> Vec<Row> {
        let url = self.folder.path().display().to_string();
        let lake = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
        let columns: Vec<String> =
            lake.catalog().get(table).unwrap().columns.iter().map(|c| c.name.to_string()).collect();
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let batches: Vec<_> = lake.scan(table, &names).await.unwrap().try_collect().await.unwrap();
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells =
                    columns.iter().zip(batch.columns()).filter(|(_, column)| column.is_valid(row));
                rows.push(
                    cells
                        .map(|(name, column)| {
                            (name.clone(), array_value_to_string(column, row).unwrap())
                        })
                        .collect(),
                );
            }
        }
        rows.sort_by_key(|row: &Row| {
            let number = |name| row.get(name).map_or(0, |text| text.parse::<i64>().unwrap());
            (row.get("source_id").cloned(), number("source_offset"), number("row_no"))
        });
        rows
    }

    /// The offsets of one source in `readings`, as they are.
    pub(crate) async fn offsets(&self) -> Vec<u64> {
        self.rows("readings")
            .await
            .iter()
            .map(|row| row["source_offset"].parse().unwrap())
            .collect()
    }

    pub(crate) async fn ingest(&self, change: impl FnOnce(&mut Config)) -> Ingest {
        self.ingest_with(DECODERS, change).await
    }

    /// The same, with these decoders.
    pub(crate) async fn ingest_with(
        &self,
        decoders: &[Spec],
        change: impl FnOnce(&mut Config),
    ) -> Ingest {
        // One row makes a landing.
        let sources = [("*".into(), vec!["#".into()])].into();
        let mut config = Config { flush_rows: 1, sources, ..Config::default() };
        change(&mut config);
        let (inbox, inbox_receiver) = mpsc::channel(64);
        let (outbox_sender, outbox) = mpsc::channel(64);
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        let mut tasks = Tasks::new(Stop::new());
        let (watcher, watched) = Watcher::new();
        ingest::start_with(
            &mut tasks,
            config,
            &self.lake,
            &metrics,
            readiness.clone(),
            (inbox_receiver, outbox_sender, watched),
            decoders,
        )
        .await
        .unwrap();
        Ingest { inbox, outbox, tasks, metrics, readiness, watcher }
    }
}

/// Ingest, running.
pub(crate) struct Ingest {
    pub(crate) inbox: mpsc::Sender<Inbound>,
    outbox: mpsc::Receiver<Outbound>,
    tasks: Tasks,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) watcher: Watcher,
}

impl Ingest {
    pub(crate) async fn send(&self, inbound: Inbound) {
        self.inbox.send(inbound).await.unwrap();
    }

    /// The next receipt.
    pub(crate) async fn receipt(&mut self) -> Receipt {
        let outbound = tokio::time::timeout(PATIENCE, self.outbox.recv())
            .await
            .expect("a receipt comes")
            .unwrap();
        let receipt = Receipt::from_json(&outbound.payload).unwrap();
        assert_eq!(
            outbound.topic,
            ControlTopics::default().receipt(&receipt.source_id, receipt.epoch)
        );
        receipt
    }

    /// The first receipt that fulfils `wanted`.
    pub(crate) async fn receipt_that(&mut self, wanted: impl Fn(&Receipt) -> bool) -> Receipt {
        loop {
            let receipt = self.receipt().await;
            if wanted(&receipt) {
                return receipt;
            }
        }
    }

    /// Waits until everything that the source has sent is landed.
    pub(crate) async fn landed(&mut self, source: &Source) -> Receipt {
        let (id, next) = (source.id.clone(), source.next);
        self.receipt_that(|receipt| receipt.source_id == id && receipt.landed == next).await
    }

    /// Sends the frames again and again, as a source does that is asked for them, until they are landed. Returns where it was told
    /// to be on the way.
    pub(crate) async fn deliver(&mut self, source: &Source, frames: &[Inbound]) -> Vec<u64> {
        let mut landed = vec![0];
        while landed.last() != Some(&source.next) {
            for frame in frames {
                self.send(again(frame)).await;
            }
            let last = landed[landed.len() - 1];
            let further = |receipt: &Receipt| {
                let news = receipt.landed > last || receipt.resend_from.is_some();
                receipt.source_id == source.id && news
            };
            let receipt = self.receipt_that(further).await;
            if receipt.landed > last {
                landed.push(receipt.landed);
            }
        }
        landed
    }

    /// Ctrl-C. Returns the receipts that were sent to the end.
    pub(crate) async fn stop(mut self) -> Vec<Receipt> {
        self.tasks.stop().cancel();
        self.tasks.join(PATIENCE).await.unwrap();
        let mut receipts = Vec::new();
        while let Some(outbound) = self.outbox.recv().await {
            receipts.push(Receipt::from_json(&outbound.payload).unwrap());
        }
        receipts
    }

    /// `kill -9`, as far as the lake can tell: nothing is drained.
    pub(crate) fn kill(self) {
        drop(self.tasks);
    }
}

/// Lands messages of one source, and returns the lake.
pub(crate) async fn land<P: AsRef<[u8]>>(messages: &[(&str, P)]) -> Lakeside {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.frame(messages)).await;
    ingest.landed(&source).await;
    ingest.stop().await;
    lakeside
}

/// The bytes of a frame.
pub(crate) fn bytes(inbound: &Inbound) -> Bytes {
    match inbound {
        Inbound::Frame { payload, .. } => payload.clone(),
        Inbound::Connected => Bytes::new(),
    }
}

/// A frame once more.
pub(crate) fn again(inbound: &Inbound) -> Inbound {
    match inbound {
        Inbound::Frame { topic, payload } => {
            Inbound::Frame { topic: topic.clone(), payload: payload.clone() }
        }
        Inbound::Connected => Inbound::Connected,
    }
}

/// The named fields of a row, `-` for NULL.
pub(crate) fn fields<'a, const N: usize>(row: &'a Row, names: [&'static str; N]) -> [&'a str; N] {
    names.map(|name| row.get(name).map_or("-", String::as_str))
}
