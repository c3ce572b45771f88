//! MQTT on the wire without a client library: packets as bytes, a client that shows all of them, a gateway to talk to.

pub(crate) mod build;
pub(crate) mod client;
pub(crate) mod free_address;
pub(crate) mod gateway;
pub(crate) mod packet;
pub(crate) mod property;

pub(crate) use build::{Connect, Publish, Subscribe, Will};
pub(crate) use client::Client;
pub(crate) use gateway::TestGateway;
pub(crate) use packet::{Message, Packet};

/// Longest that anything may take.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V311,
    V5,
}

pub(crate) const BOTH: [Version; 2] = [Version::V311, Version::V5];
