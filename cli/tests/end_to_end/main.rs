//! The whole path with real processes, judged by the simulator's journal.
#![expect(clippy::unwrap_used, reason = "test code")]

mod agent;
mod alerts;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod arenas;
mod backlog;
mod check;
mod crash;
mod crash_points;
mod crash_upkeep;
mod demo;
mod families;
mod harness;
mod lost;
mod mapping;
mod metrics;
mod other_broker;
mod payloads;
mod proofs;
mod refused;
mod replayed;
mod retained;
mod terminal;
mod traces;
