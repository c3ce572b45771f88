//! The reading side of the journal: all files of a folder, one record after the other, in constant memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::format::{BODY_MAX, Body, Entry, HEAD, MAGIC, read_body};
use super::writer::{file_name, place_of};
use crate::message::DeviceName;

/// Missing files that are named.
const HOLES_MAX: usize = 100;

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read journal {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of another program or version.
    #[error("{} is not a journal of version {}", path.display(), super::FORMAT_VERSION)]
    NotAJournal {
        /// Which file.
        path: PathBuf,
    },
    /// A folder without a journal.
    #[error("there is no journal in {}: name the folder that the simulator wrote", path.display())]
    Empty {
        /// Which folder.
        path: PathBuf,
    },
}

/// One entry, with the name of its device if it is a first send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What happened.
    pub entry: Entry,
    /// The sender of an [`Entry::Send`].
    pub device: Option<DeviceName>,
}

/// What makes a journal less than the whole of its runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Hole {
    /// A file of a run is not there, and later ones are.
    #[error("{file} is missing from the journal: audit the folder as the simulator left it")]
    Missing {
        /// Its name.
        file: String,
    },
    /// A record cannot be read, and others come after it.
    #[error("{file} is damaged before its end, and what comes after the damage is not judged")]
    Damaged {
        /// Its name.
        file: String,
    },
}

/// Reads a folder of journals, oldest run first.
#[derive(Debug)]
pub struct JournalReader {
    /// Files not read yet, the next one last.
    paths: Vec<PathBuf>,
    open: Option<Source>,
    torn: u64,
    holes: Vec<Hole>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    file: BufReader<File>,
    devices: HashMap<u32, DeviceName>,
}

impl JournalReader {
    /// Lists the folder's journals.
    ///
    /// # Errors
    /// When there are none, or the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_name().to_str().and_then(place_of).is_some() {
                paths.push(entry.path());
            }
        }
        if paths.is_empty() {
            return Err(ReadError::Empty { path: folder.to_owned() });
        }
        paths.sort_unstable_by(|a, b| b.cmp(a));
        let holes = missing(&paths);
        Ok(Self { paths, open: None, torn: 0, holes })
    }

    /// Returns what is known to be missing, as far as was read.
    #[must_use]
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// The file that was read cannot be read on. A process that was killed tears the end of the last file of its run.
    fn tear(&mut self, more_follows: bool) {
        self.torn += 1;
        let Some(path) = self.open.take().map(|source| source.path) else { return };
        let next = self.paths.last().and_then(|next| part_of(next));
        let same_run = part_of(&path).zip(next).is_some_and(|(this, next)| this.0 == next.0);
        if more_follows || same_run {
            self.holes.push(Hole::Damaged { file: name(&path) });
        }
    }

    /// Files that ended in a torn record so far: one for each process that was killed.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    fn next_file(&mut self) -> Result<bool, ReadError> {
        let Some(path) = self.paths.pop() else { return Ok(false) };
        let io = |source| ReadError::Io { path: path.clone(), source };
        let mut file = BufReader::with_capacity(1 << 16, File::open(&path).map_err(io)?);
        let mut magic = [0; MAGIC.len()];
        match read_whole(&mut file, &mut magic).map_err(io)? {
            Whole::Yes if magic == MAGIC => {
                self.open = Some(Source { path, file, devices: HashMap::new() });
            }
            Whole::Yes => return Err(ReadError::NotAJournal { path }),
            // Killed between creating the file and its first bytes.
            Whole::Torn | Whole::End => self.torn += 1,
        }
        Ok(true)
    }
}

impl Iterator for JournalReader {
    type Item = Result<Read, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(source) = &mut self.open else {
                match self.next_file() {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
            };
            match source.record() {
                Ok(Record::Entry(read)) => return Some(Ok(read)),
                Ok(Record::Device) => {}
                Ok(Record::End) => self.open = None,
                Ok(Record::Torn { more_follows }) => self.tear(more_follows),
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

enum Record {
    Entry(Read),
    Device,
    End,
    Torn { more_follows: bool },
}

/// Names the parts that runs lack before their last one.
fn missing(paths: &[PathBuf]) -> Vec<Hole> {
    let there: BTreeSet<(u64, u64)> = paths.iter().filter_map(|path| part_of(path)).collect();
    let lasts: BTreeMap<u64, u64> = there.iter().copied().collect();
    let all = lasts.into_iter().flat_map(|(run, last)| (0..last).map(move |part| (run, part)));
    let lacking = all.filter(|place| !there.contains(place)).take(HOLES_MAX);
    lacking.map(|(run, part)| Hole::Missing { file: file_name(run, part) }).collect()
}

fn part_of(path: &Path) -> Option<(u64, u64)> {
    path.file_name()?.to_str().and_then(place_of)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Source {
    fn record(&mut self) -> Result<Record, ReadError> {
        let io = |source| ReadError::Io { path: self.path.clone(), source };
        let mut head = [0; HEAD];
        match read_whole(&mut self.file, &mut head).map_err(io)? {
            Whole::Yes => {}
            Whole::End => return Ok(Record::End),
            Whole::Torn => return Ok(Record::Torn { more_follows: false }),
        }
        let [l0, l1, crc @ ..] = head;
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        let mut body = [0; BODY_MAX];
        let Some(body) = body.get_mut(..len) else {
            return Ok(Record::Torn { more_follows: true });
        };
        let whole = read_whole(&mut self.file, body).map_err(io)?;
        let sound = matches!(whole, Whole::Yes) && crc32c::crc32c(body) == u32::from_le_bytes(crc);
        Ok(match sound.then(|| read_body(body)).flatten() {
            Some(Body::Device(number, name)) => {
                self.devices.insert(number, name);
                Record::Device
            }
            Some(Body::Entry(entry)) => {
                let device = match &entry {
                    Entry::Send(intent) => self.devices.get(&intent.device).cloned(),
                    Entry::SendAgain(_) | Entry::Acknowledged(_) | Entry::Refused(..) => None,
                };
                Record::Entry(Read { entry, device })
            }
            None => {
                let rest = read_whole(&mut self.file, &mut [0]).map_err(io)?;
                Record::Torn { more_follows: matches!(rest, Whole::Yes) }
            }
        })
    }
}

enum Whole {
    Yes,
    End,
    Torn,
}

fn read_whole(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<Whole> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => {
                return Ok(if filled == 0 && !buffer.is_empty() {
                    Whole::End
                } else {
                    Whole::Torn
                });
            }
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Whole::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::MessageKey;
    use crate::journal::{Intent, Journal};
    use crate::message::{Expectation, StreamKind};

    fn intent(device: u32, seq: i64) -> Intent {
        let key = MessageKey(u128::try_from(seq).unwrap());
        let expect = Expectation::default();
        Intent {
            device,
            stream: StreamKind::Readings,
            expect,
            boot: 1,
            seq,
            key,
            dead_key: MessageKey(0),
        }
    }

    fn devices() -> Vec<DeviceName> {
        vec![DeviceName::new("s", "a"), DeviceName::new("s", "b")]
    }

    fn read(folder: &Path) -> (Vec<Read>, u64) {
        let mut reader = JournalReader::open(folder).unwrap();
        let all = reader.by_ref().map(Result::unwrap).collect();
        (all, reader.torn())
    }

    #[test]
    fn several_runs_in_one_folder_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = Vec::new();
        for run in 1..=3 {
            assert_eq!(Journal::next_run(folder.path()).unwrap(), run);
            let journal = Journal::create(folder.path(), run, devices()).unwrap();
            let sent = [
                Entry::Send(intent(1, 5)),
                Entry::SendAgain(MessageKey(5)),
                Entry::Acknowledged(MessageKey(5)),
            ];
            journal.write(&sent).unwrap();
            journal.write(&[Entry::Send(intent(0, 6))]).unwrap();
            journal.sync().unwrap();
            written.extend(sent);
            written.push(Entry::Send(intent(0, 6)));
        }
        let (all, torn) = read(folder.path());
        assert_eq!(all.iter().map(|r| r.entry).collect::<Vec<_>>(), written);
        assert_eq!(all[0].device, Some(DeviceName::new("s", "b")));
        assert_eq!(all[3].device, Some(DeviceName::new("s", "a")));
        assert_eq!(torn, 0);
    }

    #[test]
    fn a_journal_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let journals = folder.path().join("a/journal");
        let journal = Journal::create(&journals, 1, devices()).unwrap();
        journal.write(&[Entry::Send(intent(1, 5))]).unwrap();
        let file = std::fs::read_dir(&journals).unwrap().next().unwrap().unwrap().path();
        for path in [folder.path().join("a"), journals, file] {
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
        }
    }

    #[test]
    fn two_processes_cannot_take_the_same_run() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Journal::create(folder.path(), 1, devices()).unwrap();
        assert!(Journal::create(folder.path(), 1, devices()).is_err());
    }

    #[test]
    fn a_torn_tail_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), 1, devices()).unwrap();
        journal.write(&[Entry::Send(intent(0, 1)), Entry::Acknowledged(MessageKey(1))]).unwrap();
        let path = folder.path().join("run-000001-000000.journal");
        let whole = std::fs::read(&path).unwrap();
        assert!(whole.starts_with(b"TMJN\x01"), "the head of every file");
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (all, torn) = read(folder.path());
            assert!(all.len() < 2 && torn <= 1, "{len}: {all:?}");
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let (all, torn) = read(folder.path());
        assert_eq!((all.len(), torn), (1, 1));
    }

    #[test]
    fn a_folder_without_a_journal_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(JournalReader::open(folder.path()), Err(ReadError::Empty { .. })));
        std::fs::write(folder.path().join("run-000001-000000.journal"), b"PAR1xxxx").unwrap();
        let mut reader = JournalReader::open(folder.path()).unwrap();
        assert!(matches!(reader.next(), Some(Err(ReadError::NotAJournal { .. }))));
    }
}
