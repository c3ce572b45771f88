//! What it means when a broker does not let us hear what we asked for, and what to do about it.

use rumqttc::{ConnectReturnCode, ConnectionError, SubAck, SubscribeReasonCode};
use service_runtime::Group;

/// Why a connection brings nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The broker cannot be reached, or cuts the connection.
    #[error("not connected: {cause}")]
    Unreachable {
        /// The client's words.
        cause: String,
    },
    /// The broker knows us and lets us not in.
    #[error(
        "refused, {reason}: check username, password_file, certificates and the client id's rights"
    )]
    Login {
        /// The broker's reason.
        reason: &'static str,
    },
    /// The broker will not serve us now.
    #[error("refused, {reason}")]
    Refused {
        /// The broker's reason.
        reason: &'static str,
    },
    /// The broker does not let us hear topics.
    #[error(
        "the broker refuses the subscription to {filters}: give this user the right to subscribe there"
    )]
    Subscription {
        /// The topic filters, with commas between.
        filters: String,
    },
    /// The broker has forgotten the session, and what waited in it.
    #[error(
        "the broker has forgotten our session: what was published while we were away is lost there; does it keep sessions over a restart, and long enough?"
    )]
    Session,
    /// The connection is cut whenever the same packet is sent.
    #[error(
        "cut {times} times in a row while a packet of {bytes} bytes was sent: does the broker take packets of that size?"
    )]
    Cut {
        /// Bytes of the packet.
        bytes: usize,
        /// How often.
        times: u32,
    },
}

impl Trouble {
    /// All reasons.
    pub(crate) const REASONS: [&'static str; 6] =
        ["unreachable", "login_refused", "refused", "subscription_refused", "session_lost", "cut"];

    /// The reason as metrics have it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Login { .. } => "login_refused",
            Self::Refused { .. } => "refused",
            Self::Subscription { .. } => "subscription_refused",
            Self::Session => "session_lost",
            Self::Cut { .. } => "cut",
        }
    }

    /// The group that `/status` counts it in.
    pub(crate) fn group(&self) -> Group {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } => Group::Disconnected,
            Self::Login { .. } | Self::Refused { .. } | Self::Subscription { .. } => Group::Refused,
            Self::Session => Group::Dropped,
        }
    }

    /// What a lost or refused connection means.
    #[must_use]
    pub fn of(error: &ConnectionError) -> Self {
        let ConnectionError::ConnectionRefused(code) = error else {
            return Self::Unreachable { cause: error.to_string() };
        };
        match code {
            ConnectReturnCode::BadUserNamePassword => {
                Self::Login { reason: "bad user name or password" }
            }
            ConnectReturnCode::NotAuthorized => Self::Login { reason: "not authorized" },
            ConnectReturnCode::BadClientId => Self::Login { reason: "bad client id" },
            ConnectReturnCode::ServiceUnavailable => Self::Refused { reason: "not available" },
            ConnectReturnCode::RefusedProtocolVersion => {
                Self::Refused { reason: "it does not speak MQTT 3.1.1" }
            }
            ConnectReturnCode::Success => Self::Refused { reason: "for no reason" },
        }
    }

    /// What the answer to a subscription to `filters` means, if they were not all granted.
    #[must_use]
    pub fn refused(filters: &[String], answer: &SubAck) -> Option<Self> {
        let granted = |at: usize| {
            matches!(answer.return_codes.get(at), Some(SubscribeReasonCode::Success(_)))
        };
        let refused = filters.iter().enumerate().filter(|(at, _)| !granted(*at));
        let refused: Vec<&str> = refused.map(|(_, filter)| filter.as_str()).collect();
        (!refused.is_empty()).then(|| Self::Subscription { filters: refused.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;

    use super::*;

    #[test]
    fn inv12_a_filter_that_is_not_granted_is_named() {
        let filters = ["dt/#".to_owned(), "x/#".to_owned()];
        let (granted, no) =
            (SubscribeReasonCode::Success(QoS::AtLeastOnce), SubscribeReasonCode::Failure);
        let answer = |codes: &[SubscribeReasonCode]| SubAck::new(1, codes.to_vec());
        assert_eq!(Trouble::refused(&filters, &answer(&[granted, granted])), None);
        let named = |codes: &[_]| Trouble::refused(&filters, &answer(codes)).unwrap().to_string();
        assert!(named(&[granted, no]).contains("to x/#:"));
        assert!(named(&[no, no]).contains("to dt/#, x/#:"));
        assert!(
            named(&[granted]).contains("to x/#:"),
            "an answer that is too short grants nothing"
        );
    }

    #[test]
    fn a_refused_login_says_what_to_check() {
        let refused = |code| Trouble::of(&ConnectionError::ConnectionRefused(code));
        let bad = refused(ConnectReturnCode::BadUserNamePassword);
        assert_eq!(bad.reason(), "login_refused");
        assert!(bad.to_string().contains("password_file"), "{bad}");
        assert_eq!(refused(ConnectReturnCode::ServiceUnavailable).reason(), "refused");
        assert_eq!(Trouble::of(&ConnectionError::NetworkTimeout).reason(), "unreachable");
    }
}
