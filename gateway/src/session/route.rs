//! Where a published message goes: to the spool, to subscribers only, or past whoever is there.

use telemetry_core::topic::ControlTopics;

/// The kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Telemetry: stored, acknowledged after the sync, landed in the lake; subscribers get a live copy.
    Spool,
    /// Commands, and what bridges say below `$SYS`: delivered to subscribers, and kept for those who are away.
    Live,
    /// Frames, receipts and status: to whoever is there; what is missed is sent again.
    Control,
}

/// Decides by topic. Everything that is not known to be something else is telemetry, so that nothing a device sends is lost
/// silently: an unknown topic ends as a dead letter in the lake.
pub(crate) fn route(topics: &ControlTopics, topic: &str) -> Route {
    if topics.owns(topic) {
        Route::Control
    } else if topic.starts_with("cmd/") || topic.starts_with('$') {
        Route::Live
    } else {
        Route::Spool
    }
}

/// Whether messages on a topic are telemetry: stored, and landed in the lake. Others are delivered only.
#[must_use]
pub fn is_telemetry(topics: &ControlTopics, topic: &str) -> bool {
    route(topics, topic) == Route::Spool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_traffic_and_commands_stay_out_of_the_spool() {
        let topics = ControlTopics::default();
        for topic in ["dt/ward/mon-1/readings", "spBv1.0/g/DDATA/n", "anything", "cmd"] {
            assert_eq!(route(&topics, topic), Route::Spool, "{topic}");
            assert!(is_telemetry(&topics, topic), "{topic}");
        }
        for topic in ["tm/v1/up/3/agent", "tm/v1/receipt/a/b"] {
            assert_eq!(route(&topics, topic), Route::Control, "{topic}");
        }
        assert_eq!(route(&topics, "cmd/ward/pump-1/rate"), Route::Live);
        assert!(!is_telemetry(&topics, "cmd/ward/pump-1/rate"));
    }
}
