//! Rules: what to watch for, where, and how to tell. Read from TOML, compiled and checked once.

mod check;
mod expression;
mod place;
mod raw;

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::condition::Condition;
use crate::news2::{Parameter, Scale};
use crate::pattern::Pattern;
use crate::reading::Quality;
use crate::span;
pub(crate) use expression::{Columns, Expression};
use raw::RawFile;

/// More rules than this are refused: each is looked at for each device.
pub(crate) const RULES_MAX: usize = 1_000;

/// How bad it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A rule that makes no sense, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// Line of the file, from 1.
    pub line: usize,
    /// The rule, if it has a name.
    pub rule: Option<String>,
    /// The key.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule `{rule}`: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// A rule, compiled.
#[derive(Debug)]
pub struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) site: Pattern,
    pub(crate) device: Pattern,
    pub(crate) metric: Option<Pattern>,
    /// Of a silent source.
    pub(crate) source: Pattern,
    /// Qualities that are used, a bit each.
    pub(crate) accept: u8,
    pub(crate) when: Option<Expression>,
    pub(crate) condition: Condition,
    pub(crate) for_us: i64,
    pub(crate) clear_for_us: i64,
    pub(crate) gap_us: i64,
    /// 0: never.
    pub(crate) repeat_us: i64,
    pub(crate) flapping: Flapping,
    /// Devices on scale 2 of NEWS2.
    pub(crate) scale_2: Vec<Pattern>,
    pub(crate) scale: Scale,
    pub(crate) threshold: Arc<str>,
}

/// When an alert that comes and goes is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flapping {
    /// Having fired so often …
    pub(crate) times: u8,
    /// … within so long …
    pub(crate) within_us: i64,
    /// … it is resolved only when it was calm for so long.
    pub(crate) calm_us: i64,
}

/// A time in which alerts are silenced from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) site: Pattern,
    pub(crate) device: Pattern,
    pub(crate) from_us: i64,
    pub(crate) until_us: i64,
}

impl Window {
    pub(crate) fn holds(&self, site: &str, device: &str, at_us: i64) -> bool {
        (self.from_us..self.until_us).contains(&at_us)
            && self.site.matches(site)
            && self.device.matches(device)
    }
}

/// Devices whose state is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) site: Pattern,
    pub(crate) device: Pattern,
    pub(crate) every_us: i64,
}

/// All rules of a file.
#[derive(Debug)]
pub struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) maintenance: Vec<Window>,
    pub(crate) states: Vec<Published>,
    /// Time moves nothing sooner after the row that it follows, microseconds.
    pub(crate) soonest_us: i64,
}

impl Rules {
    /// No rules: devices are known all the same.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Vec::new(), Vec::new(), Vec::new())
    }

    fn of(rules: Vec<Rule>, maintenance: Vec<Window>, states: Vec<Published>) -> Self {
        let silences = rules.iter().filter_map(|rule| match rule.condition {
            Condition::Silent { after_us, .. } => Some(after_us),
            _ => None,
        });
        let repeats = rules.iter().map(|rule| rule.repeat_us).filter(|us| *us > 0);
        let soonest_us = silences.chain(repeats).min().unwrap_or(i64::MAX);
        Self { rules, maintenance, states, soonest_us }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// Every rule that makes no sense or could never match, with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<RuleError>> {
        let file: RawFile =
            toml::from_str(text).map_err(|error| vec![place::of_syntax(text, &error)])?;
        check::checked(text, &file)
    }

    /// Names and versions of the rules, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().map(|rule| (rule.name.as_ref(), rule.version.as_ref()))
    }

    /// What the rules say, a line each.
    pub fn described(&self) -> impl Iterator<Item = String> + '_ {
        self.rules.iter().map(Rule::to_string)
    }
}

impl Rule {
    /// A rule that is no more: what is left of it are its alerts.
    pub(crate) fn gone(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            severity: Severity::Info,
            site: Pattern::any(),
            device: Pattern::any(),
            metric: None,
            source: Pattern::any(),
            accept: 0,
            when: None,
            condition: Condition::When,
            for_us: 0,
            clear_for_us: 0,
            gap_us: 0,
            repeat_us: 0,
            flapping: Flapping { times: u8::MAX, within_us: 0, calm_us: 0 },
            scale_2: Vec::new(),
            scale: Scale::One,
            threshold: Arc::default(),
        }
    }

    /// Whether rows of the series may concern it.
    pub(crate) fn is_for(&self, site: &str, device: &str, metric: &str) -> bool {
        let metric = match (&self.condition, &self.metric) {
            (Condition::Silent { .. }, _) => false,
            (Condition::News2 { .. }, _) => Parameter::of_metric(metric).is_some(),
            (_, Some(pattern)) => pattern.matches(metric),
            (_, None) => true,
        };
        metric && self.is_of(site, device)
    }

    /// Whether a device's silence concerns it; with a metric, that of one of its series.
    pub(crate) fn is_silence_of(&self, site: &str, device: &str, metric: Option<&str>) -> bool {
        let Condition::Silent { of_source: false, .. } = self.condition else { return false };
        let metric = match (&self.metric, metric) {
            (Some(pattern), Some(metric)) => pattern.matches(metric),
            (None, None) => true,
            _ => false,
        };
        metric && self.is_of(site, device)
    }

    /// Whether it may concern the device.
    pub(crate) fn is_of(&self, site: &str, device: &str) -> bool {
        self.site.matches(site) && self.device.matches(device)
    }

    pub(crate) fn is_silence(&self) -> bool {
        matches!(self.condition, Condition::Silent { .. })
    }

    /// Whether all metrics of a device feed one state.
    pub(crate) fn is_of_whole_device(&self) -> bool {
        matches!(self.condition, Condition::News2 { .. })
    }

    pub(crate) fn scale_of(&self, device: &str) -> Scale {
        if self.scale_2.iter().any(|pattern| pattern.matches(device)) {
            Scale::Two
        } else {
            self.scale
        }
    }

    pub(crate) fn accepts(&self, quality: Quality) -> bool {
        self.condition.wants_all() || self.accept & quality.bit() != 0
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, severity, site, device, .. } = self;
        write!(f, "{name} ({}): ", severity.name())?;
        if let Some(metric) = &self.metric {
            write!(f, "{} ", metric.text())?;
        }
        write!(f, "{}, of {}/{}", self.threshold, site.text(), device.text())
    }
}

/// What a rule's threshold is called: its condition and how long it must hold.
fn threshold(condition: &Condition, for_us: i64) -> String {
    if for_us == 0 {
        condition.to_string()
    } else {
        format!("{condition} for {}", span::show(for_us))
    }
}

/// A version is what the rule says, not how it is written.
fn version(said: &str) -> String {
    format!("{:016x}", xxh3_64(said.as_bytes()))
}

#[cfg(test)]
mod tests;
