//! What a killed process left half written in a local folder. Object stores forget such things by themselves, or by rule.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::local::is_staging;

/// Folders in folders that are looked into.
const DEPTH: u32 = 2;

/// Removes files in `folder` that were being written before `before_ms` (Unix milliseconds). Returns how many.
pub(super) fn sweep(folder: &Path, before_ms: i64) -> io::Result<u64> {
    let before = UNIX_EPOCH + Duration::from_millis(u64::try_from(before_ms).unwrap_or(0));
    let removed = in_folder(folder, DEPTH, &|metadata| {
        metadata.modified().is_ok_and(|modified| modified < before)
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        removed => removed,
    }
}

fn in_folder(folder: &Path, depth: u32, old: &dyn Fn(&fs::Metadata) -> bool) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 1 {
            removed += in_folder(&entry.path(), depth - 1, old)?;
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_staging) {
            // It may be gone by now.
            if entry.metadata().is_ok_and(|metadata| old(&metadata)) {
                removed += u64::from(fs::remove_file(entry.path()).is_ok());
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_half_written_and_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let date = folder.path().join("event_date=2026-08-01");
        fs::create_dir(&date).unwrap();
        let half = date.join("merged-1.parquet#18446744");
        for path in [&half, &date.join("whole.parquet"), &date.join("notes#1a")] {
            fs::write(path, "x").unwrap();
        }
        assert_eq!(sweep(folder.path(), 0).unwrap(), 0, "it is young");
        assert_eq!(sweep(folder.path(), i64::MAX / 2000).unwrap(), 1);
        assert!(!half.exists());
        assert_eq!(fs::read_dir(&date).unwrap().count(), 2);
        assert_eq!(sweep(&folder.path().join("none"), 0).unwrap(), 0);
    }
}
