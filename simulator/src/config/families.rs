//! Devices that publish as those of other makers do.

use serde::{Deserialize, Serialize};

use super::{ConfigError, bounds};

/// Devices of the families that `tidemark profiles` lists. Their messages are for the rules of [`crate::families::RULES`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Families {
    /// Devices of each family, at most 1000; 0 plays none.
    pub each: u32,
    /// Simulated seconds between two messages of a device, 0.001 to 86400.
    pub interval_s: f64,
}

impl Default for Families {
    /// None.
    fn default() -> Self {
        Self { each: 0, interval_s: 10.0 }
    }
}

impl Families {
    /// Whether there are any.
    #[must_use]
    pub fn play(&self) -> bool {
        self.each > 0
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self { each, interval_s } = *self;
        bounds("families.each", f64::from(each), each <= 1_000, "at most 1000")?;
        let inside = (0.001..=86_400.0).contains(&interval_s);
        bounds("families.interval_s", interval_s, inside, "between 0.001 and 86400")
    }
}
