//! Who gets in and what they may do, over real sockets: certificates, passwords, tokens, rules, and changes of all of them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: runs event loops of its own"
)]

mod authority;
mod changes;
mod harness;
mod parked;
mod proofs;
mod rules;
mod shares;
