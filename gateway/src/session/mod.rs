//! The state of one client's session, without its socket: what it is owed, what it is being sent, where its messages go.

mod acks;
mod outbox;
mod registry;
mod route;

pub(crate) use acks::{Acks, Owed};
pub(crate) use outbox::Outbox;
pub(crate) use registry::{Registry, Seat};
pub(crate) use route::{Route, route};
