//! The lake's store: reachable, safe to commit to, with room, and with a clock that agrees with ours.

use std::collections::HashMap;
use std::path::PathBuf;

use lake::{Catalog, Lake, LakeConfig, LakeError, Location, OpenMode, Store};
use service_runtime::Clock;

use super::finding::Finding;
use super::limits;

/// Room that is asked for on the disk of a lake in a folder: a day of a large ward.
const ROOM_BYTES: u64 = 2 << 30;
/// By how much clocks may differ before it is told, and before rows are taken for wrong ones, in milliseconds.
const ROUNDED_MS: i64 = 1_000;
const CLOCK_SOON_MS: i64 = 2_000;
const CLOCK_BAD_MS: i64 = 60_000;

/// Looks at the store; returns the id of the lake that is there.
pub(super) async fn look(
    config: &LakeConfig,
    clock: Clock,
    findings: &mut Vec<Finding>,
) -> Option<String> {
    let env: HashMap<String, String> = std::env::vars().collect();
    let folder = local_folder(config);
    if let Some(folder) = &folder {
        findings.push(limits::room("lake room", folder, ROOM_BYTES, "should be there"));
    }
    let is_new = folder.as_ref().is_some_and(|folder| !folder.join("_tidemark").exists());
    if is_new {
        findings.push(Finding::ok("lake", format!("{} will be made at the start", config.url)));
        findings.push(alone(clock));
        return None;
    }
    match probe(config, &env).await {
        Err(error) => {
            let remedy = "docs/operations.md, The lake on S3; what is accepted meanwhile is kept";
            findings.push(Finding::bad("store", error.to_string(), remedy));
            None
        }
        Ok(()) => {
            let said = "put-if-absent has one winner: commits are safe".to_owned();
            findings.push(Finding::ok("store", said));
            whole(config, &env, clock, findings).await
        }
    }
}

/// On a disk of this machine there is but one clock.
fn alone(clock: Clock) -> Finding {
    Finding::ok("clock", format!("{}: no other to hold it against", now(clock)))
}

fn now(clock: Clock) -> String {
    crate::tables::instant(clock.now_us())
}

fn local_folder(config: &LakeConfig) -> Option<PathBuf> {
    match config.url.parse() {
        Ok(Location::Folder(folder)) => Some(folder),
        Ok(Location::Bucket { .. }) | Err(_) => None,
    }
}

/// Proves the store's condition with objects of our own.
async fn probe(config: &LakeConfig, env: &HashMap<String, String>) -> Result<(), LakeError> {
    Store::look(&config.url, env).await?;
    Store::open(&config.url, env)?.selftest().await
}

/// By how much the store's clock is ahead of ours; stores tell whole seconds.
fn clocks(ahead_ms: i64, now: &str) -> Finding {
    let what = "clock";
    if ahead_ms.abs() <= ROUNDED_MS {
        return Finding::ok(what, format!("{now}, as the store has it"));
    }
    let side = if ahead_ms > 0 { "behind" } else { "ahead of" };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let seconds = ahead_ms.abs() as f64 / 1_000.0;
    let said = format!("{now}, {seconds:.1} s {side} the store's");
    let remedy = "set one of them right (chrony, systemd-timesyncd): times of receipt, silence and alerts rest on it";
    match ahead_ms.abs() {
        ..CLOCK_SOON_MS => Finding::ok(what, said),
        CLOCK_SOON_MS..CLOCK_BAD_MS => Finding::warning(what, said, remedy),
        _ => Finding::bad(what, said, remedy),
    }
}

/// Looks whether ledger, tables and files fit together, and returns the lake's id.
async fn whole(
    config: &LakeConfig,
    env: &HashMap<String, String>,
    clock: Clock,
    findings: &mut Vec<Finding>,
) -> Option<String> {
    let lake = match Lake::open_with(config, env, OpenMode::Read, &Catalog::builtin()).await {
        Ok(lake) => lake,
        Err(LakeError::Missing { .. }) => {
            findings.push(Finding::ok("lake", format!("{} will be made at the start", config.url)));
            return None;
        }
        Err(error) => {
            findings.push(Finding::bad(
                "lake",
                error.to_string(),
                "docs/operations.md, Backup and restore",
            ));
            return None;
        }
    };
    findings.push(match lake.clock_ahead_ms("check", clock).await {
        Ok(Some(ahead_ms)) => clocks(ahead_ms, &now(clock)),
        Ok(None) => alone(clock),
        Err(error) => Finding::bad("clock", error.to_string(), "mend the store first"),
    });
    findings.push(match lake::check::run_to(&lake, lake::check::Depth::Files).await {
        Ok(checked) if checked.findings.is_empty() => Finding::ok(
            "lake",
            format!(
                "{} is one whole: {} rows in {} files; every row: tidemark check --lake {}",
                config.url,
                crate::print::grouped(checked.rows),
                crate::print::grouped(checked.files),
                config.url
            ),
        ),
        Ok(checked) => Finding::bad(
            "lake",
            format!("{} has {} findings", config.url, checked.findings.len()),
            "`tidemark check --lake` names each",
        ),
        Err(error) => Finding::bad("lake", error.to_string(), "docs/operations.md, The lake on S3"),
    });
    Some(lake.id().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_by_how_wrong_it_is() {
        let verdict = |ahead_ms| clocks(ahead_ms, "now").verdict;
        assert_eq!(
            [verdict(0), verdict(-1_500), verdict(30_000)],
            [Verdict::Ok, Verdict::Ok, Verdict::Warning]
        );
        assert_eq!([verdict(60_000), verdict(-90_000)], [Verdict::Bad, Verdict::Bad]);
        assert!(clocks(90_000, "now").found.contains("90.0 s behind"));
    }
}
