//! The settings of the gateway.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use store_forward::{SpoolConfig, UplinkConfig};
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::id::{NAME_MAX, SourceId};
use telemetry_core::spool::record::{FIXED_LEN, MESSAGE_MAX, PREFIX_LEN};
use telemetry_core::topic::{ControlTopics, TOPIC_BYTES_MAX};

/// The `[gateway]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// The name of this gateway's spool in the lake. Unique among all gateways and agents of a lake.
    pub source_id: SourceId,
    /// Where MQTT clients connect, 3.1.1 and 5 on the same port.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz`, `/metrics` and `/status` are served. It has no authentication.
    pub admin_listen: SocketAddr,
    /// Prefix of the topics for frames, receipts and status.
    pub control_prefix: String,
    /// Seconds that a stop waits for what was accepted to land.
    pub drain_seconds: u64,
    /// The spool on disk.
    pub spool: SpoolConfig,
    /// How the spool is emptied.
    pub uplink: UplinkConfig,
    /// Limits on clients.
    pub limits: Limits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            source_id: "gateway".parse().expect("a valid name"),
            listen: ([127, 0, 0, 1], 1883).into(),
            admin_listen: ([127, 0, 0, 1], 8080).into(),
            control_prefix: "tm/v1".into(),
            drain_seconds: 15,
            spool: SpoolConfig::default(),
            uplink: UplinkConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// The `[gateway.limits]` table. Each limit's effect stands beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most connections; further ones are closed at once.
    pub connections_max: usize,
    /// A client has this long to send its CONNECT; then it is disconnected.
    pub connect_time_ms: u64,
    /// A client that takes nothing for this long is disconnected.
    pub write_time_ms: u64,
    /// Largest payload of a telemetry message; a larger one disconnects its publisher.
    pub payload_bytes_max: usize,
    /// Unacknowledged messages that a client may have sent (MQTT 5 Receive Maximum); more disconnect it.
    pub receive_max: u16,
    /// Unacknowledged messages that are sent to a subscriber; further ones wait.
    pub inflight_max: u16,
    /// Bytes of messages held for an MQTT 3.1.1 client while the spool is full; more disconnect it.
    pub held_bytes_max: usize,
    /// Subscriptions of one client; further ones are refused.
    pub subscriptions_max: usize,
    /// Distinct topic filters over the gateway's life; further ones are refused.
    pub filters_max: usize,
    /// Distinct topics that are copied to subscribers over the gateway's life; further ones are stored but not copied.
    pub live_topics_max: usize,
    /// Retained messages; further ones are delivered but not kept.
    pub retained_max: usize,
    /// Bytes of retained messages; further ones are delivered but not kept.
    pub retained_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connect_time_ms: 5_000,
            write_time_ms: 10_000,
            payload_bytes_max: 1_000_000,
            receive_max: 1024,
            inflight_max: 100,
            held_bytes_max: 1 << 20,
            subscriptions_max: 256,
            filters_max: 10_000,
            live_topics_max: 50_000,
            retained_max: 50_000,
            retained_bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    /// Largest MQTT packet: a whole frame of an agent, or the largest telemetry message.
    pub(crate) fn packet_bytes_max(&self) -> usize {
        FRAME_MAX.max(self.payload_bytes_max)
            + FRAME_OVERHEAD
            + 2 * NAME_MAX
            + TOPIC_BYTES_MAX
            + (64 << 10)
    }
}

/// A setting that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[gateway] {0}")]
pub struct ConfigError(String);

impl GatewayConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(&self) -> Result<ControlTopics, ConfigError> {
        self.spool.check().map_err(ConfigError)?;
        let overhead = PREFIX_LEN + FIXED_LEN + TOPIC_BYTES_MAX + 1024;
        if self.limits.payload_bytes_max > MESSAGE_MAX - overhead {
            let most = MESSAGE_MAX - overhead;
            return Err(ConfigError(format!(
                "limits.payload_bytes_max must be at most {most}: frames carry no more"
            )));
        }
        if self.limits.receive_max == 0 || self.limits.inflight_max == 0 {
            return Err(ConfigError(
                "limits.receive_max and limits.inflight_max must be at least 1".into(),
            ));
        }
        ControlTopics::new(&self.control_prefix)
            .map_err(|error| ConfigError(format!("control_prefix: {error}")))
    }
}
