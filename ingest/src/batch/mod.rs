//! The rows of one landing while they gather: every table, every source's range, and what became of it.

mod arrays;
pub(crate) mod dates;
pub(crate) mod flags;
pub(crate) mod intern;
pub(crate) mod readings;
pub(crate) mod small;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use lake::schema::{DEAD_LETTERS, DEVICE_STATUS, EHR_EVENTS, READINGS, Table};
use lake::{Gap, LakeError, SourceAdvance, SourceKey, TableRows};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::lane::lane_of;

use crate::access::Access;
use crate::config::DecoderKind;
use crate::decode::members::Shape;
use crate::decode::reject::Reject;
use crate::sequencer::Key;
use arrays::Sealed;
use intern::{Interner, Seeded};
pub use readings::Origin;
use readings::Readings;
use small::{Cell, Misfit, SmallTable};

/// Topics of one source that are remembered; those beyond are looked up for every message.
const ROUTES_MAX: usize = 20_000;

/// The tables that messages become rows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Readings,
    Ehr,
    Status,
    DeadLetters,
}

static TARGETS: [&Table; 4] = [&READINGS, &EHR_EVENTS, &DEVICE_STATUS, &DEAD_LETTERS];

/// Where messages of a topic go.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// To a decoder, as rows of this device.
    To { decoder: DecoderKind, device: u32 },
    /// Nowhere.
    Refused(Reject),
}

/// The devices of a batch.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) sites: Interner,
    pub(crate) names: Interner,
    /// Site and name of each device, by its number.
    pub(crate) site_of: Vec<u32>,
    pub(crate) name_of: Vec<u32>,
    numbers: HashMap<[u32; 2], u32, Seeded>,
}

impl Devices {
    fn number(&mut self, site: &str, name: &str) -> u32 {
        let pair = [self.sites.number(site), self.names.number(name)];
        let next = u32::try_from(self.site_of.len()).expect("fewer devices than messages");
        *self.numbers.entry(pair).or_insert_with(|| {
            self.site_of.push(pair[0]);
            self.name_of.push(pair[1]);
            next
        })
    }

    /// What they take in memory, about.
    fn memory_bytes(&self) -> u64 {
        // A device is in two lists and a map.
        let devices = self.site_of.len() as u64 * 2 * (8 + 16);
        self.sites.memory_bytes() + self.names.memory_bytes() + devices
    }

    /// Site and name of a device.
    pub(crate) fn names(&self, device: u32) -> (&str, &str) {
        let device = device as usize;
        (self.sites.text(self.site_of[device]), self.names.text(self.name_of[device]))
    }

    /// For each device the place of its name among all names.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        // Devices of one name on several sites are told apart by the site, else their rows would not be together.
        let mut sorted: Vec<u32> = (0..).take(self.name_of.len()).collect();
        sorted.sort_unstable_by_key(|device| {
            let (site, name) = self.names(*device);
            (name, site)
        });
        let mut ranks = vec![0; sorted.len()];
        for (rank, device) in (0..).zip(sorted) {
            ranks[device as usize] = rank;
        }
        ranks
    }
}

/// The sources of a batch as the rows name them.
#[derive(Debug, Default)]
pub(crate) struct SourceNames {
    pub(crate) names: Interner,
    pub(crate) name_of: Vec<u32>,
    pub(crate) epochs: Vec<i64>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    from: u64,
    to: u64,
    chain: u64,
    appended: u64,
    gaps: Vec<Gap>,
    counts: [TableRows; 4],
    routes: HashMap<Box<str>, Route, Seeded>,
}

/// See the module.
#[derive(Debug)]
pub struct Batch {
    pub(crate) readings: Readings,
    pub(crate) devices: Devices,
    /// How objects of readings look here.
    pub(crate) shape: Shape,
    ehr: SmallTable,
    status: SmallTable,
    dead: SmallTable,
    slots: Vec<Slot>,
    names: SourceNames,
    numbers: HashMap<Key, u32>,
    raw_bytes: u64,
    /// What sources and remembered routes take.
    names_bytes: u64,
    messages: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            readings: Readings::default(),
            devices: Devices::default(),
            shape: Shape::default(),
            ehr: SmallTable::new(&EHR_EVENTS),
            status: SmallTable::new(&DEVICE_STATUS),
            dead: SmallTable::new(&DEAD_LETTERS),
            slots: Vec::new(),
            names: SourceNames::default(),
            numbers: HashMap::new(),
            raw_bytes: 0,
            names_bytes: 0,
            messages: 0,
        }
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
    pub table: &'static Table,
    /// Partition date, days since 1970-01-01.
    pub date: i32,
    /// The rows.
    pub batches: Box<dyn Iterator<Item = RecordBatch> + Send>,
}

impl Batch {
    /// Rows in all tables.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.readings.len() + self.ehr.len() + self.status.len() + self.dead.len()
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
        self.ehr.memory_bytes() + self.status.memory_bytes() + self.dead.memory_bytes()
    }

    /// Messages that it holds.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Nothing was taken yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
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
        let (gaps, counts, routes) = (Vec::new(), Default::default(), HashMap::default());
        let (to, chain, appended) = (from, 0, 0);
        self.slots.push(Slot { key, from, to, chain, appended, gaps, counts, routes });
        number
    }

    /// Everything of `source` below `to` was taken; `chain` is the value there, and `appended` what the source says that it
    /// has accepted.
    pub fn advance(&mut self, source: u32, to: u64, chain: u64, appended: u64) {
        let slot = &mut self.slots[source as usize];
        (slot.to, slot.chain, slot.appended) = (to, chain, appended);
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

    /// Where messages of `source` on `topic` go.
    pub(crate) fn route(&mut self, access: &Access, source: u32, topic: &str) -> Route {
        let slot = &mut self.slots[source as usize];
        if let Some(route) = slot.routes.get(topic) {
            return route.clone();
        }
        let route = match access.route(&slot.key.0, topic) {
            Ok((decoder, device)) => {
                Route::To { decoder, device: self.devices.number(device.site, device.device_id) }
            }
            Err(reject) => Route::Refused(reject),
        };
        if slot.routes.len() < ROUTES_MAX {
            slot.routes.insert(topic.into(), route.clone());
            self.names_bytes += topic.len() as u64 + ROUTE_BYTES;
        }
        route
    }

    /// Counts a message.
    pub(crate) fn count_message(&mut self) {
        self.messages += 1;
    }

    /// Counts rows of `source` in a table at `time_us`.
    pub(crate) fn count_row(&mut self, source: u32, target: Target, time_us: i64) {
        self.slots[source as usize].counts[target as usize].add(time_us);
    }

    /// Whether a row of a small table at `time_us` has its own partition date; else it has that of the landing, and a flag.
    pub(crate) fn admits(&mut self, target: Target, time_us: i64) -> bool {
        match target {
            Target::Ehr => self.ehr.admits(time_us),
            Target::Status => self.status.admits(time_us),
            Target::DeadLetters => self.dead.admits(time_us),
            Target::Readings => self.readings.dates.admit(time_us),
        }
    }

    /// Adds a row of a small table, with the source's identity appended.
    ///
    /// # Errors
    /// What does not fit; then nothing was added.
    pub(crate) fn push_small(
        &mut self,
        target: Target,
        origin: &Origin,
        row_no: i32,
        time_us: i64,
        cells: &[Cell<'_>],
    ) -> Result<(), Misfit> {
        let number = origin.source as usize;
        let (source_id, epoch) = (self.slots[number].key.0.clone(), self.names.epochs[number]);
        let mut row: Vec<Cell<'_>> = Vec::with_capacity(cells.len() + 4);
        row.extend_from_slice(cells);
        row.extend([
            Cell::Text(source_id.as_str()),
            Cell::Long(epoch),
            Cell::Long(origin.offset.cast_signed()),
            Cell::Int(row_no),
        ]);
        let table = match target {
            Target::Ehr => &mut self.ehr,
            Target::Status => &mut self.status,
            Target::DeadLetters => &mut self.dead,
            Target::Readings => return Err(Misfit::Table { table: READINGS.name }),
        };
        table.push(time_us, &row)?;
        self.count_row(origin.source, target, time_us);
        Ok(())
    }

    /// Partition dates of the table that has the most.
    #[must_use]
    pub fn dates(&self) -> usize {
        let small = [&self.ehr, &self.status, &self.dead].map(SmallTable::dates);
        small.into_iter().fold(self.readings.dates.len(), usize::max)
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
        let sealed = Arc::new(Sealed::new(self.readings, &self.devices, &self.names));
        for (date, order) in sealed.orders(&self.devices, landing_date) {
            files.push(FileRows {
                table: &READINGS,
                date,
                batches: Box::new(sealed.batches(order)),
            });
        }
        for (table, rows) in
            [(&EHR_EVENTS, self.ehr), (&DEVICE_STATUS, self.status), (&DEAD_LETTERS, self.dead)]
        {
            for (date, batch) in rows.finish(landing_date)? {
                files.push(FileRows { table, date, batches: Box::new(std::iter::once(batch)) });
            }
        }
        Ok((files, self.slots.into_iter().map(Slot::into_advance).collect()))
    }
}

impl Slot {
    fn into_advance(self) -> SourceAdvance {
        let (source_id, epoch) = self.key;
        let touched = TARGETS.iter().zip(self.counts).filter(|(_, counts)| counts.rows > 0);
        let tables: BTreeMap<&'static str, TableRows> =
            touched.map(|(table, counts)| (table.name, counts)).collect();
        SourceAdvance {
            lane: lane_of(&source_id),
            key: SourceKey { source_id: source_id.as_str().to_owned(), epoch: epoch.get() },
            from: self.from,
            to: self.to,
            chain: self.chain,
            appended: self.appended,
            gaps: self.gaps,
            tables,
        }
    }
}
