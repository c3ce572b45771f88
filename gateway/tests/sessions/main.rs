//! What a client may rely on, over real sockets with a real client library (rumqttc, both protocol versions).
#![expect(clippy::disallowed_methods, reason = "tests run event loops of their own")]

mod harness;
mod telemetry;
mod v311;
mod v5;
