//! Roles, and what each may.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose role somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Runs the service: everything but patients.
    Operator,
    /// Reads the lake.
    Analyst,
    /// Looks after patients.
    Clinician,
}

/// Something that a role may or may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See devices, their values and series, and sources.
    Devices,
    /// See alerts.
    Alerts,
    /// Acknowledge and silence them.
    Act,
    /// See landings, tables, topics and how many dead letters there are.
    Lake,
    /// See dead letters, and try them again.
    DeadLetters,
    /// See who is connected, who was refused, and limits.
    Connections,
    /// See the configuration.
    Config,
    /// See what speaks of patients.
    Patients,
}

impl Role {
    /// What it may.
    #[must_use]
    pub fn rights(self) -> &'static [Right] {
        use Right::{Act, Alerts, Config, Connections, DeadLetters, Devices, Lake, Patients};
        match self {
            Self::Admin => {
                &[Devices, Alerts, Act, Lake, DeadLetters, Connections, Config, Patients]
            }
            Self::Operator => &[Devices, Alerts, Act, Lake, DeadLetters, Connections, Config],
            Self::Analyst => &[Devices, Lake],
            Self::Clinician => &[Devices, Alerts, Act, Patients],
        }
    }
}
