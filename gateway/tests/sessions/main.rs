//! What a client may rely on, over real sockets with a real client library (rumqttc, both protocol versions).
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: runs event loops of its own"
)]

#[path = "../wire/free_address.rs"]
mod free_address;

mod durable;
mod fork;
mod full_disk;
mod harness;
mod limits;
mod loss;
mod telemetry;
mod told;
mod v311;
mod v5;
