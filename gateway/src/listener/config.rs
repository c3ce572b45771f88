//! The `[[gateway.listeners]]` tables: further ports for MQTT clients.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How bytes of MQTT arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TLS 1.2 or 1.3.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// How.
    pub transport: Transport,
}
