//! Where a published message goes: to the spool, or over the bus only.

use telemetry_core::topic::ControlTopics;

/// The two kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Telemetry: stored, acknowledged after the sync, landed in the lake; subscribers get a live copy.
    Spool,
    /// Frames, receipts, status and commands: handed to subscribers, never stored here.
    Bus,
}

/// Decides by topic. Everything that is not known to be control traffic is telemetry, so that nothing a device sends is
/// lost silently: an unknown topic ends as a dead letter in the lake.
pub(crate) fn route(topics: &ControlTopics, topic: &str) -> Route {
    if topic.starts_with("cmd/") || topics.owns(topic) { Route::Bus } else { Route::Spool }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_traffic_stays_out_of_the_spool() {
        let topics = ControlTopics::default();
        for topic in ["dt/ward/mon-1/readings", "spBv1.0/g/DDATA/n", "anything", "cmd"] {
            assert_eq!(route(&topics, topic), Route::Spool, "{topic}");
        }
        for topic in ["tm/v1/up/3/agent", "tm/v1/receipt/a/b", "cmd/ward/pump-1/rate"] {
            assert_eq!(route(&topics, topic), Route::Bus, "{topic}");
        }
    }
}
