//! What MQTT 3.1.1 and 5 promise, as bytes over real sockets: no client library stands in between. See docs/mqtt.md.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: runs gateways of its own"
)]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../wire/mod.rs"]
mod wire;

mod connecting;
mod flow;
mod messages;
mod qos_in;
mod qos_out;
mod retained;
mod sessions;
mod shared;
mod statements;
mod subscriptions;
mod takeover;
mod wills;
