//! Throughput of the path against its limits and its peers.
fn main() {}
