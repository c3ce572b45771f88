//! A spool: whose it is, where it delivers to, whether there is room for it.

use std::path::Path;

use store_forward::{Found, SpoolConfig};
use telemetry_core::id::SourceId;

use super::finding::Finding;
use super::limits;

/// Looks at a spool's folder; `lake` is the one that ingest writes to, if that is known.
pub(super) fn look(
    source_id: &SourceId,
    config: &SpoolConfig,
    lake: Option<&str>,
    findings: &mut Vec<Finding>,
) {
    let found = store_forward::look(&config.dir);
    findings.push(match &found {
        Ok(found) => whose(found.as_ref(), source_id, &config.dir, lake),
        Err(error) => {
            let remedy = "docs/operations.md, When something is wrong";
            Finding::bad("spool", error.to_string(), remedy)
        }
    });
    let used = bytes_below(&config.dir, DEPTH_MAX);
    let wanted = config.bytes_max.saturating_sub(used);
    findings.push(limits::room(
        "spool room",
        &config.dir,
        wanted,
        "may still come to it (spool.bytes_max)",
    ));
}

/// Folders in each other that are looked into: a spool has its epochs, and their segments.
const DEPTH_MAX: u8 = 4;

fn bytes_below(folder: &Path, depth: u8) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() && depth > 0 => bytes_below(&entry.path(), depth - 1),
        Ok(about) if about.is_file() => about.len(),
        _ => 0,
    };
    entries.map(of).sum()
}

fn whose(
    found: Option<&Found>,
    source_id: &SourceId,
    folder: &Path,
    lake: Option<&str>,
) -> Finding {
    let (what, at) = ("spool", folder.display());
    let Some(found) = found else {
        return Finding::ok(what, format!("{at} will be made at the start"));
    };
    if found.source_id != *source_id {
        return Finding::bad(
            what,
            format!(
                "{at} is of source {}, the configuration says source_id = \"{source_id}\"",
                found.source_id
            ),
            "give it back its name, or set another spool.dir: a spool keeps the name that it was made with",
        );
    }
    if let (Some(bound), Some(lake)) = (&found.lake_id, lake)
        && bound != lake
    {
        return Finding::bad(
            what,
            format!("{at} delivers to lake {bound}, ingest writes to lake {lake}"),
            "point [lake] url back, or run `tidemark source rebind` with the service stopped",
        );
    }
    let now = if found.in_use { "in use by a running service" } else { "not in use" };
    Finding::ok(what, format!("{at} of source {source_id}, {now}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn found(source: &str, lake: Option<&str>) -> Found {
        Found {
            source_id: source.parse().unwrap(),
            lake_id: lake.map(str::to_owned),
            in_use: false,
        }
    }

    #[test]
    fn a_spool_of_another_name_or_lake_is_told() {
        let verdict = |of: Option<&Found>, lake| {
            whose(of, &"gw".parse().unwrap(), Path::new("/spool"), lake).verdict
        };
        assert_eq!(verdict(None, Some("a")), Verdict::Ok);
        assert_eq!(verdict(Some(&found("gw", None)), Some("a")), Verdict::Ok);
        assert_eq!(verdict(Some(&found("gw", Some("a"))), Some("a")), Verdict::Ok);
        assert_eq!(
            verdict(Some(&found("gw", Some("b"))), None),
            Verdict::Ok,
            "nobody knows better"
        );
        assert_eq!(verdict(Some(&found("gw", Some("b"))), Some("a")), Verdict::Bad);
        assert_eq!(verdict(Some(&found("other", Some("a"))), Some("a")), Verdict::Bad);
    }
}
