//! The landing protocol under every interleaving: on the real code, and as a model of it.

mod archive_model;
mod explore;
mod gate;
mod model;
mod states;
mod upkeep;
mod upkeep_model;
