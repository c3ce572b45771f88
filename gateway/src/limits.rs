//! The limits on clients, each with its effect beside it.

use serde::{Deserialize, Serialize};
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::id::NAME_MAX;
use telemetry_core::topic::TOPIC_BYTES_MAX;

use crate::fanout::MailboxLimits;
use crate::session::SessionLimits;
use crate::shares::Shares;

/// Connections of one address where others than this machine can connect, unless the settings say another number.
const CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// Percent of each total that one identity may have there.
const IDENTITY_SHARE_PERCENT: u8 = 10;
/// Messages a second of one identity there.
const PUBLISH_RATE: u32 = 1_000;

/// The `[gateway.limits]` table. Each limit's effect stands beside it. 0 is no limit where it says so, and refused elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most connections; further ones are closed at once.
    pub connections_max: usize,
    /// Most connections of one address (an IPv6 /64 counts as one); further ones are closed at once. 0: no limit. Not set: 1,000 if
    /// a listener is off loopback, else no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_address_max: Option<usize>,
    /// A client has this long for its handshakes and its CONNECT; then it is disconnected.
    pub connect_time_ms: u64,
    /// A client that takes nothing for this long is disconnected.
    pub write_time_ms: u64,
    /// Longest keep-alive in seconds; MQTT 5 clients that ask for more, or for none, are told this one. 0: no limit.
    pub keep_alive_s_max: u16,
    /// Largest packet of a message, which MQTT 5 clients are told in their CONNACK; a larger one disconnects its publisher, and the log
    /// says whose it was.
    #[serde(alias = "payload_bytes_max")]
    pub packet_bytes_max: usize,
    /// Bytes of packets larger than 128 KiB that are being received, of all clients together; who sends beyond it is disconnected.
    pub receiving_bytes_max: usize,
    /// Most levels of a topic or a filter; a topic with more is refused, a filter as well.
    pub topic_levels_max: usize,
    /// Topic aliases that a client may use (MQTT 5 Topic Alias Maximum); a higher one disconnects it.
    pub topic_alias_max: u16,
    /// Messages a second of one identity, over all its connections (of one client id, if anonymous); beyond it the gateway reads
    /// slower. 0: no limit. Not set: 1,000 if a listener is off loopback, else no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_rate_max: Option<u32>,
    /// Bytes a second of one identity; as above, and no limit if not set.
    pub publish_bytes_rate_max: u64,
    /// Unacknowledged messages that a client may have sent (MQTT 5 Receive Maximum); more disconnect it.
    pub receive_max: u16,
    /// Unacknowledged messages that are sent to a subscriber; further ones wait.
    pub inflight_max: u16,
    /// Bytes of messages held for an MQTT 3.1.1 client while the spool is full; more disconnect it.
    pub held_bytes_max: usize,
    /// Most of each of the totals below that one identity may have, in percent: sessions, bytes of subscriptions, bytes that wait in
    /// queues, retained messages and their bytes. Beyond it, it is treated as if the total were reached. Whoever is anonymous is one
    /// identity. Not set: 10 if a listener is off loopback, else 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_share_percent: Option<u8>,
    /// Subscriptions of one client; further ones are refused.
    pub subscriptions_max: usize,
    /// Memory for the subscriptions of all sessions, as estimated from their levels and lengths; further ones are refused.
    pub subscriptions_bytes_max: usize,
    /// Sessions, connected or not; clients that want to leave one behind are refused beyond it.
    pub sessions_max: usize,
    /// Longest time in seconds that a session outlives its connection; MQTT 5 clients that ask for more are told.
    pub session_expiry_s_max: u32,
    /// Messages that wait for one session; further ones are dropped for it, and counted.
    pub queue_messages_max: usize,
    /// Bytes of messages that wait for one session; further ones are dropped for it, and counted.
    pub queue_bytes_max: usize,
    /// Bytes of messages that wait for all sessions together, or are sent and not acknowledged; further ones are dropped, and counted.
    /// The first 4 KiB of each session wait all the same.
    pub queues_bytes_max: usize,
    /// Retained messages; further ones are delivered but not kept.
    pub retained_max: usize,
    /// Bytes of retained messages; further ones are delivered but not kept.
    pub retained_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: None,
            connect_time_ms: 5_000,
            write_time_ms: 10_000,
            keep_alive_s_max: 3_600,
            packet_bytes_max: 8_000_000,
            receiving_bytes_max: 256 << 20,
            topic_levels_max: 32,
            topic_alias_max: 32,
            publish_rate_max: None,
            publish_bytes_rate_max: 0,
            receive_max: u16::MAX,
            inflight_max: 100,
            held_bytes_max: 1 << 20,
            identity_share_percent: None,
            subscriptions_max: 256,
            subscriptions_bytes_max: 256 << 20,
            sessions_max: 50_000,
            session_expiry_s_max: 7 * 24 * 3_600,
            queue_messages_max: 10_000,
            queue_bytes_max: 16 << 20,
            queues_bytes_max: 256 << 20,
            retained_max: 50_000,
            retained_bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    /// Checks that no limit is 0 that has no meaning then.
    pub(crate) fn check(&self) -> Result<(), String> {
        let at_least_1 = [
            ("connections_max", self.connections_max == 0),
            ("connect_time_ms", self.connect_time_ms == 0),
            ("write_time_ms", self.write_time_ms == 0),
            ("packet_bytes_max", self.packet_bytes_max == 0),
            ("receiving_bytes_max", self.receiving_bytes_max == 0),
            ("topic_levels_max", self.topic_levels_max == 0),
            ("topic_alias_max", self.topic_alias_max == 0),
            ("receive_max", self.receive_max == 0),
            ("inflight_max", self.inflight_max == 0),
            ("held_bytes_max", self.held_bytes_max == 0),
            ("identity_share_percent", self.identity_share_percent == Some(0)),
            ("subscriptions_max", self.subscriptions_max == 0),
            ("subscriptions_bytes_max", self.subscriptions_bytes_max == 0),
            ("sessions_max", self.sessions_max == 0),
            ("session_expiry_s_max", self.session_expiry_s_max == 0),
            ("queue_messages_max", self.queue_messages_max == 0),
            ("queue_bytes_max", self.queue_bytes_max == 0),
            ("queues_bytes_max", self.queues_bytes_max == 0),
            ("retained_max", self.retained_max == 0),
            ("retained_bytes_max", self.retained_bytes_max == 0),
        ];
        match at_least_1.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(format!("limits.{name} must be at least 1")),
            None if self.identity_share_percent.is_some_and(|percent| percent > 100) => {
                Err("limits.identity_share_percent must be at most 100".into())
            }
            None => Ok(()),
        }
    }

    /// Fills in what is not set: limits where others than this machine can connect, none where they cannot.
    #[must_use]
    pub(crate) fn in_force(mut self, others_can_connect: bool) -> Self {
        let (connections, rate, share) = match others_can_connect {
            true => (CONNECTIONS_PER_ADDRESS, PUBLISH_RATE, IDENTITY_SHARE_PERCENT),
            false => (0, 0, 100),
        };
        self.identity_share_percent.get_or_insert(share);
        self.connections_per_address_max.get_or_insert(connections);
        self.publish_rate_max.get_or_insert(rate);
        self
    }

    /// Largest packet that is read: a whole frame of an agent, or the largest message.
    pub(crate) fn read_bytes_max(&self) -> usize {
        self.packet_bytes_max.max(FRAME_MAX + FRAME_OVERHEAD + 2 * NAME_MAX + TOPIC_BYTES_MAX)
    }

    /// The limits of the queues and subscriptions of sessions.
    pub(crate) fn of_sessions(&self) -> SessionLimits {
        let (messages_max, bytes_max) = (self.queue_messages_max, self.queue_bytes_max);
        let all = self.share(self.queues_bytes_max);
        SessionLimits {
            mailbox: MailboxLimits::sharing(messages_max, bytes_max, all),
            subscriptions: self.share(self.subscriptions_bytes_max),
        }
    }

    /// Shares a total among identities.
    pub(crate) fn share(&self, total_max: usize) -> Shares {
        Shares::new(total_max, self.identity_share_percent.unwrap_or(100))
    }

    /// Tells whether a topic or a filter has too many levels.
    pub(crate) fn too_deep(&self, topic: &str) -> bool {
        topic.bytes().filter(|byte| *byte == b'/').count() >= self.topic_levels_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_limit_or_refused() {
        let free = [
            "keep_alive_s_max",
            "publish_bytes_rate_max",
            "connections_per_address_max",
            "publish_rate_max",
        ];
        let defaults = toml::Table::try_from(Limits::default().in_force(true)).unwrap();
        for name in defaults.keys() {
            let mut changed = defaults.clone();
            changed.insert(name.clone(), toml::Value::Integer(0));
            let checked = changed.try_into::<Limits>().unwrap().check();
            assert_eq!(checked.is_ok(), free.contains(&&**name), "{name}: {checked:?}");
            assert!(checked.is_ok() || checked.unwrap_err().contains(name), "{name}");
        }
    }

    #[test]
    fn inv8_what_others_may_do_is_limited_unless_the_settings_say_otherwise() {
        let set = Limits { publish_rate_max: Some(0), ..Limits::default() };
        let open = set.clone().in_force(true);
        assert_eq!(
            (open.publish_rate_max, open.connections_per_address_max),
            (Some(0), Some(1_000))
        );
        let open = Limits::default().in_force(true);
        assert_eq!(open.publish_rate_max, Some(1_000));
        let here = Limits::default().in_force(false);
        assert_eq!((here.publish_rate_max, here.connections_per_address_max), (Some(0), Some(0)));
        assert_eq!(
            (open.identity_share_percent, here.identity_share_percent),
            (Some(10), Some(100))
        );
        let too_much = Limits { identity_share_percent: Some(101), ..Limits::default() };
        assert!(too_much.check().unwrap_err().contains("identity_share_percent"));
    }
}
