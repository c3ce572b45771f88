//! What a drill has to say: one line, or one JSON object.

use std::fmt;

use serde::Serialize;

use crate::scene::Findings;

/// The outcome of one drill.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which drill.
    pub drill: &'static str,
    /// What went wrong on purpose.
    pub fault: &'static str,
    /// The seed that repeats its plan.
    pub seed: u64,
    /// Different messages that were sent.
    pub messages: u64,
    /// Acknowledged and not in the lake.
    pub lost: u64,
    /// Lost messages that the ledger has as a gap, which only a damaged disk excuses.
    pub recorded: u64,
    /// In the lake more often than sent.
    pub doubled: u64,
    /// In the lake with other content.
    pub altered: u64,
    /// Sent more than once and there as often.
    pub resent: u64,
    /// Copies that a restored spool flagged.
    pub maybe_repeat: u64,
    /// Seconds from the end of the fault until everything accepted before was readable; the slowest of its faults.
    pub recovered_s: Option<f64>,
    /// Seconds in all.
    pub seconds: f64,
    /// Whether the contract held.
    pub passed: bool,
    /// What else was seen.
    pub notes: Vec<String>,
    /// Why it could not be finished.
    pub error: Option<String>,
}

impl Report {
    pub(crate) fn of(
        drill: &'static str,
        fault: &'static str,
        seed: u64,
        seconds: f64,
        found: anyhow::Result<Findings>,
    ) -> Self {
        let (findings, error) = match found {
            Ok(findings) => (findings, None),
            Err(error) => (Findings::default(), Some(format!("{error:#}"))),
        };
        let verdict = &findings.verdict;
        let passed = error.is_none() && findings.hold();
        Self {
            drill,
            fault,
            seed,
            messages: verdict.messages,
            lost: verdict.lost,
            recorded: findings.dropped,
            doubled: verdict.doubled,
            altered: verdict.altered,
            resent: verdict.resent,
            maybe_repeat: verdict.maybe_repeat,
            recovered_s: findings.recovery.map(|time| time.as_secs_f64()),
            seconds,
            passed,
            notes: findings.notes,
            error,
        }
    }
}

impl fmt::Display for Report {
    /// One line, aligned with the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed { "PASSED" } else { "FAILED" };
        write!(f, "{:<16} {verdict}  ", self.drill)?;
        if let Some(error) = &self.error {
            return write!(f, "{error}");
        }
        write!(
            f,
            "{:>9} messages  lost {} doubled {} altered {}",
            self.messages, self.lost, self.doubled, self.altered
        )?;
        if self.recorded > 0 {
            write!(f, " ({} recorded as a gap)", self.recorded)?;
        }
        if self.maybe_repeat > 0 {
            write!(f, " ({} flagged maybe_repeat)", self.maybe_repeat)?;
        }
        if let Some(recovered) = self.recovered_s {
            write!(f, "  recovered in {recovered:.1} s")?;
        }
        write!(f, "  [{}", self.fault)?;
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        f.write_str("]")
    }
}
