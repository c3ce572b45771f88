//! What a client could try that means harm, and what other brokers died of: after each attempt a neighbour must still be served.
//!
//! T1 to T31 are the numbers of ways to bring down rumqttd 0.20 that were found when this gateway was begun. The numbers of tries are
//! small enough for a debug build; `TIDEMARK_ATTACKS=long` multiplies those of `memory` by 20.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: runs gateways of its own"
)]

#[expect(dead_code, unused_imports, reason = "other tests use all of it")]
#[path = "../wire/mod.rs"]
mod wire;

mod broken;
mod known;
mod memory;
mod neighbour;
mod process;
mod sequences;
mod slow;
mod texts;
