//! The topic grammar: which topics are valid, what device and control topics look like, how filters match.
//!
//! Device topics follow AWS IoT's naming: `dt/{site}/{device_id}/{stream}` for telemetry, `cmd/{site}/{device_id}/#` for
//! commands. Control topics carry frames, receipts and status below a prefix, `tm/v1` by default.

use crate::id::{DeviceId, Epoch, SiteId, SourceId};
use crate::lane::{LANES, lane_of};

/// Longest topic or filter in bytes that we accept (MQTT allows 65,535).
pub const TOPIC_BYTES_MAX: usize = 1024;
/// Most levels of a topic or filter that we accept.
pub const TOPIC_LEVELS_MAX: usize = 32;

/// Why a topic or filter was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Zero bytes.
    #[error("topic is empty")]
    Empty,
    /// Longer than [`TOPIC_BYTES_MAX`].
    #[error("topic has {0} bytes: at most {TOPIC_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// More than [`TOPIC_LEVELS_MAX`] levels.
    #[error("topic has {0} levels: at most {TOPIC_LEVELS_MAX} are allowed")]
    TooDeep(usize),
    /// `+` or `#` in a topic name, or not on a level of its own in a filter.
    #[error("wildcard `+` or `#` in the wrong place")]
    Wildcard,
    /// U+0000 or another control character (MQTT 5 section 1.5.4 lets a server refuse those).
    #[error("topic has a control character")]
    Control,
    /// A topic of the server's own tree.
    #[error("topic starts with `$`, which is reserved for the server")]
    Reserved,
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong(text.len()));
    }
    let levels = 1 + text.bytes().filter(|b| *b == b'/').count();
    if levels > TOPIC_LEVELS_MAX {
        return Err(TopicError::TooDeep(levels));
    }
    // Whole words at a time, which a search that ends early is not: nearly every topic is printable ASCII to its end.
    let is_plain = text.bytes().fold(true, |plain, b| plain & (0x20..0x7f).contains(&b));
    if !is_plain && text.chars().any(char::is_control) {
        return Err(TopicError::Control);
    }
    Ok(())
}

/// Checks a topic name as sent in a PUBLISH.
///
/// # Errors
/// What is wrong with it.
pub fn validate_topic(topic: &str) -> Result<(), TopicError> {
    check_text(topic)?;
    if topic.bytes().fold(false, |wild, b| wild | (b == b'+') | (b == b'#')) {
        return Err(TopicError::Wildcard);
    }
    if topic.starts_with('$') {
        return Err(TopicError::Reserved);
    }
    Ok(())
}

/// Checks a topic filter as sent in a SUBSCRIBE (without a `$share/…/` prefix).
///
/// # Errors
/// What is wrong with it.
pub fn validate_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => return Err(TopicError::Wildcard),
            "#" | "+" => {}
            _ if level.contains(['+', '#']) => return Err(TopicError::Wildcard),
            _ => {}
        }
    }
    Ok(())
}

/// Tells whether a filter selects a topic (MQTT 3.1.1 section 4.7): wildcards do not reach topics that start with `$`.
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let mut topic_levels = topic.split('/');
    let mut filter_levels = filter.split('/');
    loop {
        match (filter_levels.next(), topic_levels.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(expected), Some(level)) if expected == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// A parsed device topic, `dt/{site}/{device_id}/{stream}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTopic<'a> {
    /// The site, a valid [`SiteId`].
    pub site: &'a str,
    /// The device, a valid [`DeviceId`].
    pub device_id: &'a str,
    /// What is published: `readings`, `fhir`, `status`, …; may have several levels.
    pub stream: &'a str,
}

impl<'a> DeviceTopic<'a> {
    /// Parses a telemetry topic; `None` when it is not one.
    pub fn parse(topic: &'a str) -> Option<Self> {
        let mut levels = topic.strip_prefix("dt/")?.splitn(3, '/');
        let (site, device_id, stream) = (levels.next()?, levels.next()?, levels.next()?);
        SiteId::check(site).ok()?;
        DeviceId::check(device_id).ok()?;
        (!stream.is_empty()).then_some(Self { site, device_id, stream })
    }
}

/// What a control topic is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Frames of a source.
    Up(SourceId),
    /// Receipts for a source's epoch.
    Receipt(SourceId, Epoch),
    /// A source's birth and will.
    Status(SourceId),
}

/// Builds and parses the control topics below one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlTopics {
    prefix: String,
}

impl Default for ControlTopics {
    fn default() -> Self {
        Self { prefix: "tm/v1".into() }
    }
}

impl ControlTopics {
    /// Takes a prefix such as `tm/v1`.
    ///
    /// # Errors
    /// When it is not a valid topic.
    pub fn new(prefix: &str) -> Result<Self, TopicError> {
        validate_topic(prefix)?;
        Ok(Self { prefix: prefix.trim_end_matches('/').to_owned() })
    }

    /// Returns the topic of a source's frames: `{prefix}/up/{lane}/{source_id}`.
    pub fn up(&self, source: &SourceId) -> String {
        format!("{}/up/{}/{source}", self.prefix, lane_of(source))
    }

    /// Returns the filters that select the frames of some lanes: one wildcard when it is all of them.
    pub fn up_filters(&self, lanes: &[u8]) -> Vec<String> {
        if lanes.len() >= usize::from(LANES) {
            return vec![format!("{}/up/+/+", self.prefix)];
        }
        lanes.iter().map(|lane| format!("{}/up/{lane}/+", self.prefix)).collect()
    }

    /// Returns the topic of a source's receipts: `{prefix}/receipt/{source_id}/{epoch}`.
    pub fn receipt(&self, source: &SourceId, epoch: Epoch) -> String {
        format!("{}/receipt/{source}/{epoch}", self.prefix)
    }

    /// Returns the topic of a source's birth and will: `{prefix}/status/{source_id}`.
    pub fn status(&self, source: &SourceId) -> String {
        format!("{}/status/{source}", self.prefix)
    }

    /// Returns the topic of something that ingest says: `{prefix}/{rest}`.
    pub fn below(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// Returns the filter that selects every control topic.
    pub fn all(&self) -> String {
        format!("{}/#", self.prefix)
    }

    /// Tells whether a filter selects frames and nothing but control traffic: only ingest subscribes like that.
    pub fn takes_frames(&self, filter: &str) -> bool {
        filter.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with("/up/"))
    }

    /// Tells whether a filter selects a topic, as [`filter_matches`], except that wildcards above the prefix do not reach below it:
    /// who wants control topics names the prefix, as it names `$SYS`.
    pub fn selects(&self, filter: &str, topic: &str) -> bool {
        filter_matches(filter, topic) && (!self.owns(topic) || self.owns(filter))
    }

    /// Returns how many of a topic's first levels wildcards do not reach: those of the prefix, and one that starts with `$`.
    pub fn literal_levels(&self, topic: &str) -> usize {
        if self.owns(topic) {
            1 + self.prefix.bytes().filter(|byte| *byte == b'/').count()
        } else {
            usize::from(topic.starts_with('$'))
        }
    }

    /// Tells whether a topic lies below the prefix, known or not.
    pub fn owns(&self, topic: &str) -> bool {
        topic
            .strip_prefix(&self.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Parses a control topic; `None` when it is not one or its lane is not its source's.
    pub fn parse(&self, topic: &str) -> Option<Control> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let mut levels = rest.split('/');
        let control = match (levels.next()?, levels.next()?) {
            ("up", lane) => {
                let source: SourceId = levels.next()?.parse().ok()?;
                (lane.parse() == Ok(lane_of(&source))).then_some(Control::Up(source))?
            }
            ("receipt", source) => {
                Control::Receipt(source.parse().ok()?, levels.next()?.parse().ok()?)
            }
            ("status", source) => Control::Status(source.parse().ok()?),
            _ => return None,
        };
        levels.next().is_none().then_some(control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_topics_are_selected_by_those_who_name_the_prefix() {
        let topics = ControlTopics::default();
        for filter in ["tm/v1/#", "tm/v1/up/3/+", "tm/v1/+/3/a", "tm/v1/up/3/a"] {
            assert!(topics.selects(filter, "tm/v1/up/3/a"), "{filter}");
        }
        for filter in ["#", "tm/#", "+/v1/#", "+/+/+/+/+", "tm/+/up/3/a", "tm/v1/up/+"] {
            assert!(!topics.selects(filter, "tm/v1/up/3/a"), "{filter}");
        }
        for (filter, topic) in
            [("#", "tm/v2/x"), ("tm/#", "tm"), ("+/+/x", "dt/a/x"), ("$SYS/#", "$SYS/x")]
        {
            assert!(topics.selects(filter, topic), "{filter} {topic}");
        }
        let literal = ["tm/v1/up/3/a", "tm/v1", "tm/v10", "$SYS/x", "dt/a"];
        assert_eq!(literal.map(|topic| topics.literal_levels(topic)), [2, 2, 0, 1, 0]);
    }

    #[test]
    fn topics_that_could_hurt_the_router_are_refused() {
        assert_eq!(validate_topic(""), Err(TopicError::Empty));
        assert_eq!(validate_topic("a/+/b"), Err(TopicError::Wildcard));
        assert_eq!(validate_topic("$SYS/x"), Err(TopicError::Reserved));
        assert_eq!(validate_topic("a\u{0}b"), Err(TopicError::Control));
        assert_eq!(validate_topic(&"x".repeat(1025)), Err(TopicError::TooLong(1025)));
        assert_eq!(validate_topic(&"/".repeat(32)), Err(TopicError::TooDeep(33)));
        assert_eq!(validate_topic("dt/hall/é/readings"), Ok(()));
    }

    #[test]
    fn filters_take_wildcards_only_as_whole_levels() {
        for good in ["#", "+", "a/+/b", "a/#", "/", "+/+", "$SYS/#"] {
            assert_eq!(validate_filter(good), Ok(()), "{good}");
        }
        for bad in ["a/#/b", "a#", "a+/b", "#/"] {
            assert_eq!(validate_filter(bad), Err(TopicError::Wildcard), "{bad}");
        }
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("sport/#", "sport", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a/b", "a/b/c", false),
            ("a/+/c", "a/b/c", true),
        ] {
            assert_eq!(filter_matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn control_topics_round_trip() {
        let topics = ControlTopics::default();
        let source: SourceId = "agent-1".parse().unwrap();
        let epoch = Epoch::from_random(7);
        assert_eq!(topics.up(&source), "tm/v1/up/19/agent-1");
        assert_eq!(topics.parse(&topics.up(&source)), Some(Control::Up(source.clone())));
        assert_eq!(
            topics.parse(&topics.receipt(&source, epoch)),
            Some(Control::Receipt(source.clone(), epoch))
        );
        assert_eq!(topics.parse(&topics.status(&source)), Some(Control::Status(source)));
        assert_eq!(topics.parse("tm/v1/up/3/agent-1"), None);
        assert!(topics.owns("tm/v1/anything") && !topics.owns("tm/v10/x"));
    }

    #[test]
    fn device_topics_parse() {
        let parsed = DeviceTopic::parse("dt/ward-3/mon-1/readings").unwrap();
        assert_eq!((parsed.site, parsed.device_id, parsed.stream), ("ward-3", "mon-1", "readings"));
        for bad in ["dt/a/b", "dt/a/b/", "dt//b/c", "cmd/a/b/c", "dt/a b/c/d"] {
            assert_eq!(DeviceTopic::parse(bad), None, "{bad}");
        }
    }
}
