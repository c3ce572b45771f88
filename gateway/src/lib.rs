//! The gateway: an MQTT server that stores telemetry, then acknowledges it, then forwards it to the lake.
//!
//! Reads left to right like its data: `listener` → `connection` (socket) → `inbox` (batches, acknowledgements) → spool →
//! uplink → `transport` → `bus` → `connection` of whoever subscribed, ingest for one.

#[expect(dead_code, reason = "the connection calls it once its sessions are on disk")]
pub mod access;
mod bus;
pub mod config;
mod connection;
mod gateway;
mod inbox;
#[expect(dead_code, reason = "the connection calls it once its sessions are on disk")]
pub mod listener;
mod metrics;
mod mqtt;
mod retained;
mod session;
mod subscriptions;
mod transport;

pub use config::{GatewayConfig, Limits};
pub use gateway::Gateway;
