//! Plays devices and EHR systems over MQTT, keeps the journal of what it sent, and audits the lake against it.
#![warn(missing_docs)]

pub mod audit;
pub mod canonical;
pub mod config;
pub mod device;
pub mod disorder;
pub mod families;
pub mod faults;
pub mod fingerprint;
pub mod journal;
pub mod latency;
pub mod left_out;
pub mod message;
pub mod plan;
pub mod played;
pub mod progress;
mod publisher;
pub mod seeded;
pub mod simulation;
pub mod truth;
pub mod world;

pub use audit::{Audit, AuditReport, LakeRow, Position, Unproven};
pub use config::{Config, ReplayForm};
pub use left_out::{LeftOut, Unusable};
pub use plan::{Recording, Tables};
pub use progress::{NothingDone, Progress, SetAside, Summary};
pub use publisher::{Dial, Socket, Tcp};
pub use simulation::Simulation;
