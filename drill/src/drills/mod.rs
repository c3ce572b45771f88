//! The drills: each plays its load, does its harm, and proves that the harm was felt.

pub(crate) mod alerts;
pub(crate) mod churn;
pub(crate) mod clock;
pub(crate) mod crash;
pub(crate) mod disk;
pub(crate) mod families;
pub(crate) mod grow;
pub(crate) mod kills;
pub(crate) mod lakes;
pub(crate) mod network;
pub(crate) mod outage;
pub(crate) mod rogues;
pub(crate) mod store;
pub(crate) mod upkeep;
pub(crate) mod workers;
