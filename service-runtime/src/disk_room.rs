//! How much room the file system below a folder has left.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::Metrics;

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// What this user may still write.
    free: u64,
    size: u64,
}

/// Bytes that this user may still write where `folder` is; `None` if it cannot be asked.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    Some(room(folder)?.free)
}

fn room(folder: &Path) -> Option<Room> {
    let found = statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Room { free: bytes(found.f_bavail), size: bytes(found.f_blocks) })
}

/// Adds the gauges `{prefix}_{what}_filesystem_free_bytes` and `…_size_bytes`. While the folder cannot be asked they are not there.
pub fn register(metrics: &Metrics, prefix: &str, what: &'static str, folder: PathBuf) {
    metrics.observe(prefix, move |facts| {
        let Some(room) = room(&folder) else { return Ok(()) };
        let help = format!("Bytes that may still be written where the {what} is");
        facts.gauge(&format!("{what}_filesystem_free_bytes"), &help, room.free)?;
        let help = format!("Bytes of the file system where the {what} is");
        facts.gauge(&format!("{what}_filesystem_size_bytes"), &help, room.size)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_one_that_is_not_there_has_no_metrics() {
        let folder = tempfile::tempdir().unwrap();
        let found = room(folder.path()).unwrap();
        assert!(found.size > 0 && found.free <= found.size, "{found:?}");
        let metrics = Metrics::default();
        register(&metrics, "agent", "spool", folder.path().to_owned());
        register(&metrics, "agent", "elsewhere", folder.path().join("x"));
        let text = metrics.render();
        assert!(text.contains("agent_spool_filesystem_free_bytes "), "{text}");
        assert!(text.contains("agent_spool_filesystem_size_bytes "), "{text}");
        assert!(!text.contains("elsewhere"), "{text}");
    }
}
