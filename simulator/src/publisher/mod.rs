//! A small MQTT client that publishes with QoS 1 and knows, for every packet id, which message it is.
//!
//! Or, to an edge agent, by HTTP.
//!
//! `rumqttc`'s client loses unacknowledged messages when a session is not resumed and cannot tie an acknowledgement to
//! a message; its codec does neither harm.

mod connection;
mod dial;
mod http;
mod link;
mod mqtt;
mod poison;
mod receipts;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod watch;

pub use dial::{Dial, Socket, Tcp};

pub(crate) use connection::{Connection, Queued};
pub(crate) use dial::Tls;
pub(crate) use http::HttpConnection;
pub(crate) use mqtt::{Codec, Login};
pub(crate) use receipts::Tracker;
pub(crate) use shared::Shared;
pub(crate) use watch::watch;
