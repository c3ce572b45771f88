//! One line of `[[ingest.topics]]`, as it is written.

use serde::{Deserialize, Serialize};

use crate::decode::Settings;

/// One line of the topic table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicRule {
    /// Topic filter with MQTT wildcards; none: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Ready-made rules for a family of devices, by name; what is said beside it replaces what they say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What the payload is: the name of a decoder; none: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Where the site is: a constant, levels of the topic as `{1}`, or a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Where the device's name is, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Keep the messages themselves, too, in the table `messages`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
    /// The decoder's settings.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
}

impl TopicRule {
    /// A rule for the topics of `filter`.
    #[must_use]
    pub fn new(filter: &str, decoder: &str) -> Self {
        let (filter, decoder) = (Some(filter.to_owned()), Some(decoder.to_owned()));
        Self { filter, decoder, ..Self::default() }
    }

    /// What it is called in messages: its filter, else its profile.
    #[must_use]
    pub fn title(&self) -> String {
        self.filter.clone().or_else(|| self.profile.clone()).unwrap_or_default()
    }
}
