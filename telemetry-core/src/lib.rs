//! Ids, formats and decisions of the pipeline: everything that can be decided without I/O.
//!
//! Nothing here reads a clock, a file or the network. Time (`now`) and randomness are arguments, decisions are
//! return values; the services own the loops around them.
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]

pub mod backoff;
pub mod catalog;
pub mod delivery;
pub mod frame;
pub mod id;
pub mod lane;
pub mod presence;
pub mod receipt;
pub mod spool;
pub mod topic;

mod wire;
