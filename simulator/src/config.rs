//! The simulator's configuration, section `[simulator]`.

mod disorder;
mod families;

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use telemetry_core::id::{DeviceId, SiteId};
use telemetry_core::topic::ControlTopics;

pub use disorder::Disorder;
pub use families::Families;

/// The MQTT version that devices speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5; needed for the latency from publish to receipt.
    #[serde(rename = "5")]
    V5,
}

/// How fast messages leave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Simulated seconds per second; 1 is real time.
    Speed(f64),
    /// Messages per second, whether or not they are acknowledged (open loop). Latency then counts from the moment
    /// a message was due, so that a stalled gateway shows.
    Rate(f64),
    /// The next message as soon as the windows have room.
    Acknowledged,
    /// What lies between the world's `start` and now at so many simulated seconds per second, 2 at least; from then on real time.
    Live(f64),
}

impl Pace {
    fn check(self) -> Result<(), ConfigError> {
        let (key, value, least) = match self {
            Self::Speed(speed) => ("pace.speed", speed, 1e-3),
            Self::Rate(rate) => ("pace.rate", rate, 1e-3),
            Self::Live(speed) => ("pace.live", speed, 2.0),
            Self::Acknowledged => return Ok(()),
        };
        let must = if least < 1.0 { "between 0.001 and 1e9" } else { "between 2 and 1e9" };
        bounds(key, value, (least..=1e9).contains(&value), must)
    }
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `host:port` of the gateway, or `http://address:port` of an edge agent's HTTP input.
    pub gateway: String,
    /// TLS to a gateway; on when `ca_file` is set.
    pub tls: TlsFiles,
    /// User name at the gateway; client ids then begin with it and `@`, as the gateway asks for. With a client certificate: the
    /// name in it, and no password.
    pub username: Option<String>,
    /// File with the password of `username`.
    pub password_file: Option<PathBuf>,
    /// What devices speak to a gateway.
    pub mqtt: MqttVersion,
    /// Site id of every simulated device.
    pub site: String,
    /// The same seed and configuration give byte-identical payloads.
    pub seed: u64,
    /// The world's clock at the start.
    pub start: DateTime<Utc>,
    /// Boot number of every device; by default one more than the newest in the journal.
    pub boot: Option<i64>,
    /// Folder of the journal; none is kept without it, and nothing can be audited then.
    pub journal: Option<PathBuf>,
    /// Connections that the devices share; 0 is one each.
    pub connections: u32,
    /// Unacknowledged messages per connection, 1 to 4096.
    pub inflight: u16,
    /// Keep-alive in seconds, 5 to 3600.
    pub keep_alive_s: u16,
    /// How fast.
    pub pace: Pace,
    /// Stop after so many seconds.
    pub seconds: Option<f64>,
    /// Stop after so many messages, repeats not counted.
    pub messages: Option<u64>,
    /// How long to wait at the end for outstanding acknowledgements, in seconds.
    pub drain_s: f64,
    /// Listen to receipts and measure the latency from publish to receipt (MQTT 5).
    pub receipts: bool,
    /// How long to wait at the end for outstanding receipts, in seconds.
    pub receipt_wait_s: f64,
    /// Prefix of the pipeline's control topics.
    pub control_prefix: String,
    /// The simulated ward.
    pub ward: Ward,
    /// Devices of other makers.
    pub families: Families,
    /// What goes wrong on purpose.
    pub disorder: Disorder,
    /// Recorded series to publish, CSV or NDJSON; each file is one device.
    pub replay: Vec<PathBuf>,
    /// How they are written, where that can't be guessed.
    pub replay_form: ReplayForm,
    /// Folder of FHIR resources (`*.json`, and `*.ndjson` with one a line) to publish once.
    pub fhir: Option<PathBuf>,
}

/// What is said of all files to replay; what is not said is guessed for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayForm {
    /// Between cells: `,`, `;`, a tab, `|`.
    pub delimiter: Option<char>,
    /// Whether the first line has the names of the columns.
    pub header: Option<bool>,
    /// Whether numbers are as `21,5`.
    pub decimal_comma: Option<bool>,
    /// The column that has the time: its name, or its number from 1.
    pub time_column: Option<String>,
    /// How times are written: `auto`, `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, or a pattern of strptime.
    pub time_format: Option<String>,
    /// The zone of times that say none, as `Europe/Berlin` or `+02:00`; by default UTC.
    pub zone: Option<String>,
}

/// PEM files for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFiles {
    /// Certificates that the gateway's is checked against.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and those above it.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// Who is in the ward. Intervals are simulated seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ward {
    /// Whether to play it; by default if there is nothing to replay.
    pub enabled: Option<bool>,
    /// Beds, each with a patient monitor.
    pub beds: u32,
    /// Infusion pumps, dealt out to the beds.
    pub pumps: u32,
    /// Vaccine fridges.
    pub fridges: u32,
    /// Room sensors.
    pub rooms: u32,
    /// Whether an EHR system publishes.
    pub ehr: bool,
    /// Share of patients who become septic or fail to breathe.
    pub deteriorating: f64,
    /// Share of fridges that lose their power once, for hours.
    pub failing_fridges: f64,
    /// Seconds between two messages of a monitor.
    pub monitor_s: f64,
    /// Seconds between two messages of a pump.
    pub pump_s: f64,
    /// Seconds between two messages of a fridge or room sensor.
    pub building_s: f64,
    /// Seconds between two status messages of a device.
    pub status_s: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gateway: "127.0.0.1:1883".into(),
            tls: TlsFiles::default(),
            username: None,
            password_file: None,
            mqtt: MqttVersion::V5,
            site: "sim".into(),
            seed: 1,
            start: DateTime::from_timestamp(1_767_225_600, 0).expect("2026-01-01 is a date"),
            boot: None,
            journal: None,
            connections: 0,
            inflight: 64,
            keep_alive_s: 30,
            pace: Pace::Speed(1.0),
            seconds: None,
            messages: None,
            drain_s: 30.0,
            receipts: false,
            receipt_wait_s: 60.0,
            control_prefix: "tm/v1".into(),
            ward: Ward::default(),
            families: Families::default(),
            disorder: Disorder::default(),
            replay: Vec::new(),
            replay_form: ReplayForm::default(),
            fhir: None,
        }
    }
}

impl Default for Ward {
    /// Sixty devices.
    fn default() -> Self {
        Self {
            enabled: None,
            beds: 24,
            pumps: 16,
            fridges: 2,
            rooms: 18,
            ehr: true,
            deteriorating: 0.2,
            failing_fridges: 0.0,
            monitor_s: 5.0,
            pump_s: 60.0,
            building_s: 60.0,
            status_s: 300.0,
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value outside its bounds.
    #[error("`{key}` is {value}: it must be {bounds}")]
    Bounds {
        /// Which key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        bounds: &'static str,
    },
    /// The site is not a site id.
    #[error("`site` is not a site id")]
    Site(#[source] telemetry_core::id::IdError),
    /// An agent that is not named by address and port.
    #[error("`gateway` is `{0}`: an agent's HTTP input is named http://address:port")]
    Agent(String),
    /// The prefix makes no valid topics.
    #[error("`control_prefix` is not a topic prefix")]
    Prefix(#[source] telemetry_core::topic::TopicError),
    /// Files or names that belong together.
    #[error("{0}")]
    Login(&'static str),
    /// Neither a ward nor other devices nor files.
    #[error(
        "there is nothing to simulate: enable the ward, have devices of families, or name files to replay"
    )]
    Nothing,
}

impl Config {
    /// The same with a world that begins at this moment (microseconds since 1970), where there is such a moment.
    #[must_use]
    pub fn starting(mut self, at_us: i64) -> Self {
        self.start = DateTime::from_timestamp_micros(at_us).unwrap_or(self.start);
        self
    }

    /// Whether the ward is played.
    #[must_use]
    pub fn plays_ward(&self) -> bool {
        self.ward.enabled.unwrap_or(self.replay.is_empty() && self.fhir.is_none())
    }

    /// The agent to publish to by HTTP; `None` if `gateway` is a gateway, an error if it is neither.
    #[must_use]
    pub fn agent(&self) -> Option<Result<SocketAddr, ConfigError>> {
        let address = self.gateway.strip_prefix("http://")?;
        Some(address.parse().map_err(|_| ConfigError::Agent(self.gateway.clone())))
    }

    fn check_login(&self) -> Result<(), ConfigError> {
        let TlsFiles { ca_file, cert_file, key_file } = &self.tls;
        if cert_file.is_some() != key_file.is_some() || (cert_file.is_some() && ca_file.is_none()) {
            return Err(ConfigError::Login("tls.cert_file needs tls.key_file and tls.ca_file"));
        }
        if self.password_file.is_some() && self.username.is_none() {
            return Err(ConfigError::Login("password_file needs username"));
        }
        Ok(())
    }

    /// Whether anything is played whose clock follows the world's.
    #[must_use]
    pub fn plays_world(&self) -> bool {
        self.plays_ward() || self.families.play()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first value out of bounds, by name.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.site.parse::<SiteId>().map_err(ConfigError::Site)?;
        ControlTopics::new(&self.control_prefix).map_err(ConfigError::Prefix)?;
        self.agent().transpose()?;
        self.check_login()?;
        let Disorder { duplicates, reordering, malformed, bad_time, unknown_members, .. } =
            self.disorder;
        let shares = [
            ("disorder.duplicates", duplicates),
            ("disorder.reordering", reordering),
            ("disorder.malformed", malformed),
            ("disorder.bad_time", bad_time),
            ("disorder.unknown_members", unknown_members),
            ("ward.deteriorating", self.ward.deteriorating),
            ("ward.failing_fridges", self.ward.failing_fridges),
        ];
        for (key, value) in shares {
            bounds(key, value, (0.0..=1.0).contains(&value), "between 0 and 1")?;
        }
        let Ward { monitor_s, pump_s, building_s, status_s, .. } = self.ward;
        let intervals = [
            ("ward.monitor_s", monitor_s),
            ("ward.pump_s", pump_s),
            ("ward.building_s", building_s),
            ("ward.status_s", status_s),
        ];
        for (key, value) in intervals {
            bounds(key, value, (0.001..=86_400.0).contains(&value), "between 0.001 and 86400")?;
        }
        self.families.check()?;
        self.pace.check()?;
        bounds(
            "inflight",
            f64::from(self.inflight),
            (1..=4096).contains(&self.inflight),
            "between 1 and 4096",
        )?;
        let keep_alive = self.keep_alive_s;
        bounds(
            "keep_alive_s",
            f64::from(keep_alive),
            (5..=3600).contains(&keep_alive),
            "between 5 and 3600",
        )?;
        let seconds = self.seconds.unwrap_or(0.0);
        bounds("seconds", seconds, (0.0..=1e9).contains(&seconds), "between 0 and 1e9")?;
        bounds(
            "drain_s",
            self.drain_s,
            (0.0..=86_400.0).contains(&self.drain_s),
            "between 0 and 86400",
        )?;
        let wait = self.receipt_wait_s;
        bounds("receipt_wait_s", wait, (0.0..=86_400.0).contains(&wait), "between 0 and 86400")?;
        bounds("boot", 0.0, self.boot.is_none_or(|boot| boot >= 0), "0 or more")?;
        let Ward { beds, pumps, fridges, rooms, .. } = self.ward;
        for (key, n) in [
            ("ward.beds", beds),
            ("ward.pumps", pumps),
            ("ward.fridges", fridges),
            ("ward.rooms", rooms),
        ] {
            bounds(key, f64::from(n), n <= 100_000, "at most 100000")?;
        }
        let files = !self.replay.is_empty() || self.fhir.is_some();
        if !self.plays_ward() && !self.families.play() && !files {
            return Err(ConfigError::Nothing);
        }
        Ok(())
    }
}

fn bounds(
    key: &'static str,
    value: f64,
    inside: bool,
    bounds: &'static str,
) -> Result<(), ConfigError> {
    if inside { Ok(()) } else { Err(ConfigError::Bounds { key, value: value.to_string(), bounds }) }
}

/// Makes a device id of any text: every character that an id cannot have becomes `-`, at most 64 are kept.
#[must_use]
pub fn device_id_from(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let id: String = text.chars().take(64).map(|c| if allowed(c) { c } else { '-' }).collect();
    if DeviceId::check(&id).is_ok() { id } else { "device".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_survives_json() {
        let config = Config::default();
        config.check().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for json in [
            r#"{"sede":1}"#,
            r#"{"ward":{"bed":1}}"#,
            r#"{"disorder":{"chaos":1}}"#,
            r#"{"pace":{"warp":9}}"#,
        ] {
            assert!(serde_json::from_str::<Config>(json).is_err(), "{json}");
        }
        let config: Config =
            serde_json::from_str(r#"{"pace":"acknowledged","mqtt":"3.1.1"}"#).unwrap();
        assert_eq!((config.pace, config.mqtt), (Pace::Acknowledged, MqttVersion::V311));
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|c| c.disorder.malformed = 1.5),
            "`disorder.malformed` is 1.5: it must be between 0 and 1"
        );
        assert!(refused(|c| c.inflight = 0).contains("inflight"));
        assert!(refused(|c| c.pace = Pace::Speed(f64::NAN)).contains("pace.speed"));
        assert!(refused(|c| c.pace = Pace::Live(1.0)).contains("pace.live"));
        assert!(refused(|c| c.site = "a/b".into()).contains("site"));
        assert!(refused(|c| c.gateway = "http://agent".into()).contains("http://address:port"));
        assert!(refused(|c| c.ward.enabled = Some(false)).contains("nothing to simulate"));
        assert!(refused(|c| c.families.each = 5_000).contains("families.each"));
        assert!(refused(|c| c.families.interval_s = 0.0).contains("families.interval_s"));
        let mut only_families = Config::default();
        only_families.ward.enabled = Some(false);
        only_families.families.each = 1;
        only_families.check().unwrap();
    }

    #[test]
    fn any_text_makes_a_device_id() {
        assert_eq!(device_id_from("machine temperature/ü"), "machine-temperature--");
        assert_eq!(device_id_from(""), "device");
        assert_eq!(device_id_from(".."), "device");
    }
}
