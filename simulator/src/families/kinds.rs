//! The families: for which profile each is, and how it names its devices.

use super::messages;
use super::now::{Now, eui, mac, short};
use super::telling::Telling;

/// Topic and payload of a birth, by the name of the device.
type Birth = fn(&str) -> (String, &'static str);

/// Writes a message; returns its topic.
type Say = fn(&Now<'_>, &mut Telling) -> String;

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
    pub(super) say: Say,
    /// Writes every second message instead, if the family has another kind.
    pub(super) other: Option<Say>,
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
        other: None,
        birth: Some(|own| (format!("zigbee2mqtt/{own}/availability"), r#"{"state":"online"}"#)),
    },
    Family {
        profile: "home-assistant-statestream",
        filter: None,
        name: |own, _| of("home-assistant-statestream", &format!("sensor.{own}")),
        say: messages::home_assistant,
        other: None,
        birth: None,
    },
    Family {
        profile: "tasmota",
        filter: None,
        name: |own, _| of("tasmota", own),
        say: messages::tasmota,
        other: Some(messages::tasmota_state),
        birth: Some(|own| (format!("tele/{own}/LWT"), "Online")),
    },
    Family {
        profile: "shelly",
        filter: None,
        name: |own, _| of("shelly", &format!("shellyplus1pm-{own}")),
        say: messages::shelly,
        other: Some(messages::shelly_event),
        birth: Some(|own| (format!("shellyplus1pm-{own}/online"), "true")),
    },
    Family {
        profile: "the-things-stack",
        filter: None,
        name: |own, _| ("orchard%40ttn".to_owned(), own.to_owned()),
        say: messages::things_stack,
        other: Some(messages::things_stack_undecoded),
        birth: None,
    },
    Family {
        profile: "chirpstack",
        filter: None,
        name: |_, id| ("meters".to_owned(), eui(id)),
        say: messages::chirpstack,
        other: Some(messages::chirpstack_undecoded),
        birth: None,
    },
    Family {
        profile: "esphome",
        filter: None,
        name: |own, _| of("esphome", own),
        say: messages::esphome,
        other: None,
        birth: Some(|own| (format!("{own}/status"), "online")),
    },
    Family {
        profile: "rtl433",
        filter: None,
        name: |_, id| of("rtl433", &format!("Fineoffset-WH24.{}", short(id))),
        say: messages::rtl433,
        other: None,
        birth: None,
    },
    Family {
        profile: "openmqttgateway",
        filter: None,
        name: |_, id| of("openmqttgateway", &mac(id)),
        say: messages::openmqttgateway,
        other: None,
        birth: None,
    },
    Family {
        profile: "aws-iot",
        filter: None,
        name: |own, _| ("plant".to_owned(), own.to_owned()),
        say: messages::aws_iot,
        other: None,
        birth: None,
    },
    Family {
        profile: "thingsboard",
        filter: None,
        name: |own, _| of("thingsboard", own),
        say: messages::thingsboard,
        // `v1/devices/me/telemetry` names the device by its login, which is the gateway's to say.
        other: None,
        birth: None,
    },
    Family {
        profile: "scalars",
        filter: Some("house/+/+"),
        name: |own, _| ("house".to_owned(), own.to_owned()),
        say: messages::scalars,
        other: None,
        birth: None,
    },
];
