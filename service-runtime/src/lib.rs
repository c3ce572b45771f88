//! What every process needs to run, and nothing about telemetry: configuration, logging, metrics, admin HTTP, named tasks,
//! signals and the one clock.
#![warn(missing_docs)]

pub mod admin;
pub mod answer;
pub mod application;
pub mod arenas;
mod boxed;
pub mod clock;
pub mod config;
pub mod counts;
pub mod disk_room;
pub mod facts;
pub mod files;
pub mod hosts;
pub mod http;
pub mod logging;
pub mod metrics;
mod places;
mod readiness;
pub mod refusals;
pub mod repeats;
pub mod runtime;
pub mod signals;
pub mod tasks;
mod vitals;

pub use boxed::Boxed;
pub use clock::Clock;
pub use counts::{Counts, Group};
pub use hosts::Hosts;
pub use metrics::Metrics;
pub use repeats::Repeats;
pub use tasks::{Stop, Tasks};
