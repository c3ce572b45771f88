//! What the operating system lets a gateway have: files, and room on a disk.

use std::path::Path;

use gateway::GatewayConfig;
use rustix::process::{Resource, getrlimit};
use service_runtime::disk_room;

use super::finding::Finding;
use crate::print;

/// Files that a gateway has open beside its connections: spool, listeners, logs, certificates while they are read.
const FILES_BESIDE: u64 = 200;

/// Looks whether as many files may be open as clients may connect.
pub(super) fn look(gateway: &GatewayConfig, findings: &mut Vec<Finding>) {
    findings.push(files(
        getrlimit(Resource::Nofile).current,
        u64::try_from(gateway.limits.connections_max).unwrap_or(u64::MAX),
    ));
}

fn files(allowed: Option<u64>, connections: u64) -> Finding {
    let what = "open files";
    let needed = connections.saturating_add(FILES_BESIDE);
    match allowed {
        Some(allowed) if allowed < needed => Finding::warning(
            what,
            format!(
                "{} may be open here, gateway.limits.connections_max = {connections} needs {}",
                print::grouped(allowed),
                print::grouped(needed)
            ),
            "raise the limit (ulimit -n, LimitNOFILE= of the systemd unit), or lower connections_max: beyond it, clients are not taken",
        ),
        Some(allowed) => Finding::ok(what, format!("{} may be open here", print::grouped(allowed))),
        None => Finding::ok(what, "no limit here".to_owned()),
    }
}

/// Bytes that are free for us on the disk of a path, or of the folder above it that is there.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|folder| folder.exists())?;
    disk_room::free_bytes(there)
}

/// Looks whether there is room for what may still come to a path.
pub(super) fn room(what: &str, path: &Path, wanted: u64, why: &str) -> Finding {
    let shown = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let at = path.display();
    match free_bytes(path) {
        None => {
            Finding::bad(what, format!("{at} has no disk that can be asked"), "look at the path")
        }
        Some(free) if free < wanted => Finding::warning(
            what,
            format!("{} free at {at}, {} {why}", shown(free), shown(wanted)),
            "make room, or move it: when the disk is full, messages are refused until there is room (nothing is lost)",
        ),
        Some(free) => Finding::ok(what, format!("{} free at {at}", shown(free))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn files_must_be_as_many_as_clients() {
        let verdict = |allowed, connections| files(allowed, connections).verdict;
        assert_eq!(verdict(Some(1_024), 10_000), Verdict::Warning);
        assert_eq!(verdict(Some(10_199), 10_000), Verdict::Warning);
        assert_eq!(verdict(Some(10_200), 10_000), Verdict::Ok);
        assert_eq!(verdict(None, 10_000), Verdict::Ok);
    }

    #[test]
    fn room_is_that_of_the_folder_above_where_there_is_none_yet() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("not/there");
        let free = free_bytes(&inner).unwrap();
        assert!(free > 0);
        assert_eq!(room("spool", &inner, 0, "are wanted").verdict, Verdict::Ok);
        assert_eq!(room("spool", &inner, u64::MAX, "are wanted").verdict, Verdict::Warning);
    }
}
