//! Delta: the log as we read it and write to it, from a table's first entry to its checkpoints and their clean-up.

mod action;
mod active;
mod changes;
mod checkpoint;
mod cleanup;
mod create;
mod entries;
mod file;
mod fit;
mod listed;
mod log;
mod replay;
mod shape;
mod since;
mod stated;
mod widen;

pub use action::AddFile;
pub(crate) use action::{COMPACT, Entry, Rewrite};
pub(crate) use active::{Active, ActiveFile, date_in};
pub(crate) use changes::{Changes, changes};
pub(crate) use checkpoint::checkpoint;
pub(crate) use create::create;
pub use file::FileInfo;
pub(crate) use listed::files;
pub(crate) use log::{Appended, TableLog, entry_path, last_checkpoint};
pub(crate) use widen::widen;
