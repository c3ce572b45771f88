//! Which scenarios a ward has played.

use crate::config::Config;
use crate::message::Run;
use crate::truth::Truth;
use crate::world::World;

/// The scenarios of a ward, from its start for so many simulated microseconds. The same configuration plays the same.
#[must_use]
pub fn truths(config: &Config, played_us: i64) -> Vec<Truth> {
    if !config.plays_ward() {
        return Vec::new();
    }
    World::ward(config, Run::of_boot(1), 0).truths(played_us)
}
