//! A disk that loses power: records every change, and says what may be left of them at any moment.
//!
//! A file's content is certain up to its last sync, a folder's entries up to the folder's last sync; of everything since then an
//! [`Adversary`] decides what survives. Nothing is promised by the order in which it happened.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Change;

type Watcher = Box<dyn FnMut(Change<'_>) -> io::Result<()>>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = RefCell::default();
}

/// Where every change of the disk comes past in a test build.
pub(crate) fn about_to(change: Change<'_>) -> io::Result<()> {
    WATCHER.with_borrow_mut(|watcher| watcher.as_mut().map_or(Ok(()), |watch| watch(change)))
}

/// Does `work` while every change that this thread makes goes past `watcher`, which may refuse it.
pub(crate) fn watched<R>(
    watcher: impl FnMut(Change<'_>) -> io::Result<()> + 'static,
    work: impl FnOnce() -> R,
) -> R {
    WATCHER.set(Some(Box::new(watcher)));
    let result = work();
    WATCHER.set(None);
    result
}

/// What becomes of a content or an entry that nobody synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Of a write, only the first half.
    Head,
    /// Of a write, only the second half; zeros before it.
    Tail,
}

/// Decides what survives: the fate of every write, and whether an entry (made, renamed, deleted) reached the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Adversary {
    Plain {
        contents: Fate,
        entries: bool,
    },
    /// Each for itself, by chance.
    Random(u64),
}

impl Adversary {
    /// Every plain one, and some that mix.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let fates = [Fate::Lost, Fate::Kept, Fate::Head, Fate::Tail];
        let plain = fates
            .into_iter()
            .flat_map(|contents| [false, true].map(|entries| Self::Plain { contents, entries }));
        plain.chain((1..=4).map(Self::Random))
    }

    fn contents(&mut self) -> Fate {
        match self {
            Self::Plain { contents, .. } => *contents,
            Self::Random(state) => {
                [Fate::Lost, Fate::Kept, Fate::Head, Fate::Tail][usize::from(draw(state) & 3)]
            }
        }
    }

    fn entry(&mut self) -> bool {
        match self {
            Self::Plain { entries, .. } => *entries,
            Self::Random(state) => draw(state) & 1 == 0,
        }
    }
}

fn draw(state: &mut u64) -> u8 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 56) as u8
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    File(usize),
}

#[derive(Debug, Clone)]
enum ContentChange {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<ContentChange>,
}

#[derive(Debug, Clone)]
enum EntryChange {
    Made(PathBuf, Entry),
    Renamed(PathBuf, PathBuf, Entry),
    Deleted(PathBuf),
}

/// Folders and files with what is certain of them and what is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    contents: Vec<Content>,
    /// As programs see it now.
    entries: BTreeMap<PathBuf, Entry>,
    certain: BTreeMap<PathBuf, Entry>,
    since: BTreeMap<PathBuf, Vec<EntryChange>>,
}

impl Disk {
    /// Starts with a folder that is there for sure.
    pub(crate) fn with_folder(path: &Path) -> Self {
        let mut disk = Self::default();
        for folder in path.ancestors() {
            disk.entries.insert(folder.to_owned(), Entry::Folder);
        }
        disk.certain = disk.entries.clone();
        disk
    }

    pub(crate) fn change(&mut self, change: Change<'_>) {
        match change {
            Change::CreateFolder(path) => {
                if !self.entries.contains_key(path) {
                    self.enter(EntryChange::Made(path.to_owned(), Entry::Folder));
                }
            }
            Change::CreateFile(path) => match self.entries.get(path) {
                Some(Entry::File(file)) => self.contents[*file].since.push(ContentChange::Cut(0)),
                _ => {
                    self.contents.push(Content::default());
                    let file = Entry::File(self.contents.len() - 1);
                    self.enter(EntryChange::Made(path.to_owned(), file));
                }
            },
            Change::Write(path, at, bytes) => {
                self.content(path).since.push(ContentChange::Write(at, bytes.to_vec()));
            }
            Change::Cut(path, len) => self.content(path).since.push(ContentChange::Cut(len)),
            Change::SyncFile(path) => {
                let content = self.content(path);
                for change in std::mem::take(&mut content.since) {
                    apply_content(&mut content.synced, &change, Fate::Kept);
                }
            }
            Change::SyncFolder(path) => {
                for change in self.since.remove(path).unwrap_or_default() {
                    apply_entry(&mut self.certain, &change);
                }
            }
            Change::Rename(from, to) => {
                assert!(self.since.get(from).is_none_or(Vec::is_empty), "its entries are synced");
                let entry = self.entries[from];
                self.enter(EntryChange::Renamed(from.to_owned(), to.to_owned(), entry));
            }
            Change::Delete(path) | Change::DeleteFolder(path) => {
                if self.entries.contains_key(path) {
                    self.enter(EntryChange::Deleted(path.to_owned()));
                }
            }
            Change::Uncache(_) => {}
        }
    }

    fn enter(&mut self, change: EntryChange) {
        apply_entry(&mut self.entries, &change);
        let (EntryChange::Made(path, _)
        | EntryChange::Renamed(path, ..)
        | EntryChange::Deleted(path)) = &change;
        self.since.entry(path.parent().unwrap().to_owned()).or_default().push(change);
    }

    fn content(&mut self, path: &Path) -> &mut Content {
        let Entry::File(file) = self.entries[path] else { panic!("{path:?} is a folder") };
        &mut self.contents[file]
    }

    /// Bytes in files, as programs see them.
    pub(crate) fn used(&self) -> u64 {
        let files = self.entries.values().filter_map(|entry| match entry {
            Entry::File(file) => Some(&self.contents[*file]),
            Entry::Folder => None,
        });
        files.map(|content| content.now().len() as u64).sum()
    }

    /// The power fails: writes what is left of everything below `from` into the folder `to`.
    pub(crate) fn survive(&self, mut adversary: Adversary, from: &Path, to: &Path) {
        let mut left = self.certain.clone();
        for change in self.since.values().flatten() {
            if adversary.entry() {
                apply_entry(&mut left, change);
            }
        }
        for (path, entry) in &left {
            let Ok(inner) = path.strip_prefix(from) else { continue };
            // What a lost folder held is lost too.
            if path.ancestors().skip(1).any(|above| !matches!(left.get(above), Some(Entry::Folder)))
            {
                continue;
            }
            match entry {
                Entry::Folder => std::fs::create_dir_all(to.join(inner)).unwrap(),
                Entry::File(file) => {
                    let content = &self.contents[*file];
                    let mut bytes = content.synced.clone();
                    for change in &content.since {
                        apply_content(&mut bytes, change, adversary.contents());
                    }
                    std::fs::write(to.join(inner), bytes).unwrap();
                }
            }
        }
    }
}

impl Content {
    fn now(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.since {
            apply_content(&mut bytes, change, Fate::Kept);
        }
        bytes
    }
}

fn apply_entry(entries: &mut BTreeMap<PathBuf, Entry>, change: &EntryChange) {
    match change {
        EntryChange::Made(path, entry) => drop(entries.insert(path.clone(), *entry)),
        EntryChange::Renamed(from, to, entry) => {
            entries.remove(from);
            entries.insert(to.clone(), *entry);
            // A folder takes along what is in it.
            let inside: Vec<_> =
                entries.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in inside {
                let entry = entries.remove(&path).unwrap();
                entries.insert(to.join(path.strip_prefix(from).unwrap()), entry);
            }
        }
        EntryChange::Deleted(path) => entries.retain(|found, _| !found.starts_with(path)),
    }
}

fn apply_content(content: &mut Vec<u8>, change: &ContentChange, fate: Fate) {
    match (change, fate) {
        (_, Fate::Lost) => {}
        (ContentChange::Cut(len), _) => content.resize(usize::try_from(*len).unwrap(), 0),
        (ContentChange::Write(at, bytes), fate) => {
            let at = usize::try_from(*at).unwrap();
            let half = bytes.len() / 2;
            let part = match fate {
                Fate::Head => 0..half,
                Fate::Tail => half..bytes.len(),
                _ => 0..bytes.len(),
            };
            if content.len() < at + part.end {
                content.resize(at + part.end, 0);
            }
            content[at + part.start..at + part.end].copy_from_slice(&bytes[part]);
        }
    }
}
