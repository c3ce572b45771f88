//! Which files of a table are to be merged: pure.
//!
//! A date that is over is merged until its files are as few as their size allows. A date that rows still come for is merged
//! when it has many small files: those of the size that there are most of, and all smaller ones. So a row is written again
//! a few times at most on its way into a big file: each time its file grows to the next size.

use crate::delta::ActiveFile;

/// A file of so many bytes is big enough: nothing merges it any more.
pub(crate) const BIG_BYTES: u64 = 128 << 20;
/// Bytes that are merged into one file at most.
pub(crate) const MERGED_BYTES: u64 = 512 << 20;
/// Small files that a date may have while rows come for it.
pub(crate) const SMALL_FILES: usize = 30;
/// Files that one merge takes at most.
pub(crate) const FILES_MAX: usize = 4096;
/// Upper bounds of the sizes that are told apart among small files.
const SIZES: [u64; 4] = [64 << 10, 512 << 10, 4 << 20, 32 << 20];
const MS_PER_DAY: i64 = 24 * 3600 * 1000;
const DAYS_OPEN: i32 = 1;

/// When a date counts as over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Unix milliseconds.
    pub(crate) ms: i64,
    /// A date that is over is merged when its newest file is this old, and not for each late row.
    pub(crate) quiet_ms: i64,
}

/// The files of one date that are to be merged next, smallest first, if any. `files` are all of that date.
pub(crate) fn next<'a>(
    date: i32,
    files: impl IntoIterator<Item = &'a ActiveFile>,
    now: Now,
) -> Option<Vec<&'a ActiveFile>> {
    let mut small: Vec<_> = files.into_iter().filter(|file| file.bytes < BIG_BYTES).collect();
    small.sort_unstable_by_key(|file| (file.bytes, file.modified_ms, &file.path));
    if is_over(date, now) && is_worth_it(&small, now) {
        return job(small);
    }
    if small.len() <= SMALL_FILES {
        return None;
    }
    let mut counts = [0_usize; SIZES.len() + 1];
    for file in &small {
        counts[size_of(file)] += 1;
    }
    // The first of the largest: of sizes with as many files, the smaller one is cheaper.
    let most = (0..counts.len()).rev().max_by_key(|size| counts[*size])?;
    small.retain(|file| size_of(file) <= most);
    job(small)
}

/// As many as one file may become.
fn job(small: Vec<&ActiveFile>) -> Option<Vec<&ActiveFile>> {
    let mut bytes = 0;
    let taken = small.into_iter().take(FILES_MAX).take_while(|file| {
        bytes += file.bytes;
        bytes <= MERGED_BYTES
    });
    let taken: Vec<_> = taken.collect();
    (taken.len() > 1).then_some(taken)
}

fn is_over(date: i32, now: Now) -> bool {
    let today = i32::try_from(now.ms.div_euclid(MS_PER_DAY)).unwrap_or(i32::MAX);
    date < today - DAYS_OPEN
}

/// A late row must not write a large file again at once: only when what came is some part of it, or nothing came for long.
fn is_worth_it(small: &[&ActiveFile], now: Now) -> bool {
    let Some((largest, rest)) = small.split_last() else { return false };
    let newest = small.iter().map(|file| file.modified_ms).max().unwrap_or(now.ms);
    let quiet = now.ms - newest;
    let came: u64 = rest.iter().map(|file| file.bytes).sum();
    quiet >= now.quiet_ms && (came >= largest.bytes / 8 || quiet >= 24 * now.quiet_ms)
}

fn size_of(file: &ActiveFile) -> usize {
    SIZES.iter().position(|bound| file.bytes < *bound).unwrap_or(SIZES.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TODAY: i32 = 20_000;
    const NONE: [u64; 0] = [];
    const NOW: Now = Now { ms: TODAY as i64 * MS_PER_DAY + 1000, quiet_ms: 3_600_000 };

    fn file(name: usize, bytes: u64, age_ms: i64) -> ActiveFile {
        ActiveFile {
            path: format!("{name:06}"),
            date: None,
            bytes,
            modified_ms: NOW.ms - age_ms,
            rows: None,
        }
    }

    fn sizes(date: i32, files: &[ActiveFile]) -> Vec<u64> {
        next(date, files, NOW).unwrap_or_default().iter().map(|file| file.bytes).collect()
    }

    #[test]
    fn a_date_that_is_over_becomes_as_few_files_as_its_size_allows() {
        let over = TODAY - 2;
        let files = [file(0, 300, 1 << 40), file(1, 7, 1 << 40), file(2, BIG_BYTES, 1 << 40)];
        assert_eq!(sizes(over, &files), [7, 300], "the big one stays");
        assert_eq!(sizes(over, &files[1..]), NONE, "one is not merged with itself");
        assert_eq!(sizes(TODAY - 1, &files), NONE, "rows may still come for yesterday");
        let half = BIG_BYTES / 2;
        let many: Vec<_> = (0..20).map(|n| file(n, half, 1 << 40)).collect();
        assert_eq!(sizes(over, &many).len(), 8, "up to what one file may have");
    }

    #[test]
    fn late_rows_do_not_write_a_large_file_again_at_once() {
        let over = TODAY - 5;
        let (large, late) = (file(0, 1000, 1 << 40), file(1, 10, 2 * NOW.quiet_ms));
        assert_eq!(sizes(over, &[large.clone(), late]), NONE);
        let came = file(1, 125, 2 * NOW.quiet_ms);
        assert_eq!(sizes(over, &[large.clone(), came]), [125, 1000]);
        let still_coming = file(1, 500, NOW.quiet_ms / 2);
        assert_eq!(sizes(over, &[large.clone(), still_coming]), NONE);
        let long_ago = file(1, 10, 24 * NOW.quiet_ms);
        assert_eq!(sizes(over, &[large, long_ago]), [10, 1000]);
    }

    #[test]
    fn an_open_date_is_merged_when_it_has_many_small_files_the_commonest_size_first() {
        let some: Vec<_> = (0..SMALL_FILES).map(|n| file(n, 100, 0)).collect();
        assert_eq!(sizes(TODAY, &some), NONE);
        let mut more = some.clone();
        more.extend([file(90, 1 << 20, 0), file(91, 2 * BIG_BYTES, 0)]);
        assert_eq!(sizes(TODAY, &more), [100; SMALL_FILES], "neither the larger nor the big one");
    }

    proptest! {
        /// One landing after the other: the number of files stays small, and so does the work.
        #[test]
        fn inv8_an_open_date_has_few_files_and_a_byte_is_written_again_a_few_times(
            landings in prop::collection::vec(1_u64..2_000_000, 1..400), every in 1_usize..40,
        ) {
            let (mut files, mut written): (Vec<ActiveFile>, u64) = (Vec::new(), 0);
            let mut names = 1_000_000..;
            for (n, bytes) in landings.iter().enumerate() {
                files.push(file(n, *bytes, 0));
                if n % every > 0 {
                    continue;
                }
                while let Some(job) = next(TODAY, &files, NOW) {
                    let taken: Vec<String> = job.iter().map(|file| file.path.clone()).collect();
                    let bytes: u64 = job.iter().map(|file| file.bytes).sum();
                    written += bytes;
                    files.retain(|file| !taken.contains(&file.path));
                    files.push(file(names.next().unwrap(), bytes, 0));
                }
                prop_assert!(files.iter().filter(|file| file.bytes < BIG_BYTES).count() <= SMALL_FILES);
            }
            let landed: u64 = landings.iter().sum();
            // 64 KiB as often as there are landings, whatever they weigh, and each byte once or twice in each size.
            prop_assert!(written <= 10 * landed + (landings.len() as u64 + 1) * SIZES[0], "{written} of {landed}");
        }
    }
}
