//! How a process reaches an MQTT broker as a client, and whether it hears there what it asked for.
//!
//! One place for address, login and TLS, and for what a broker's refusal means: used by the agent, ingest and `tidemark wait`.
//! The loops stay with them, because they want different things of a lost connection.
#![warn(missing_docs)]

mod broker;
mod cuts;
pub mod ends;
mod lost;
mod standing;
mod trouble;
mod validity;

pub use broker::{Broker, BrokerError};
pub use cuts::Cuts;
pub use lost::forget_connection;
pub use standing::{LinkMetrics, Standing};
pub use trouble::Trouble;
