//! What a look at one thing found, and what to do about it.

use serde::Serialize;

use crate::options::Format;
use crate::print;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    /// It works, and will not for long, or not for all.
    Warning,
    /// It does not work.
    Bad,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) what: String,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    fn new(verdict: Verdict, what: &str, found: String, remedy: Option<&str>) -> Self {
        Self { verdict, what: what.to_owned(), found, remedy: remedy.map(str::to_owned) }
    }

    pub(super) fn ok(what: &str, found: String) -> Self {
        Self::new(Verdict::Ok, what, found, None)
    }

    pub(super) fn warning(what: &str, found: String, remedy: &str) -> Self {
        Self::new(Verdict::Warning, what, found, Some(remedy))
    }

    pub(super) fn bad(what: &str, found: String, remedy: &str) -> Self {
        Self::new(Verdict::Bad, what, found, Some(remedy))
    }

    pub(super) fn is_bad(&self) -> bool {
        self.verdict == Verdict::Bad
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    well: bool,
    findings: &'a [Finding],
}

/// Prints a line for each, its remedy below it, and the sum.
pub(super) fn print(findings: &[Finding], format: Format) -> anyhow::Result<()> {
    let count = |verdict| findings.iter().filter(|found| found.verdict == verdict).count();
    let (bad, warnings) = (count(Verdict::Bad), count(Verdict::Warning));
    if format == Format::Json {
        return Ok(print::json(&Shown { well: bad == 0, findings })?);
    }
    let width = findings.iter().map(|found| found.what.chars().count()).max().unwrap_or(0);
    for Finding { verdict, what, found, remedy } in findings {
        let mark = match verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warning => "soon",
            Verdict::Bad => "BAD ",
        };
        print::line(&format!("{mark}  {what:<width$}  {found}"))?;
        if let Some(remedy) = remedy {
            print::line(&format!("      {:<width$}  -> {remedy}", ""))?;
        }
    }
    print::line(&match (bad, warnings) {
        (0, 0) => "all is well".to_owned(),
        (0, soon) => format!("nothing is wrong; {soon} to look after"),
        (bad, soon) => format!("{bad} wrong, {soon} to look after"),
    })?;
    Ok(())
}
