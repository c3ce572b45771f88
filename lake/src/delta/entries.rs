//! The entries of a log from one on, in order, until there is none: read ahead, the further the longer the log turns out to be.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::log::entry_path;
use crate::error::LakeError;
use crate::store::Store;

/// Entries that are asked for at once, at most.
const AHEAD_MAX: u64 = 16;

/// See the module.
pub(super) struct Entries {
    /// The table's folder.
    folder: Store,
    next: u64,
    ahead: u64,
    ended: bool,
    read: VecDeque<(u64, Bytes)>,
}

impl Entries {
    /// Those of the table in `folder`, from version `next` on.
    pub(super) fn from(folder: &Store, next: u64) -> Self {
        let (folder, read) = (folder.clone(), VecDeque::new());
        Self { folder, next, ahead: 1, ended: false, read }
    }

    /// The next one, with its version; `None`: that was the last.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Bytes)>, LakeError> {
        if self.read.is_empty() && !self.ended {
            let asked = stream::iter(self.next..self.next + self.ahead).map(|version| {
                let folder = self.folder.clone();
                async move { (version, folder.get(&entry_path(version)).await) }
            });
            let mut asked = asked.buffered(usize::MAX);
            while let Some((version, entry)) = asked.next().await {
                let Some(entry) = entry? else {
                    self.ended = true;
                    break;
                };
                self.read.push_back((version, entry));
                self.next = version + 1;
            }
            self.ahead = (self.ahead * 2).min(AHEAD_MAX);
        }
        Ok(self.read.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use url::Url;

    use super::*;

    #[tokio::test]
    async fn all_entries_come_in_order_up_to_the_first_that_is_missing() {
        let url = Url::parse("memory:///t").unwrap();
        let folder = Store::on(Arc::new(InMemory::new()), url).unwrap();
        for version in (0..70).chain(71..90) {
            folder.put(&entry_path(version), version.to_string().into()).await.unwrap();
        }
        let mut entries = Entries::from(&folder, 3);
        for version in 3..70 {
            let (at, entry) = entries.next().await.unwrap().unwrap();
            assert_eq!((at, entry), (version, Bytes::from(version.to_string())));
        }
        assert!(entries.next().await.unwrap().is_none());
        assert!(entries.next().await.unwrap().is_none());
    }
}
