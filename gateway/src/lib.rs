//! The gateway: an MQTT server that stores telemetry, then acknowledges it, then forwards it to the lake.
//!
//! Reads left to right like its data: `listener` → `connection` (socket, and what `access` allows) → `inbox` (batches, acknowledgements) → spool →
//! uplink → `transport` → `fanout` → `connection` of ingest. What devices and dashboards subscribe to goes `inbox` → `fanout` →
//! mailbox of a `session` → its `connection`.

pub mod access;
pub mod admin;
mod bridge;
pub mod config;
mod connection;
mod entrance;
mod exchanges;
mod fanout;
mod fullness;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod inbox;
mod insight;
mod letter;
mod limits;
pub mod listener;
mod message;
mod metrics;
mod mqtt;
mod notices;
mod parked;
mod rate;
pub mod rehearsal;
mod retained;
mod session;
mod shared;
mod shares;
mod store;
mod sys;
mod testament;
mod traced;
mod transport;
mod will;

pub use config::GatewayConfig;
pub use gateway::Gateway;
pub use insight::{Connection, Insight, LimitUse};
pub use limits::Limits;
pub use session::is_telemetry;
