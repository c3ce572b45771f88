//! The file of sessions and retained messages: a `redb` database, one transaction and one sync for each batch of changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use service_runtime::files::Readers;

use super::change::{Flight, Found, Op, Position, Record, Stored};
use crate::letter::Letter;
use crate::message::Message;
use crate::testament::Testament;

/// Client id → record as JSON.
const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions.v1");
/// Client id and number → letter; see [`encode`].
const LETTERS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("letters.v1");
/// Client id and number of a QoS 2 letter → packet id and whether it is released.
const FLIGHTS: TableDefinition<'_, (&str, u64), (u16, bool)> = TableDefinition::new("flights.v1");
/// Client id and packet id of a QoS 2 message of the client that it has not released → epoch and offset in the spool, if it stands there.
const RECEIVED: TableDefinition<'_, (&str, u16), Option<(u64, u64)>> =
    TableDefinition::new("received.v2");
/// The same without a position, as the first releases wrote it.
const RECEIVED_V1: TableDefinition<'_, (&str, u16), ()> = TableDefinition::new("received.v1");
/// Epoch and offset up to which the exchanges of the spool's messages are known here.
const KNOWN: TableDefinition<'_, (), (u64, u64)> = TableDefinition::new("known.v1");
/// Client id → will; see [`Testament::encode`].
const WILLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("wills.v1");
/// Topic → message.
const RETAINED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("retained.v1");
/// Messages wait in it: it is its owner's alone.
const READERS: Readers = Readers::Owner;
/// Memory for pages; the file holds what is in memory anyway.
const CACHE_BYTES: usize = 4 << 20;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}; check the disk, or move the file away to start without the sessions in it", path.display())]
pub(crate) struct DiskError {
    action: &'static str,
    path: PathBuf,
    source: Box<redb::Error>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Disk {
    database: Database,
    path: PathBuf,
}

impl Disk {
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        let failed =
            |source| DiskError { action: "open", path: path.to_owned(), source: Box::new(source) };
        if let Some(folder) = path.parent() {
            READERS.make_folders(folder).map_err(|error| failed(redb::Error::Io(error)))?;
        }
        let mut options = READERS.options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| failed(redb::Error::Io(error)))?;
        READERS.warn_about("file of sessions", path);
        let backend = FileBackend::new(file).map_err(|error| failed(error.into()))?;
        let created = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend);
        let database = created.map_err(|error| failed(error.into()))?;
        Ok(Self { database, path: path.to_owned() })
    }

    fn failed(&self, action: &'static str) -> impl Fn(redb::Error) -> DiskError {
        move |source| DiskError { action, path: self.path.clone(), source: Box::new(source) }
    }

    /// Writes a batch; on stable storage when this returns.
    pub(crate) fn write(&mut self, ops: &[Op]) -> Result<(), DiskError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            Tables::open(&transaction)?.apply(ops)?;
            Ok(transaction.commit()?)
        };
        write().map_err(self.failed("write"))
    }

    /// Reads everything.
    pub(crate) fn read(&self) -> Result<Found, DiskError> {
        self.create_tables().map_err(self.failed("create tables in"))?;
        self.found().map_err(self.failed("read"))
    }

    fn create_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut received = transaction.open_table(RECEIVED)?;
            for entry in transaction.open_table(RECEIVED_V1)?.iter()? {
                received.insert(entry?.0.value(), None)?;
            }
        }
        transaction.delete_table(RECEIVED_V1)?;
        Tables::open(&transaction)?;
        Ok(transaction.commit()?)
    }

    fn found(&self) -> Result<Found, redb::Error> {
        let transaction = self.database.begin_read()?;
        let (letters, flights) =
            (transaction.open_table(LETTERS)?, transaction.open_table(FLIGHTS)?);
        let received = transaction.open_table(RECEIVED)?;
        let mut found = Found::default();
        for entry in transaction.open_table(SESSIONS)?.iter()? {
            let (client_id, record) = entry?;
            let Ok(record) = serde_json::from_slice::<Record>(record.value()) else {
                found.damaged += 1;
                continue;
            };
            let client_id = client_id.value();
            let mut session = Stored {
                client_id: client_id.into(),
                record,
                letters: Vec::new(),
                received: Vec::new(),
            };
            for entry in letters.range((client_id, 0)..=(client_id, u64::MAX))? {
                let (key, letter) = entry?;
                let Some(letter) = decode(key.value().1, letter.value()) else {
                    found.damaged += 1;
                    continue;
                };
                let flight = flights.get(key.value())?.map(|flight| flight.value());
                let flight = flight.map(|(pkid, released)| Flight { pkid, released });
                session.letters.push((letter, flight));
            }
            for entry in received.range((client_id, 0)..=(client_id, u16::MAX))? {
                let (key, place) = entry?;
                session.received.push((key.value().1, place.value().and_then(position)));
            }
            found.sessions.push(session);
        }
        found.known = transaction.open_table(KNOWN)?.get(())?.and_then(|at| position(at.value()));
        for entry in transaction.open_table(RETAINED)?.iter()? {
            match Message::decode(entry?.1.value()) {
                Some(message) => found.retained.push(message),
                None => found.damaged += 1,
            }
        }
        for entry in transaction.open_table(WILLS)?.iter()? {
            match Testament::decode(entry?.1.value()) {
                Some(will) => found.wills.push(will),
                None => found.damaged += 1,
            }
        }
        Ok(found)
    }
}

struct Tables<'a> {
    sessions: Table<'a, &'static str, &'static [u8]>,
    letters: Table<'a, (&'static str, u64), &'static [u8]>,
    flights: Table<'a, (&'static str, u64), (u16, bool)>,
    received: Table<'a, (&'static str, u16), Option<(u64, u64)>>,
    known: Table<'a, (), (u64, u64)>,
    wills: Table<'a, &'static str, &'static [u8]>,
    retained: Table<'a, &'static str, &'static [u8]>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            letters: transaction.open_table(LETTERS)?,
            flights: transaction.open_table(FLIGHTS)?,
            received: transaction.open_table(RECEIVED)?,
            known: transaction.open_table(KNOWN)?,
            wills: transaction.open_table(WILLS)?,
            retained: transaction.open_table(RETAINED)?,
        })
    }

    fn apply(&mut self, ops: &[Op]) -> Result<(), redb::Error> {
        for op in ops {
            match op {
                Op::Session { client_id, record } => {
                    let json = serde_json::to_vec(record).expect("a record is plain data");
                    self.sessions.insert(&**client_id, json.as_slice())?;
                }
                Op::End { client_id } => self.end(client_id)?,
                Op::Queue { client_id, number, letter } => {
                    self.letters.insert((&**client_id, *number), encode(letter).as_slice())?;
                }
                Op::Unqueue { client_id, number } => {
                    self.letters.remove((&**client_id, *number))?;
                    self.flights.remove((&**client_id, *number))?;
                }
                Op::Flight { client_id, number, flight } => {
                    let value = (flight.pkid, flight.released);
                    self.flights.insert((&**client_id, *number), value)?;
                }
                Op::Received { client_id, pkid, place } => {
                    let place = place.map(|at| (at.epoch.get(), at.offset));
                    self.received.insert((&**client_id, *pkid), place)?;
                }
                Op::Known(at) => {
                    self.known.insert((), (at.epoch.get(), at.offset))?;
                }
                Op::Released { client_id, pkid } => {
                    self.received.remove((&**client_id, *pkid))?;
                }
                Op::Will { will, due_us } => {
                    self.wills.insert(&*will.client_id, will.encode(*due_us).as_slice())?;
                }
                Op::NoWill { client_id, id } => self.forget_will(client_id, *id)?,
                Op::Retain { message } => {
                    self.retained.insert(message.topic.as_str(), message.encode().as_slice())?;
                }
                Op::Forget { topic } => {
                    self.retained.remove(topic.as_str())?;
                }
            }
        }
        Ok(())
    }

    fn forget_will(&mut self, client_id: &str, id: u64) -> Result<(), redb::Error> {
        let stored = self.wills.get(client_id)?.and_then(|will| Testament::decode(will.value()));
        if stored.is_none_or(|(will, _)| will.id == id) {
            self.wills.remove(client_id)?;
        }
        Ok(())
    }

    fn end(&mut self, client_id: &Arc<str>) -> Result<(), redb::Error> {
        let client_id = &**client_id;
        self.sessions.remove(client_id)?;
        let all = (client_id, 0)..=(client_id, u64::MAX);
        self.letters.retain_in(all.clone(), |_, _| false)?;
        self.flights.retain_in(all, |_, _| false)?;
        Ok(self.received.retain_in((client_id, 0)..=(client_id, u16::MAX), |_, _| false)?)
    }
}

fn position((epoch, offset): (u64, u64)) -> Option<Position> {
    Some(Position { epoch: epoch.try_into().ok()?, offset })
}

/// Writes a letter as `version u8 | qos u8 | retain u8 | ids u8 | id u32 … | shared_len u16 | shared | message`, big endian.
fn encode(letter: &Letter) -> Vec<u8> {
    let ids = &letter.ids[..letter.ids.len().min(u8::MAX.into())];
    let shared = letter.shared.as_deref().unwrap_or_default();
    let mut out =
        vec![1, letter.qos, u8::from(letter.retain), u8::try_from(ids.len()).unwrap_or(u8::MAX)];
    out.extend(ids.iter().flat_map(|id| id.to_be_bytes()));
    out.extend(u16::try_from(shared.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(shared.as_bytes());
    out.extend(letter.message.encode());
    out
}

fn decode(number: u64, bytes: &[u8]) -> Option<Letter> {
    let (&[1, qos @ 0..=2, retain, ids], rest) = bytes.split_first_chunk()? else { return None };
    let (ids, rest) = rest.split_at_checked(usize::from(ids) * 4)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (shared, message) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let shared = std::str::from_utf8(shared).ok()?;
    Some(Letter {
        message: Arc::new(Message::decode(message)?),
        qos,
        retain: retain == 1,
        ids: ids.as_chunks().0.iter().map(|id| u32::from_be_bytes(*id)).collect(),
        shared: (!shared.is_empty()).then(|| shared.into()),
        stored: Some(number),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_of_sessions_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool").join("sessions.redb");
        Disk::open(&path).unwrap().read().unwrap();
        for made in [&*path, path.parent().unwrap()] {
            let mode = made.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} {mode:o}", made.display());
        }
    }
}
