//! Other brokers that connect as bridges: the topic below `$SYS` where each says whether it is connected.
//!
//! mosquitto publishes `1` there, retained, when its bridge is up, and leaves `0` as its will; EMQX and NanoMQ do not. The topic ends
//! with the bridge's client id, which is how the gateway knows whose it is: nobody else may publish to it, and nobody at all
//! anywhere else below `$`.

/// Longest state: `0` or `1`, with room for a word.
const STATE_BYTES_MAX: usize = 32;

/// Tells whether a topic is where the bridge with this client id publishes its state, and the payload can be one.
pub(crate) fn is_state_of(client_id: &str, topic: &str, payload: &[u8]) -> bool {
    let rest = topic.strip_prefix("$SYS/broker/connection/");
    let name = rest.and_then(|rest| rest.strip_suffix("/state"));
    let plain = !client_id.is_empty() && !client_id.contains(['+', '#']);
    plain && name == Some(client_id) && payload.len() <= STATE_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_has_one_topic_below_sys_and_nobody_else_has_it() {
        let topic = "$SYS/broker/connection/hall.ward/state";
        assert!(is_state_of("hall.ward", topic, b"1") && is_state_of("hall.ward", topic, b""));
        for (client_id, topic) in [
            ("other", topic),
            ("", "$SYS/broker/connection//state"),
            ("hall.ward", "$SYS/broker/connection/hall.ward/state/x"),
            ("hall.ward", "$SYS/broker/connection/hall.ward"),
            ("hall.ward", "$SYS/broker/version"),
            ("+", "$SYS/broker/connection/+/state"),
            ("hall.ward", "SYS/broker/connection/hall.ward/state"),
        ] {
            assert!(!is_state_of(client_id, topic, b"1"), "{client_id} {topic}");
        }
        assert!(!is_state_of("hall.ward", topic, &[b'1'; 33]));
    }
}
