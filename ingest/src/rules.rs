//! The topic rules: which decoder a topic goes to, and which device its rows are of. Compiled and checked at start.

use telemetry_core::topic::{DeviceTopic, filter_matches};

use crate::batch::Layout;
use crate::config::TopicRule;
use crate::decode::reject::{Code, Reject};
use crate::decode::{Decoder, Spec};
use crate::mistake::Mistake;

/// All rules; the first that matches wins.
#[derive(Debug)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    filter: String,
    decoder: Box<dyn Decoder>,
}

impl Rules {
    /// Makes the decoders that the rules name.
    ///
    /// # Errors
    /// The first rule that makes no sense.
    pub(crate) fn new(
        rules: &[TopicRule],
        layout: &Layout,
        decoders: &[Spec],
    ) -> Result<Self, Mistake> {
        let rules = rules.iter().map(|rule| {
            let within = |mistake: Mistake| mistake.within(&format!("rule for `{}`", rule.filter));
            let spec = decoders.iter().find(|spec| spec.name == rule.decoder).ok_or_else(|| {
                let names: Vec<&str> = decoders.iter().map(|spec| spec.name).collect();
                let problem =
                    format!("`{}` is not a decoder: there are {}", rule.decoder, names.join(", "));
                within(Mistake::new("decoder", problem))
            })?;
            let settings = |mistake: Mistake| within(mistake.within("settings"));
            let decoder = (spec.build)(&rule.settings, layout).map_err(settings)?;
            Ok(Rule { filter: rule.filter.clone(), decoder })
        });
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// The rule for a topic, and site and name of the device.
    ///
    /// # Errors
    /// `topic_unknown` if there is none.
    pub(crate) fn find<'a>(&self, topic: &'a str) -> Result<(usize, &'a str, &'a str), Reject> {
        let rule = self.0.iter().position(|rule| filter_matches(&rule.filter, topic));
        match rule.zip(DeviceTopic::parse(topic)) {
            Some((rule, device)) => Ok((rule, device.site, device.device_id)),
            None => Err(Reject::new(Code::TopicUnknown, "no decoder is configured for this topic")),
        }
    }

    /// The decoder of a rule.
    pub(crate) fn decoder(&self, rule: usize) -> &dyn Decoder {
        &*self.0[rule].decoder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::decode::DECODERS;

    fn rules(topics: &[TopicRule]) -> Result<Rules, Mistake> {
        Rules::new(topics, &Layout::default(), DECODERS)
    }

    #[test]
    fn the_topic_names_rule_and_device_or_is_unknown() {
        let rules = rules(&Config::default().topics).unwrap();
        assert_eq!(rules.find("dt/icu/ehr-1/fhir").unwrap(), (1, "icu", "ehr-1"));
        for topic in ["dt/icu/mon-1/waveforms", "x/y", "dt/i cu/mon-1/readings"] {
            assert_eq!(rules.find(topic).unwrap_err().code, Code::TopicUnknown, "{topic}");
        }
    }

    #[test]
    fn inv12_a_decoder_or_a_setting_that_there_is_not_is_refused_by_name() {
        let mut rule = Config::default().topics[0].clone();
        rule.decoder = "jsno".into();
        let error = rules(&[rule.clone()]).unwrap_err().to_string();
        assert!(error.contains("dt/+/+/readings") && error.contains("`jsno`"), "{error}");
        assert!(error.contains("readings, fhir, status"), "{error}");
        rule.decoder = "fhir".into();
        rule.settings.insert("version".into(), 4.into());
        let error = rules(&[rule]).unwrap_err().to_string();
        assert!(error.contains("settings.version"), "{error}");
    }
}
