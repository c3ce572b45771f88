//! What is true of the simulated ward: which device a scenario shows on, from when to when. For measuring alerts.

use serde::{Deserialize, Serialize};

/// One scenario on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The device's site.
    pub site: String,
    /// The device on which it shows.
    pub device_id: String,
    /// `sepsis`, `respiratory_failure` or `fridge_failure`.
    pub scenario: String,
    /// When it began, Unix microseconds; of a patient who came with it, when they came.
    pub onset_us: i64,
    /// When it was treated, and is on its way back from then on.
    pub treated_us: Option<i64>,
    /// When it was over, or nothing of it could be seen any more.
    pub until_us: i64,
}
