//! Which site and device a message is of: by its topic, or by what it says.

use std::borrow::Cow;

use crate::decode::place::{Around, Place, Whence, named};
use crate::decode::reject::{Code, Reject};
use crate::mistake::Mistake;

/// Site and name of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub(crate) site: String,
    pub(crate) device: String,
}

/// Where a rule takes them from.
#[derive(Debug)]
pub(crate) enum Places {
    /// From what the rule says.
    Said { site: Place, device: Place, of_topic: bool },
    /// The rule says nothing: the first level is the site, the others are the device; of a plain value the last level is the metric.
    Guessed,
}

/// The site of devices whose topic has no level for it.
pub(crate) const NO_SITE: &str = "default";

impl Places {
    /// Compiles what a rule for `filter` says.
    ///
    /// # Errors
    /// A template that means nothing, or names a level that no topic of the filter has.
    pub(crate) fn new(
        filter: &str,
        site: Option<&str>,
        device: Option<&str>,
    ) -> Result<Self, Mistake> {
        let place = |key: &str, text: &str| {
            let place = Place::parse(text).and_then(|place| place.for_filter(filter));
            place.map_err(|mistake| mistake.within(key))
        };
        let of_devices = filter.starts_with("dt/+/+/") || filter.starts_with("dt/+/+/#");
        let (site, device) = match (site, device) {
            (None, None) if !of_devices => return Ok(Self::Guessed),
            (site, device) if of_devices => (site.or(Some("{1}")), device.or(Some("{2}"))),
            pair => pair,
        };
        let device = device.ok_or_else(|| {
            Mistake::new(
                "device",
                "is missing: a rule with `site` says where the device's name is, as \"{1}\"",
            )
        })?;
        let (site, device) = (place("site", site.unwrap_or(NO_SITE))?, place("device", device)?);
        let of_topic = site.is_of_topic() && device.is_of_topic();
        Ok(Self::Said { site, device, of_topic })
    }

    /// Whether the topic alone says both.
    pub(crate) fn are_of_topic(&self) -> bool {
        matches!(self, Self::Said { of_topic: true, .. })
    }

    /// What a topic says, if it says both.
    pub(crate) fn of_topic(&self, topic: &str) -> Option<Whereabouts> {
        let whence = Whence { topic, publisher: "", object: "", member: None };
        self.are_of_topic().then(|| self.fill(&whence, &mut Around::default(), false).ok())?
    }

    /// What topic and payload say.
    ///
    /// # Errors
    /// `device_missing`.
    pub(crate) fn fill<'a>(
        &self,
        whence: &Whence<'a>,
        around: &mut Around<'a>,
        scalar: bool,
    ) -> Result<Whereabouts, Reject> {
        let Self::Said { site, device, .. } = self else {
            return Ok(guessed(whence.topic, scalar));
        };
        let mut part = |place: &Place, what| {
            let missing = || {
                let reason =
                    format!("neither topic nor payload say the {what} where its rule looks for it");
                Reject::new(Code::DeviceMissing, reason)
            };
            place.fill(whence, around).map(Cow::into_owned).ok_or_else(missing)
        };
        Ok(Whereabouts { site: part(site, "site")?, device: part(device, "device")? })
    }
}

fn guessed(topic: &str, scalar: bool) -> Whereabouts {
    let mut levels: Vec<&str> = topic.split('/').filter(|level| !level.is_empty()).collect();
    if scalar && levels.len() > 1 {
        levels.pop();
    }
    let (site, device) = match &levels[..] {
        [] => (NO_SITE, topic.to_owned()),
        [device] => (NO_SITE, (*device).to_owned()),
        [site, device @ ..] => (*site, device.join("/")),
    };
    Whereabouts { site: named(site), device: named(&device) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(places: &Places, topic: &str, object: &str, scalar: bool) -> Result<String, Code> {
        let whence = Whence { topic, publisher: "", object, member: None };
        let mut around = Around::default();
        around.turn_to(object);
        let at = places.fill(&whence, &mut around, scalar).map_err(|reject| reject.code)?;
        Ok(format!("{} {}", at.site, at.device))
    }

    #[test]
    fn a_rule_that_says_nothing_takes_the_levels_as_they_come() {
        let places = Places::new("#", None, None).unwrap();
        let at = |topic, scalar| filled(&places, topic, "", scalar).unwrap();
        assert_eq!(at("home/livingroom/temperature", true), "home livingroom");
        assert_eq!(at("home/livingroom/climate", false), "home livingroom%2Fclimate");
        assert_eq!(at("zigbee2mqtt/kitchen sensor", false), "zigbee2mqtt kitchen%20sensor");
        assert_eq!(at("livingroom/temperature", true), "default livingroom");
        assert_eq!(at("temperature", true), "default temperature");
        assert_eq!(at("/home//tv/", false), "home tv");
    }

    #[test]
    fn devices_are_where_the_rule_says() {
        let topic = "tele/garage/SENSOR";
        let places = Places::new("tele/+/SENSOR", Some("home"), Some("{1}")).unwrap();
        assert_eq!(places.of_topic(topic).unwrap().device, "garage");
        let places = Places::new("dt/+/+/readings", None, None).unwrap();
        let at = Whereabouts { site: "icu".into(), device: "mon-1".into() };
        assert_eq!(places.of_topic("dt/icu/mon-1/readings"), Some(at));
        let places = Places::new("up", Some("/ids/app"), Some("/ids/device")).unwrap();
        assert_eq!(places.of_topic("up"), None);
        let said = r#"{"ids":{"app":"farm","device":7}}"#;
        assert_eq!(filled(&places, "up", said, false).unwrap(), "farm 7");
        assert_eq!(filled(&places, "up", "{}", false), Err(Code::DeviceMissing));
    }

    #[test]
    fn inv12_a_rule_that_could_never_find_a_device_is_refused() {
        let refused =
            |filter, site, device| Places::new(filter, site, device).unwrap_err().to_string();
        assert!(refused("tele/+", None, Some("{2}")).contains("`device.{2}`"));
        assert!(refused("tele/+", Some("home"), None).contains("`device` is missing"));
        assert!(refused("tele/+", None, Some("{x}")).contains("device.{x}"));
    }
}
