//! Rules as they are written.

use serde::{Deserialize, Serialize};

use super::Severity;

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    #[serde(default)]
    pub(super) rule: Vec<RawRule>,
    #[serde(default)]
    pub(super) maintenance: Vec<RawWindow>,
    #[serde(default)]
    pub(super) state: Vec<RawState>,
}

/// One `[[rule]]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRule {
    pub(super) name: String,
    pub(super) severity: Option<Severity>,
    pub(super) site: Option<String>,
    pub(super) device: Option<String>,
    pub(super) metric: Option<String>,
    pub(super) uncatalogued: bool,
    pub(super) quality: Option<Vec<String>>,
    pub(super) when: Option<String>,

    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
    pub(super) clear: Option<f64>,
    pub(super) outside: Option<[f64; 2]>,
    pub(super) margin: Option<f64>,
    pub(super) equals: Option<String>,
    pub(super) rise: Option<f64>,
    pub(super) fall: Option<f64>,
    pub(super) stuck_for: Option<String>,
    pub(super) count: Option<u32>,
    pub(super) good_share_below: Option<f64>,
    pub(super) mean_kinetic_above: Option<f64>,
    pub(super) silent_for: Option<String>,
    pub(super) per: Option<String>,
    pub(super) source: Option<String>,
    pub(super) within: Option<String>,
    pub(super) min_rows: Option<u32>,

    #[serde(rename = "for")]
    pub(super) hold: Option<String>,
    pub(super) clear_for: Option<String>,
    pub(super) gap: Option<String>,
    pub(super) repeat: Option<String>,

    // Tables last: they are written so.
    pub(super) flapping: Option<RawFlapping>,
    pub(super) news2: Option<RawNews2>,
}

/// `flapping = { times, within }`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFlapping {
    pub(super) times: u8,
    pub(super) within: String,
}

/// `[rule.news2]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawNews2 {
    pub(super) at_least: Option<u8>,
    pub(super) clear: Option<u8>,
    pub(super) single_red: Option<bool>,
    pub(super) rise: Option<u8>,
    pub(super) within: Option<String>,
    pub(super) scale: Option<u8>,
    pub(super) scale_2_devices: Vec<String>,
    pub(super) assume_oxygen: Option<String>,
    pub(super) assume_consciousness: Option<String>,
    pub(super) vitals_age: Option<String>,
    pub(super) pressure_age: Option<String>,
    pub(super) temperature_age: Option<String>,
    pub(super) observed_age: Option<String>,
}

/// One `[[maintenance]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    pub(super) site: Option<String>,
    pub(super) device: Option<String>,
    pub(super) from: toml::value::Datetime,
    pub(super) until: toml::value::Datetime,
}

/// One `[[state]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    pub(super) site: Option<String>,
    pub(super) device: Option<String>,
    pub(super) every: Option<String>,
}
