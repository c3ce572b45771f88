//! The rows of one landing while they gather: every table, every source's range, and what became of it.

mod arrays;
mod cells;
pub(crate) mod dates;
mod devices;
pub(crate) mod flags;
pub(crate) mod intern;
pub(crate) mod judging;
mod layout;
mod own;
pub(crate) mod readings;
mod rows;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use lake::table::{Table, Text as Name};
use lake::{Gap, LakeError, SourceAdvance, SourceKey, TableRows};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::lane::lane_of;

use crate::decode::members::Shape;
use crate::decode::reject::Reject;
use crate::memory::{Memory, Places};
use crate::rules::places::Whereabouts;
use crate::sequencer::Key;
use crate::watching::Kept;
use arrays::Sealed;
pub use cells::{Bool, Bytes, Cell, Column, Date, Double, Int, Long, Misfit, OfKind, Text, Time};
pub(crate) use devices::{Devices, SourceNames};
pub(crate) use flags::QUALITIES;
pub use flags::{FLAGS, Flag};
use intern::{NONE, Seeded};
pub use layout::{Handle, Layout};
use own::Own;
pub(crate) use own::{OwnSource, Packed, Watchable};
pub use readings::Origin;
use readings::Readings;
pub(crate) use rows::{Remembering, Said};
pub use rows::{Row, Rows};
use table::RowTable;

/// Topics of one source that are remembered; those beyond are looked up for every message.
const ROUTES_MAX: usize = 20_000;

/// Where messages of a topic go.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// By this rule, as rows of this device if the topic says which.
    By { rule: usize, device: Option<u32> },
    /// Nowhere.
    Refused(Reject),
}

#[derive(Debug)]
struct Slot {
    key: Key,
    from: u64,
    to: u64,
    chain: u64,
    appended: u64,
    received_us: Option<i64>,
    gaps: Vec<Gap>,
    /// By the number of the table.
    counts: Vec<TableRows>,
    /// Among the batch's routes.
    routes: HashMap<Box<str>, u32, Seeded>,
}

/// See the module.
#[derive(Debug)]
pub struct Batch {
    layout: Arc<Layout>,
    pub(crate) readings: Readings,
    pub(crate) devices: Devices,
    /// Of devices, as of its last message.
    pub(crate) memory: Memory,
    pub(crate) places: Places,
    /// How objects of readings look here.
    pub(crate) shape: Shape,
    /// By the number of the table.
    tables: Vec<RowTable>,
    slots: Vec<Slot>,
    own: Option<Own>,
    /// What is known of devices and alerts as of its last row, to be kept with its landing.
    pub(crate) watched: Option<Box<Kept>>,
    names: SourceNames,
    numbers: HashMap<Key, u32>,
    raw_bytes: u64,
    /// What sources and remembered routes take.
    names_bytes: u64,
    messages: u64,
    routes: Vec<Route>,
    /// Number of the last message's topic, [`NONE`] if that has none.
    topic: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

/// What a reading takes in memory beside its columns while it lands: twice its place in the order (sorting), and its encoded
/// bytes, in the row group and in the file, which grows by doubling.
const LANDING_ROW_BYTES: u64 = 40;
/// How often a text of the readings is in memory beside itself while it lands: in the batch's dictionary, and for each of two
/// files at a time in the dictionary that is being gathered (which grows by doubling), in its page and in the file.
const LANDING_TEXT_COPIES: u64 = 8;
/// What a gap takes, also where the ledger lists it.
const GAP_BYTES: u64 = 256;
/// What a remembered route takes beside its topic.
const ROUTE_BYTES: u64 = 96;
/// What a source takes beside its routes.
const SOURCE_BYTES: u64 = 1024;

/// One file to write: rows of one table and date, in order.
pub struct FileRows {
    /// Which table.
    pub table: Arc<Table>,
    /// Partition date, days since 1970-01-01.
    pub date: i32,
    /// The rows.
    pub batches: Box<dyn Iterator<Item = RecordBatch> + Send>,
}

impl Batch {
    /// An empty batch of the tables of `layout`.
    #[must_use]
    pub fn new(layout: Arc<Layout>) -> Self {
        let tables = layout.tables().iter().map(|handle| RowTable::new(handle.table().clone()));
        Self {
            tables: tables.collect(),
            layout,
            readings: Readings::default(),
            devices: Devices::default(),
            memory: Memory::default(),
            places: Places::default(),
            shape: Shape::default(),
            slots: Vec::new(),
            own: None,
            watched: None,
            names: SourceNames::default(),
            numbers: HashMap::new(),
            raw_bytes: 0,
            names_bytes: 0,
            messages: 0,
            routes: Vec::new(),
            topic: NONE,
        }
    }

    /// Rows in all tables.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.readings.len() + self.tables.iter().map(RowTable::len).sum::<usize>()
    }

    /// Raw bytes of the frames that it holds.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// What it takes in memory while it fills, with what its columns have in reserve.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.readings.memory_bytes()
            + self.small_bytes()
            + self.names_bytes
            + self.devices.memory_bytes()
            + self.memory.memory_bytes()
            + self.places.memory_bytes()
    }

    /// What it takes in memory while it lands: a second copy of the small tables (sorted), the order of the readings, their texts
    /// as dictionaries, and the encoded files, which are made in memory.
    #[must_use]
    pub fn landing_bytes(&self) -> u64 {
        let small = self.small_bytes();
        let texts = self.readings.texts_bytes() + self.devices.memory_bytes();
        self.memory_bytes()
            + 2 * small
            + LANDING_TEXT_COPIES * texts
            + self.readings.len() as u64 * LANDING_ROW_BYTES
    }

    fn small_bytes(&self) -> u64 {
        self.tables.iter().map(RowTable::memory_bytes).sum()
    }

    /// Messages that it holds.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Nothing was taken yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.own.as_ref().is_none_or(Own::is_empty)
    }

    /// Counts the raw bytes of a frame.
    pub fn add_raw_bytes(&mut self, bytes: u64) {
        self.raw_bytes += bytes;
    }

    /// The number of a source in this batch; a new one starts at `from`.
    pub fn source(&mut self, id: &SourceId, epoch: Epoch, from: u64) -> u32 {
        let key = (id.clone(), epoch);
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.slots.len()).expect("the number of sources is limited");
        self.names_bytes += SOURCE_BYTES;
        self.names.name_of.push(self.names.names.number(id.as_str()));
        self.names.epochs.push(epoch.get().cast_signed());
        self.numbers.insert(key.clone(), number);
        let (gaps, routes) = (Vec::new(), HashMap::default());
        let counts = vec![TableRows::default(); self.tables.len()];
        let (to, chain, appended) = (from, 0, 0);
        let received_us = None;
        self.slots.push(Slot { key, from, to, chain, appended, received_us, gaps, counts, routes });
        number
    }

    /// Everything of `source` below `to` was taken; `chain` is the value there, and `appended` what the source says that it
    /// has accepted.
    pub fn advance(&mut self, source: u32, to: u64, chain: u64, appended: u64) {
        let slot = &mut self.slots[source as usize];
        (slot.to, slot.chain, slot.appended) = (to, chain, appended);
    }

    /// When `source` accepted the last message that was taken, by its clock, Unix microseconds.
    pub fn received(&mut self, source: u32, at_us: i64) {
        self.slots[source as usize].received_us = Some(at_us);
    }

    /// Offsets of `source` that will never come. Gaps for one reason that follow each other are one.
    pub fn gap(&mut self, source: u32, first: u64, count: u64, reason: &'static str) {
        let gaps = &mut self.slots[source as usize].gaps;
        match gaps.last_mut() {
            Some(last) if last.first + last.count == first && last.reason == reason => {
                last.count += count;
            }
            _ => {
                gaps.push(Gap { first, count, reason: reason.to_owned() });
                self.names_bytes += GAP_BYTES;
            }
        }
    }

    /// Where messages of `source` on `topic` go; `find` says it for a topic that is new here: a rule, and site and name of the device.
    pub(crate) fn route(
        &mut self,
        source: u32,
        topic: &str,
        find: impl FnOnce(&SourceId) -> Result<(usize, Option<Whereabouts>), Reject>,
    ) -> Route {
        let slot = &mut self.slots[source as usize];
        if let Some(number) = slot.routes.get(topic) {
            self.topic = *number;
            return self.routes[*number as usize].clone();
        }
        self.topic = NONE;
        let route = match find(&slot.key.0) {
            Ok((rule, device)) => {
                let device = device.map(|at| self.devices.number(&at.site, &at.device));
                Route::By { rule, device }
            }
            Err(reject) => Route::Refused(reject),
        };
        if slot.routes.len() < ROUTES_MAX {
            self.topic = u32::try_from(self.routes.len()).expect("limited for each source");
            self.routes.push(route.clone());
            slot.routes.insert(topic.into(), self.topic);
            self.names_bytes += topic.len() as u64 + ROUTE_BYTES;
        }
        route
    }

    /// The number of the topic of the message that was taken last, dense from 0; none of one that is not remembered.
    pub(crate) fn topic(&self) -> Option<u32> {
        (self.topic != NONE).then_some(self.topic)
    }

    /// Counts a message.
    pub(crate) fn count_message(&mut self) {
        self.messages += 1;
        self.topic = NONE;
    }

    /// Counts a row of `source` in the table of that number, at `time_us`.
    pub(crate) fn count_row(&mut self, source: u32, table: usize, time_us: i64) {
        self.slots[source as usize].counts[table].add(time_us);
    }

    /// Whether a row of a table at `time_us` has its own partition date; else it has that of the landing, and a flag.
    pub(crate) fn admits(&mut self, table: usize, time_us: i64) -> bool {
        self.tables[table].admits(time_us)
    }

    /// Adds a row of a table, with what every row has: which message it is from, and when that was received.
    ///
    /// # Errors
    /// What does not fit; then nothing was added.
    pub(crate) fn push<'a>(
        &'a mut self,
        table: usize,
        origin: &Origin,
        time_us: i64,
        mut cells: Vec<Cell<'a>>,
    ) -> Result<(), Misfit> {
        let Self { layout, tables, slots, names, .. } = self;
        let (identity, rows) = (layout.tables()[table].identity(), &mut tables[table]);
        let slot = &mut slots[origin.source as usize];
        let row_no = rows.next_row_no(origin.source, origin.offset);
        cells[identity.source_id] = Cell::Text(slot.key.0.as_str());
        cells[identity.epoch] = Cell::Long(names.epochs[origin.source as usize]);
        cells[identity.offset] = Cell::Long(origin.offset.cast_signed());
        cells[identity.row_no] = Cell::Int(row_no);
        if let Some(received) = identity.received {
            cells[received] = Cell::Time(origin.received_us);
        }
        rows.push(time_us, &cells)?;
        rows.numbered(origin.source, origin.offset, row_no);
        slot.counts[table].add(time_us);
        Ok(())
    }

    /// Partition dates of the table that has the most.
    #[must_use]
    pub fn dates(&self) -> usize {
        self.tables.iter().map(RowTable::dates).fold(self.readings.dates.len(), usize::max)
    }

    /// Seals the batch: the files to write, and what they are. `landing_date` is the partition date of rows whose own there are too
    /// many of, in days since 1970-01-01.
    ///
    /// # Errors
    /// [`LakeError::File`] if rows do not fit their table, which would be a defect.
    pub fn into_files(
        self,
        landing_date: i32,
    ) -> Result<(Vec<FileRows>, Vec<SourceAdvance>), LakeError> {
        let mut files = Vec::new();
        let table = self.layout.readings().table();
        let sealed = Arc::new(Sealed::new(table, self.readings, &self.devices, &self.names));
        for (date, order) in sealed.orders(&self.devices, landing_date) {
            let batches = Box::new(sealed.batches(order));
            files.push(FileRows { table: table.clone(), date, batches });
        }
        for (handle, rows) in self.layout.tables().iter().zip(self.tables) {
            for (date, batch) in rows.finish(landing_date)? {
                let (table, batches) = (handle.table().clone(), Box::new(std::iter::once(batch)));
                files.push(FileRows { table, date, batches });
            }
        }
        let layout = &self.layout;
        let sources = self.slots.into_iter().map(|slot| slot.into_advance(layout));
        let sources = sources.chain(self.own.and_then(Own::into_advance));
        Ok((files, sources.collect()))
    }
}

impl Slot {
    fn into_advance(self, layout: &Layout) -> SourceAdvance {
        let (source_id, epoch) = self.key;
        let counted = layout.tables().iter().zip(self.counts);
        let touched = counted.filter(|(_, counts)| counts.rows > 0);
        let tables: BTreeMap<Name, TableRows> =
            touched.map(|(handle, counts)| (handle.table().name.clone(), counts)).collect();
        SourceAdvance {
            lane: lane_of(&source_id),
            key: SourceKey { source_id: source_id.as_str().to_owned(), epoch: epoch.get() },
            from: self.from,
            to: self.to,
            chain: self.chain,
            appended: self.appended,
            received_us: self.received_us,
            gaps: self.gaps,
            tables,
        }
    }
}
