//! Things that go wrong on purpose, from outside: proxies that stand where a network or an object store is.

pub mod s3;
mod s3_listing;
pub mod tcp;
