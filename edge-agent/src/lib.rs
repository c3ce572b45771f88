//! The edge agent: takes messages in, keeps them on disk, and forwards them whenever the network lets it.
//!
//! Inputs (`inputs/`) → spool → uplink (`uplink_mqtt`). It moves bytes: what they mean is decided at ingest.

mod agent;
pub mod config;
mod inputs;
mod uplink_mqtt;

pub use agent::Agent;
pub use config::AgentConfig;
