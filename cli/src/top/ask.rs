//! What is asked of a service, how often, and what it means when there is no answer. Nothing here asks.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answers::{Answer, Text};

/// A question to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    Overview,
    Sources,
    Devices,
    Topics,
    Alerts,
    DeadLetters,
    Limits,
    Connections,
}

/// What somebody does to an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Acknowledge,
    /// For so long, as the API reads it.
    Silence(&'static str),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// Nobody answers there, or not in time.
    #[error("{0}")]
    Gone(String),
    /// It answers, and not with what was asked for.
    #[error("{status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says, with the remedy.
        said: String,
    },
    /// It is no answer of this API.
    #[error("not an answer of Tidemark's API: {0}")]
    Unread(String),
}

impl Problem {
    /// It is asked again after so long, if that is longer than usual: logins that fail are throttled, and looked at by somebody.
    pub(crate) fn rest(&self) -> Duration {
        match self {
            Self::Refused { status: 401 | 403 | 404, .. } => Duration::from_secs(60),
            Self::Refused { status: 429, .. } => Duration::from_secs(5),
            Self::Gone(_) | Self::Refused { .. } | Self::Unread(_) => Duration::ZERO,
        }
    }
}

impl Ask {
    /// Its path, with the query.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/api/v1/overview",
            Self::Sources => "/api/v1/sources",
            Self::Devices => "/api/v1/devices?limit=1000",
            Self::Topics => "/api/v1/topics?limit=1000",
            Self::Alerts => "/api/v1/alerts?limit=1000",
            Self::DeadLetters => "/api/v1/dead-letters",
            Self::Limits => "/api/v1/limits",
            Self::Connections => "/api/v1/connections?limit=1000",
        }
    }

    /// It is not asked more often than so, since it makes work for the lake.
    pub(crate) fn seldom(self) -> Duration {
        match self {
            Self::Sources => Duration::from_secs(5),
            Self::DeadLetters => Duration::from_secs(10),
            _ => Duration::ZERO,
        }
    }

    /// How long an answer may take: questions to the lake wait for others.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::Overview | Self::Sources | Self::DeadLetters => Duration::from_secs(25),
            _ => Duration::from_secs(5),
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// It refuses, or is none.
    pub(crate) fn read(self, status: u16, body: &[u8]) -> Result<Answer, Problem> {
        accepted(status, body)?;
        match self {
            Self::Overview => parsed(body).map(Box::new).map(Answer::Overview),
            Self::Sources => parsed(body).map(Answer::Sources),
            Self::Devices => parsed(body).map(Answer::Devices),
            Self::Topics => parsed(body).map(Answer::Topics),
            Self::Alerts => parsed(body).map(Answer::Alerts),
            Self::DeadLetters => parsed(body).map(Answer::DeadLetters),
            Self::Limits => parsed(body).map(Answer::Limits),
            Self::Connections => parsed(body).map(Answer::Connections),
        }
    }
}

impl Act {
    /// Path and body; none if that is no id of an alert.
    pub(crate) fn request(&self, alert: &str) -> Option<(String, String)> {
        let is_id = alert.len() == 32 && alert.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (what, body) = match self {
            Self::Acknowledge => ("acknowledge", "{}".to_owned()),
            Self::Silence(span) => ("silence", format!("{{\"for\": \"{span}\"}}")),
        };
        is_id.then(|| (format!("/api/v1/alerts/{alert}/{what}"), body))
    }
}

/// Whether it was done.
///
/// # Errors
/// It refuses.
pub(crate) fn accepted(status: u16, body: &[u8]) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Said {
        error: Text,
    }
    if status == 200 {
        return Ok(());
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.error.to_string());
    Err(Problem::Refused { status, said: said.unwrap_or_else(|_| "it says no reason".into()) })
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Its words may have parts of what was sent.
    serde_json::from_slice(body).map_err(|error| {
        Problem::Unread(format!("line {}, column {}", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_service_says() {
        let refused = Ask::Limits.read(403, br#"{"error":"the role may not\u001b[2J"}"#);
        let problem = refused.unwrap_err();
        assert_eq!(problem.to_string(), "403: the role may not\\x1b[2J");
        assert_eq!(problem.rest(), Duration::from_secs(60));
        let bare = Ask::Limits.read(421, b"foreign host\n").unwrap_err();
        assert_eq!(bare.to_string(), "421: it says no reason");
        assert!(matches!(Ask::Limits.read(200, b"<html>"), Err(Problem::Unread(_))));
    }

    #[test]
    fn only_ids_of_alerts_become_paths() {
        let id = "0123456789abcdef0123456789abcdef";
        let (path, body) = Act::Silence("2h").request(id).unwrap();
        assert_eq!(
            (path, body),
            (format!("/api/v1/alerts/{id}/silence"), r#"{"for": "2h"}"#.into())
        );
        for bad in ["", "../../config", "0123456789abcdef0123456789abcdeg", "a b"] {
            assert_eq!(Act::Acknowledge.request(bad), None);
        }
    }
}
