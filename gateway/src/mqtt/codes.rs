//! Reason codes: of connections, acknowledgements and subscriptions, in both versions.

/// Why a connection ends or is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Malformed,
    Protocol,
    UnsupportedVersion,
    NotAuthorized,
    BadLogin,
    BadClientId,
    BadAuthMethod,
    /// Its right to be here was withdrawn.
    Revoked,
    ServerBusy,
    ShuttingDown,
    Unavailable,
    KeepAlive,
    TakenOver,
    TopicInvalid,
    ReceiveMaximum,
    TopicAlias,
    PacketTooLarge,
    QuotaExceeded,
    /// Too many of its logins failed.
    FailedLogins,
    /// The client does not take what is sent to it.
    WriteTimeout,
    /// An operator ended its session.
    Administrative,
}

impl Reason {
    /// Returns the reason as it stands in metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_packet",
            Self::Protocol => "protocol_error",
            Self::UnsupportedVersion => "unsupported_version",
            Self::NotAuthorized => "not_authorized",
            Self::BadLogin => "bad_login",
            Self::BadClientId => "bad_client_id",
            Self::BadAuthMethod => "bad_authentication_method",
            Self::Revoked => "revoked",
            Self::ServerBusy => "server_busy",
            Self::ShuttingDown => "shutting_down",
            Self::Unavailable => "server_unavailable",
            Self::KeepAlive => "keep_alive_timeout",
            Self::TakenOver => "taken_over",
            Self::TopicInvalid => "topic_invalid",
            Self::ReceiveMaximum => "receive_maximum_exceeded",
            Self::TopicAlias => "topic_alias_invalid",
            Self::PacketTooLarge => "packet_too_large",
            Self::QuotaExceeded => "quota_exceeded",
            Self::FailedLogins => "failed_logins",
            Self::WriteTimeout => "write_timeout",
            Self::Administrative => "administrative_action",
        }
    }

    /// Returns the reason's own code in MQTT 5 (section 2.4).
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::WriteTimeout => 0x80,
            Self::Malformed => 0x81,
            Self::Protocol => 0x82,
            Self::UnsupportedVersion => 0x84,
            Self::BadClientId => 0x85,
            Self::BadLogin => 0x86,
            Self::NotAuthorized => 0x87,
            Self::Unavailable => 0x88,
            Self::ServerBusy => 0x89,
            Self::Revoked => 0x8a,
            Self::ShuttingDown => 0x8b,
            Self::BadAuthMethod => 0x8c,
            Self::KeepAlive => 0x8d,
            Self::TakenOver => 0x8e,
            Self::TopicInvalid => 0x90,
            Self::ReceiveMaximum => 0x93,
            Self::TopicAlias => 0x94,
            Self::PacketTooLarge => 0x95,
            Self::QuotaExceeded => 0x97,
            Self::Administrative => 0x98,
            Self::FailedLogins => 0x9f,
        }
    }

    /// Returns the code for a CONNACK of MQTT 5, which does not know all of them (table 3-1).
    pub(super) fn connack_code(self) -> u8 {
        match self {
            Self::ShuttingDown => Self::Unavailable.code(),
            Self::KeepAlive
            | Self::TakenOver
            | Self::ReceiveMaximum
            | Self::TopicAlias
            | Self::Administrative => 0x80,
            own => own.code(),
        }
    }

    /// Returns the code for a DISCONNECT of MQTT 5, which does not know all of them (table 3-10).
    pub(super) fn disconnect_code(self) -> u8 {
        match self {
            Self::BadLogin | Self::BadClientId | Self::Revoked => Self::NotAuthorized.code(),
            Self::BadAuthMethod | Self::UnsupportedVersion => Self::Protocol.code(),
            Self::Unavailable => Self::ServerBusy.code(),
            own => own.code(),
        }
    }

    /// Returns the code for a CONNACK of MQTT 3.1.1 (table 3.1).
    pub(super) fn return_code(self) -> u8 {
        match self {
            Self::UnsupportedVersion => 1,
            Self::BadClientId => 2,
            Self::BadLogin => 4,
            Self::NotAuthorized | Self::Revoked => 5,
            _ => 3,
        }
    }
}

/// What a PUBACK, PUBREC, PUBREL or PUBCOMP says. PUBREL and PUBCOMP take only the first and `PacketIdNotFound`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ack {
    Success,
    NoSubscribers,
    NotAuthorized,
    TopicInvalid,
    PacketIdNotFound,
    QuotaExceeded,
}

impl Ack {
    /// Returns the code in MQTT 5; 3.1.1 has none.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NoSubscribers => 0x10,
            Self::NotAuthorized => 0x87,
            Self::TopicInvalid => 0x90,
            Self::PacketIdNotFound => 0x92,
            Self::QuotaExceeded => 0x97,
        }
    }

    /// Tells whether the message was refused: from 0x80 on, which also ends a QoS 2 exchange.
    pub(crate) fn is_refusal(self) -> bool {
        self.code() >= 0x80
    }
}

/// What a SUBACK says of one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubReason {
    /// With this QoS at most.
    Granted(u8),
    NotAuthorized,
    FilterInvalid,
    QuotaExceeded,
}

impl SubReason {
    /// Returns the code in MQTT 5.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Granted(qos) => qos,
            Self::NotAuthorized => 0x87,
            Self::FilterInvalid => 0x8f,
            Self::QuotaExceeded => 0x97,
        }
    }

    /// Returns the code in MQTT 3.1.1, which has one for every refusal.
    pub(super) fn return_code(self) -> u8 {
        self.code().min(0x80)
    }
}

/// What an UNSUBACK of MQTT 5 says of one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnsubReason {
    Success,
    NoSubscription,
}

impl UnsubReason {
    /// Returns the code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NoSubscription => 0x11,
        }
    }
}
