//! Which topics a source may send, and which decoder a topic goes to (INV-9): decided once per source and topic.

use std::collections::BTreeMap;

use telemetry_core::id::SourceId;
use telemetry_core::topic::{DeviceTopic, filter_matches};

use crate::config::{Config, DecoderKind, TopicRule};
use crate::decode::reject::{Code, Reject};

/// Stands for the id of the source in a filter.
const SOURCE_ID: &str = "{source_id}";

/// The `[sources]` table and the topic table.
#[derive(Debug, Clone)]
pub struct Access {
    sources: BTreeMap<String, Vec<String>>,
    topics: Vec<TopicRule>,
}

impl Access {
    /// Takes the tables of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { sources: config.sources.clone(), topics: config.topics.clone() }
    }

    /// The decoder and the device for a message of `source` on `topic`.
    ///
    /// # Errors
    /// `topic_not_allowed` if the source has no business there, `topic_unknown` if nothing decodes it.
    pub fn route<'a>(
        &self,
        source: &SourceId,
        topic: &'a str,
    ) -> Result<(DecoderKind, DeviceTopic<'a>), Reject> {
        let named = self.sources.get(source.as_str()).or_else(|| self.sources.get("*"));
        let matches = |filter: &String| match filter.contains(SOURCE_ID) {
            true => filter_matches(&filter.replace(SOURCE_ID, source.as_str()), topic),
            false => filter_matches(filter, topic),
        };
        if !named.is_some_and(|filters| filters.iter().any(matches)) {
            return Err(Reject::new(Code::TopicNotAllowed, "the source may not send this topic"));
        }
        let rule = self.topics.iter().find(|rule| filter_matches(&rule.filter, topic));
        match rule.zip(DeviceTopic::parse(topic)) {
            Some((rule, device)) => Ok((rule.decoder, device)),
            None => Err(Reject::new(Code::TopicUnknown, "no decoder is configured for this topic")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(sources: &[(&str, &[&str])]) -> Access {
        let sources = sources.iter();
        let sources = sources.map(|(id, filters)| {
            ((*id).to_owned(), filters.iter().map(|f| (*f).to_owned()).collect())
        });
        Access::new(&Config { sources: sources.collect(), ..Config::default() })
    }

    #[test]
    fn inv9_a_source_may_send_its_own_topics_only() {
        let access = access(&[("icu", &["dt/icu/#"]), ("*", &["dt/hall/+/readings"])]);
        let code = |source: &str, topic| {
            access.route(&source.parse().unwrap(), topic).err().map(|reject| reject.code)
        };
        assert_eq!(code("icu", "dt/icu/mon-1/readings"), None);
        assert_eq!(
            code("icu", "dt/hall/mon-1/readings"),
            Some(Code::TopicNotAllowed),
            "named: `*` is not for it"
        );
        assert_eq!(code("other", "dt/hall/mon-1/readings"), None);
        assert_eq!(code("other", "dt/icu/mon-1/readings"), Some(Code::TopicNotAllowed));
    }

    #[test]
    fn inv9_as_it_comes_an_agent_sends_its_own_site_or_itself_and_the_gateway_everything() {
        let access = Access::new(&Config::default());
        let may = |source: &str, topic| access.route(&source.parse().unwrap(), topic).is_ok();
        assert!(!may("ag1", "dt/icu/mon-1/readings"), "a device that is not its own");
        assert!(may("ag1", "dt/ag1/mon-1/readings") && may("ag1", "dt/icu/ag1/status"));
        assert!(!may("ag1", "dt/ag2/mon-1/readings") && !may("ag", "dt/ag1/mon-1/readings"));
        assert!(may("gateway", "dt/icu/mon-1/readings"));
    }

    #[test]
    fn the_topic_names_decoder_and_device_or_is_unknown() {
        let access = access(&[("*", &["#"])]);
        let source: SourceId = "gw".parse().unwrap();
        let (decoder, device) = access.route(&source, "dt/icu/ehr-1/fhir").unwrap();
        assert_eq!((decoder, device.site, device.device_id), (DecoderKind::Fhir, "icu", "ehr-1"));
        for topic in ["dt/icu/mon-1/waveforms", "x/y", "dt/i cu/mon-1/readings"] {
            assert_eq!(
                access.route(&source, topic).unwrap_err().code,
                Code::TopicUnknown,
                "{topic}"
            );
        }
    }
}
