//! The families: for which profile each is, and how it names its devices.

use super::messages;
use super::now::{Now, eui, mac, short};
use super::telling::Telling;

/// Topic and payload of a birth, by the name of the device.
type Birth = fn(&str) -> (String, &'static str);

/// One family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// The profile that its messages are for.
    pub(super) profile: &'static str,
    /// Topics, where the profile's own rules would take those of others, too.
    pub(super) filter: Option<&'static str>,
    /// Site and device that its rows have, by the name of the device and a number of its own.
    pub(super) name: fn(&str, u64) -> (String, String),
    /// Writes a message; returns its topic.
    pub(super) say: fn(&Now<'_>, &mut Telling) -> String,
    /// Topic and payload by which it says that it is there, if it does.
    pub(super) birth: Option<Birth>,
}

fn of(profile: &str, own: &str) -> (String, String) {
    (profile.to_owned(), own.to_owned())
}

/// All of them, in the order in which their rules stand: those of `homeassistant/…` and `zigbee2mqtt/…` before the wider ones.
pub(super) const FAMILIES: [Family; 12] = [
    Family {
        profile: "zigbee2mqtt",
        filter: None,
        name: |own, _| of("zigbee2mqtt", own),
        say: messages::zigbee2mqtt,
        birth: Some(|own| (format!("zigbee2mqtt/{own}/availability"), r#"{"state":"online"}"#)),
    },
    Family {
        profile: "home-assistant-statestream",
        filter: None,
        name: |own, _| of("home-assistant-statestream", &format!("sensor.{own}")),
        say: messages::home_assistant,
        birth: None,
    },
    Family {
        profile: "tasmota",
        filter: None,
        name: |own, _| of("tasmota", own),
        say: messages::tasmota,
        birth: Some(|own| (format!("tele/{own}/LWT"), "Online")),
    },
    Family {
        profile: "shelly",
        filter: None,
        name: |own, _| of("shelly", &format!("shellyplus1pm-{own}")),
        say: messages::shelly,
        birth: Some(|own| (format!("shellyplus1pm-{own}/online"), "true")),
    },
    Family {
        profile: "the-things-stack",
        filter: None,
        name: |own, _| ("orchard%40ttn".to_owned(), own.to_owned()),
        say: messages::things_stack,
        birth: None,
    },
    Family {
        profile: "chirpstack",
        filter: None,
        name: |_, id| ("meters".to_owned(), eui(id)),
        say: messages::chirpstack,
        birth: None,
    },
    Family {
        profile: "esphome",
        filter: None,
        name: |own, _| of("esphome", own),
        say: messages::esphome,
        birth: Some(|own| (format!("{own}/status"), "online")),
    },
    Family {
        profile: "rtl433",
        filter: None,
        name: |_, id| of("rtl433", &format!("Fineoffset-WH24.{}", short(id))),
        say: messages::rtl433,
        birth: None,
    },
    Family {
        profile: "openmqttgateway",
        filter: None,
        name: |_, id| of("openmqttgateway", &mac(id)),
        say: messages::openmqttgateway,
        birth: None,
    },
    Family {
        profile: "aws-iot",
        filter: None,
        name: |own, _| ("plant".to_owned(), own.to_owned()),
        say: messages::aws_iot,
        birth: None,
    },
    Family {
        profile: "thingsboard",
        filter: None,
        name: |own, _| of("thingsboard", own),
        say: messages::thingsboard,
        birth: None,
    },
    Family {
        profile: "scalars",
        filter: Some("house/+/+"),
        name: |own, _| ("house".to_owned(), own.to_owned()),
        say: messages::scalars,
        birth: None,
    },
];
