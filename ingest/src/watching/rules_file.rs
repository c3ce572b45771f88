//! The file of alert rules: read at the start, and again when it changes. A file that makes no sense changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use watch::{RuleError, Rules};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A longer file is refused, bytes.
const BYTES_MAX: u64 = 4 << 20;

/// Why a file of rules can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesFileError {
    /// It can't be read.
    #[error("cannot read the rules {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It is too long.
    #[error("the rules {} have more than {BYTES_MAX} bytes", .0.display())]
    Long(PathBuf),
    /// Rules that make no sense.
    #[error("the rules {} make no sense: {}", path.display(), listed(mistakes))]
    Rules {
        /// The file.
        path: PathBuf,
        /// What is wrong, with lines.
        mistakes: Vec<RuleError>,
    },
}

fn listed(mistakes: &[RuleError]) -> String {
    let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// See the module.
#[derive(Debug)]
pub(super) struct RulesFile {
    path: Option<PathBuf>,
    /// When it was changed, and its length.
    seen: Option<(SystemTime, u64)>,
    looked: Duration,
    /// What is in force.
    text: String,
}

impl RulesFile {
    /// Reads the file; without one there are no rules.
    ///
    /// # Errors
    /// [`RulesFileError`].
    pub(super) fn open(path: Option<&Path>, now: Duration) -> Result<Self, RulesFileError> {
        let mut file =
            Self { path: path.map(Path::to_owned), seen: None, looked: now, text: String::new() };
        if let Some(path) = path {
            (file.text, _) = read(path)?;
            file.seen = stamp(path);
        }
        Ok(file)
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> Rules {
        parse(Path::new(""), &self.text).unwrap_or_else(|_| Rules::none())
    }

    /// Looks whether the file has changed; if so, reads it. `None`: nothing is new.
    ///
    /// # Errors
    /// [`RulesFileError`], once for a change; the rules of before stay in force.
    pub(super) fn look(&mut self, now: Duration) -> Result<Option<Rules>, RulesFileError> {
        let Some(path) = self.path.as_ref().filter(|_| now >= self.looked + LOOK_EVERY) else {
            return Ok(None);
        };
        self.looked = now;
        let seen = stamp(path);
        if seen == self.seen {
            return Ok(None);
        }
        self.seen = seen;
        let (text, rules) = read(path)?;
        if text == self.text {
            return Ok(None);
        }
        self.text = text;
        Ok(Some(rules))
    }
}

/// Reads a file of rules, as ingest does.
///
/// # Errors
/// [`RulesFileError`].
pub fn read_rules(path: &Path) -> Result<Rules, RulesFileError> {
    read(path).map(|(_, rules)| rules)
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn read(path: &Path) -> Result<(String, Rules), RulesFileError> {
    let failed = |cause| RulesFileError::Read { path: path.to_owned(), cause };
    if std::fs::metadata(path).map_err(failed)?.len() > BYTES_MAX {
        return Err(RulesFileError::Long(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let rules = parse(path, &text)?;
    Ok((text, rules))
}

fn parse(path: &Path, text: &str) -> Result<Rules, RulesFileError> {
    let wrong = |mistakes| RulesFileError::Rules { path: path.to_owned(), mistakes };
    if text.trim().is_empty() { Ok(Rules::none()) } else { Rules::parse(text).map_err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "[[rule]]\nname = \"hot\"\nmetric = \"temp_body\"\nabove = 39\n";

    fn names(rules: &Rules) -> Vec<String> {
        rules.names().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_makes_no_sense_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        std::fs::write(&path, RULE).unwrap();
        let mut file = RulesFile::open(Some(&path), Duration::ZERO).unwrap();
        assert_eq!(names(&file.rules()), ["hot"]);
        std::fs::write(&path, RULE.replace("hot", "warmer")).unwrap();
        assert!(file.look(Duration::from_secs(1)).unwrap().is_none(), "not looked at yet");
        assert_eq!(names(&file.look(Duration::from_secs(3)).unwrap().unwrap()), ["warmer"]);
        std::fs::write(&path, RULE.replace("above", "abovee")).unwrap();
        let error = file.look(Duration::from_secs(6)).unwrap_err().to_string();
        assert!(error.contains("rules.toml") && error.contains("abovee"), "{error}");
        assert!(file.look(Duration::from_secs(9)).unwrap().is_none(), "told once");
        assert_eq!(names(&file.rules()), ["warmer"]);
    }

    #[test]
    fn without_a_file_there_are_no_rules_and_a_missing_one_is_refused() {
        assert_eq!(names(&RulesFile::open(None, Duration::ZERO).unwrap().rules()).len(), 0);
        let error = RulesFile::open(Some(Path::new("/nowhere.toml")), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("/nowhere.toml"));
    }
}
