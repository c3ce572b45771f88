//! Named points, at steps whose order matters, at which a debug build can be told to die.
//!
//! `TIDEMARK_CRASH_POINT=landing-decided` aborts the process when it gets there, `landing-decided:3` the third time: no
//! destructor runs and nothing is flushed, as with `kill -9`. `TIDEMARK_CRASH_PAYLOAD=text` aborts it when it is about to decode a
//! payload with that text in it, each time. Release builds contain none of this.
#![warn(missing_docs)]

/// A step of which it must not matter that it is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Records are in the segment file and not synced.
    SpoolWritten,
    /// Records are synced, and nobody has been told.
    SpoolSynced,
    /// Acknowledgements are with the operating system.
    PubackSent,
    /// A new segment file is there, with nothing in it.
    SegmentCreated,
    /// The landed position is saved; the segments below it are still there.
    StateSaved,
    /// A landed segment is deleted.
    SegmentDeleted,
    /// A frame was handed to the transport.
    FrameSent,
    /// A receipt was believed and not saved.
    ReceiptTaken,
    /// A table is known to lack columns, and nothing was written.
    ColumnsWanted,
    /// The columns are in its log; other tables may still lack theirs.
    ColumnsAdded,
    /// A Parquet object of a landing is stored.
    FileWritten,
    /// A landing's plan is stored.
    PlanWritten,
    /// The ledger has the landing, no table has.
    LandingDecided,
    /// One table has the landing's files.
    TableApplied,
    /// Every table has them, no receipt has been sent.
    LandingApplied,
    /// A receipt was handed to the transport.
    ReceiptSent,
    /// A merged file is stored, nobody has read it back.
    MergedWritten,
    /// It is known to hold the rows of the files that it was merged from, which are still in its place.
    MergedProven,
    /// It is in their place.
    MergedCommitted,
    /// An object that nothing needs is gone, others are there.
    ObjectSwept,
    /// A checkpoint is written; the log entries below it are still there.
    CheckpointWritten,
    /// Old log entries are removed.
    LogCleaned,
    /// The files of a view's new rows are stored.
    ViewWritten,
    /// They are in the place of others.
    ViewCommitted,
    /// Dates are known to be older than their retention; they are still part of their table.
    RetireDue,
    /// They are part of it no more; their files are there.
    RetireCommitted,
    /// A file of an archive is stored and proven; its rows are still in their table, and nothing says that it is meant.
    ArchiveWritten,
    /// The plan that names it is stored.
    ArchivePlanned,
    /// The rows left the table; the archive does not have them.
    ArchiveDecided,
    /// It has them.
    ArchiveApplied,
    /// What stays of a file that speaks of an erased patient is stored; the file is still in its place.
    KeptWritten,
    /// It is in the file's place, which is still there.
    EraseCommitted,
    /// An object that may speak of the patient is gone, others are there.
    EraseSwept,
    /// The erasure is done, and its record says so.
    EraseRecorded,
}

impl Point {
    /// Every point, in the order in which a message passes them.
    pub const ALL: [Self; 34] = [
        Self::SpoolWritten,
        Self::SpoolSynced,
        Self::PubackSent,
        Self::SegmentCreated,
        Self::StateSaved,
        Self::SegmentDeleted,
        Self::FrameSent,
        Self::ReceiptTaken,
        Self::ColumnsWanted,
        Self::ColumnsAdded,
        Self::FileWritten,
        Self::PlanWritten,
        Self::LandingDecided,
        Self::TableApplied,
        Self::LandingApplied,
        Self::ReceiptSent,
        Self::MergedWritten,
        Self::MergedProven,
        Self::MergedCommitted,
        Self::ObjectSwept,
        Self::CheckpointWritten,
        Self::LogCleaned,
        Self::ViewWritten,
        Self::ViewCommitted,
        Self::RetireDue,
        Self::RetireCommitted,
        Self::ArchiveWritten,
        Self::ArchivePlanned,
        Self::ArchiveDecided,
        Self::ArchiveApplied,
        Self::KeptWritten,
        Self::EraseCommitted,
        Self::EraseSwept,
        Self::EraseRecorded,
    ];

    /// Returns the name that the environment variable takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpoolWritten => "spool-written",
            Self::SpoolSynced => "spool-synced",
            Self::PubackSent => "puback-sent",
            Self::SegmentCreated => "segment-created",
            Self::StateSaved => "state-saved",
            Self::SegmentDeleted => "segment-deleted",
            Self::FrameSent => "frame-sent",
            Self::ReceiptTaken => "receipt-taken",
            Self::ColumnsWanted => "columns-wanted",
            Self::ColumnsAdded => "columns-added",
            Self::FileWritten => "file-written",
            Self::PlanWritten => "plan-written",
            Self::LandingDecided => "landing-decided",
            Self::TableApplied => "table-applied",
            Self::LandingApplied => "landing-applied",
            Self::ReceiptSent => "receipt-sent",
            Self::MergedWritten => "merged-written",
            Self::MergedProven => "merged-proven",
            Self::MergedCommitted => "merged-committed",
            Self::ObjectSwept => "object-swept",
            Self::CheckpointWritten => "checkpoint-written",
            Self::LogCleaned => "log-cleaned",
            Self::ViewWritten => "view-written",
            Self::ViewCommitted => "view-committed",
            Self::RetireDue => "retire-due",
            Self::RetireCommitted => "retire-committed",
            Self::ArchiveWritten => "archive-written",
            Self::ArchivePlanned => "archive-planned",
            Self::ArchiveDecided => "archive-decided",
            Self::ArchiveApplied => "archive-applied",
            Self::KeptWritten => "kept-written",
            Self::EraseCommitted => "erase-committed",
            Self::EraseSwept => "erase-swept",
            Self::EraseRecorded => "erase-recorded",
        }
    }
}

/// The variable that arms a point.
pub const VARIABLE: &str = "TIDEMARK_CRASH_POINT";

/// Says that the process has got here; it may go no further.
#[cfg(debug_assertions)]
pub fn reach(point: Point) {
    armed::reach(point);
}

/// Says that the process has got here. Release builds go on.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_point: Point) {}

/// The variable that makes payloads with this text deadly.
pub const PAYLOAD_VARIABLE: &str = "TIDEMARK_CRASH_PAYLOAD";

/// Says that the process is about to decode this payload; it may die of it.
#[cfg(debug_assertions)]
pub fn about_to_decode(payload: &[u8]) {
    armed::about_to_decode(payload);
}

/// Says that the process is about to decode this payload. Release builds go on.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn about_to_decode(_payload: &[u8]) {}

#[cfg(any(debug_assertions, test))]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{PAYLOAD_VARIABLE, Point, VARIABLE};

    #[derive(Debug)]
    pub(super) struct Armed {
        point: Point,
        /// Passes until it goes off.
        left: AtomicU32,
    }

    impl Armed {
        /// `name` or `name:n`; anything else arms nothing, loudly.
        pub(super) fn parse(text: &str) -> Result<Self, String> {
            let (name, times) = text.split_once(':').unwrap_or((text, "1"));
            let point = Point::ALL.into_iter().find(|point| point.name() == name);
            let point = point.ok_or_else(|| format!("{VARIABLE}: there is no point `{name}`"))?;
            let times = times.parse().ok().filter(|times| *times > 0);
            let left = times.ok_or_else(|| format!("{VARIABLE}: `{text}` is not NAME:TIMES"))?;
            Ok(Self { point, left: AtomicU32::new(left) })
        }

        pub(super) fn goes_off(&self, point: Point) -> bool {
            point == self.point && self.left.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    /// Whether a payload has the deadly text; an empty text is in none.
    pub(super) fn is_deadly(text: &[u8], payload: &[u8]) -> bool {
        !text.is_empty() && payload.windows(text.len()).any(|window| window == text)
    }

    #[expect(clippy::disallowed_methods, reason = "it must work before there is a configuration")]
    #[expect(clippy::print_stderr, reason = "the last words of a process that is told to die")]
    pub(super) fn about_to_decode(payload: &[u8]) {
        static TEXT: OnceLock<Option<String>> = OnceLock::new();
        let text = TEXT.get_or_init(|| std::env::var(PAYLOAD_VARIABLE).ok());
        if text.as_ref().is_some_and(|text| is_deadly(text.as_bytes(), payload)) {
            eprintln!("deadly payload met");
            std::process::abort();
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it must work before there is a configuration")]
    #[expect(clippy::print_stderr, reason = "the last words of a process that is told to die")]
    pub(super) fn reach(point: Point) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var(VARIABLE).ok()?;
            match Armed::parse(&text) {
                Ok(armed) => Some(armed),
                Err(error) => {
                    eprintln!("{error}");
                    std::process::abort()
                }
            }
        });
        if armed.as_ref().is_some_and(|armed| armed.goes_off(point)) {
            eprintln!("crash point {} reached", point.name());
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::armed::Armed;
    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }

    #[test]
    fn a_point_goes_off_at_its_turn_and_once() {
        let armed = Armed::parse("frame-sent:2").unwrap();
        let reached = [Point::FrameSent, Point::ReceiptSent, Point::FrameSent, Point::FrameSent];
        assert_eq!(reached.map(|point| armed.goes_off(point)), [false, false, true, false]);
    }

    #[test]
    fn a_payload_is_deadly_by_a_text_in_it() {
        let is = armed::is_deadly;
        assert!(is(b"x1", b"x1") && is(b"x1", b"..x1.."));
        assert!(!is(b"x1", b"x") && !is(b"x1", b"1x") && !is(b"", b"x1"));
    }

    #[test]
    fn a_point_that_does_not_exist_is_named() {
        assert!(Armed::parse("lunch").unwrap_err().contains("lunch"));
        assert!(Armed::parse("frame-sent:0").is_err());
    }
}
