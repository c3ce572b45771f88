//! Which parts of a process can do their work: what `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::{Response, StatusCode};

/// Whether each part of a process can do its work, by name.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
}

impl Readiness {
    /// Says how a part is: `Ok` when it can work, else why not.
    pub fn set(&self, part: &'static str, state: Result<(), String>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, state);
    }

    /// Tells whether every part can work.
    pub fn is_ready(&self) -> bool {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).values().all(Result::is_ok)
    }

    /// Every part, and whether it can work.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, bool)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(part, state)| (*part, state.is_ok())).collect()
    }

    /// The parts that cannot work, and why.
    #[must_use]
    pub fn troubles(&self) -> Vec<(&'static str, String)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let troubled = parts.iter().filter_map(|(part, state)| Some((*part, state.clone().err()?)));
        troubled.collect()
    }

    pub(crate) fn response(&self) -> Response {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: String = parts
            .iter()
            .map(|(part, state)| match state {
                Ok(()) => format!("{part}: ready\n"),
                Err(reason) => format!("{part}: {reason}\n"),
            })
            .collect();
        let ready = parts.values().all(Result::is_ok);
        Response::text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
    }
}
