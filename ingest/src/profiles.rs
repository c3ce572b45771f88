//! Ready-made rules for the topics and payloads of well-known devices and platforms: the files in `profiles/`, parsed once.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::decode::Settings;

/// Rules for one family of devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What a rule calls it.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// Where the vendor says what is published.
    pub docs: String,
    /// The first whose filter matches counts.
    pub rules: Vec<ProfileRule>,
}

/// One rule of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRule {
    /// Topics that it is for.
    pub filter: String,
    /// Who reads the payload.
    pub decoder: ProfileDecoder,
    /// Template of the site; none: that of whoever uses the profile.
    pub site: Option<String>,
    /// Template of the device.
    pub device: String,
    /// Settings of the decoder.
    #[serde(default)]
    pub values: Settings,
    /// How its topics can be told from others that the filter matches, where nobody asked for the profile.
    pub guess: Option<Guess>,
}

/// Decoders that profiles use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileDecoder {
    /// See [`crate::decode::values`].
    Values,
    /// Reports on the device in this project's own form.
    Status,
}

impl ProfileDecoder {
    /// Its name in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Status => "status",
        }
    }
}

/// A level of the topic and what it begins with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guess {
    /// From 0.
    pub level: usize,
    /// Text.
    pub starts_with: String,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each profile, sorted.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../profiles/", $name, ".toml")))),*];
        /// Its samples.
        #[cfg(test)]
        const SAMPLES: &[&str] = &[$(include_str!(concat!("../profiles/samples/", $name, ".toml"))),*];
    };
}

files![
    "aws-iot",
    "chirpstack",
    "esphome",
    "home-assistant-statestream",
    "openmqttgateway",
    "rtl433",
    "scalars",
    "shelly",
    "tasmota",
    "the-things-stack",
    "thingsboard",
    "zigbee2mqtt",
];

/// All profiles, sorted by name.
pub fn profiles() -> &'static [Profile] {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    PROFILES.get_or_init(|| {
        let parse = |(_, text): &(&str, &str)| toml::from_str(text);
        FILES.iter().map(parse).collect::<Result<_, _>>().expect("a test parses the same texts")
    })
}

/// The profile of this name.
pub(crate) fn profile(name: &str) -> Option<&'static Profile> {
    profiles().iter().find(|profile| profile.name == name)
}

#[cfg(test)]
mod tests;
