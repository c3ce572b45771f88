//! Delta: the log as we read and append to it, and what deltalake does for us (create, list files, checkpoint, clean up).

mod action;
mod active;
mod changes;
mod fit;
mod log;
mod replay;
mod table;

pub use action::AddFile;
pub(crate) use action::{COMPACT, Entry, Rewrite};
pub(crate) use active::{Active, ActiveFile, date_in};
pub(crate) use changes::{Changes, changes};
pub(crate) use log::{Appended, TableLog, entry_path, last_checkpoint};
pub use table::FileInfo;
pub(crate) use table::{checkpoint, create, files, widen};
