//! Names of sites, devices and sources, and the epoch of a spool: parsed once, then trusted.
//!
//! All names are 1 to [`NAME_MAX`] bytes of `A-Z a-z 0-9 . _ -` (devices also `:`, as in EUI-64 and MAC addresses). That
//! keeps them usable as one MQTT topic level, as a file name and as a Delta `appId` without any escaping.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name in bytes.
pub const NAME_MAX: usize = 64;

/// A message's position in its source: dense, from 0, never reused, below 2^63.
pub type Offset = u64;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("{kind} is empty: give it 1 to {NAME_MAX} characters")]
    Empty {
        /// Which kind of name.
        kind: &'static str,
    },
    /// The text is longer than [`NAME_MAX`] bytes.
    #[error("{kind} has {len} bytes: at most {NAME_MAX} are allowed")]
    TooLong {
        /// Which kind of name.
        kind: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A character outside the allowed set.
    #[error("{kind} has the character {found:?}: use letters, digits, `.`, `_` and `-`")]
    Character {
        /// Which kind of name.
        kind: &'static str,
        /// The first character that is not allowed.
        found: char,
    },
    /// An epoch that is not 16 hexadecimal digits of at most 63 bits.
    #[error("epoch is not 16 hexadecimal digits below 8000000000000000")]
    Epoch,
}

fn check_name(kind: &'static str, text: &str, extra: Option<char>) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { kind });
    }
    if text.len() > NAME_MAX {
        return Err(IdError::TooLong { kind, len: text.len() });
    }
    let allowed =
        |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') || Some(*c) == extra;
    match text.chars().find(|c| !allowed(c)) {
        Some(found) => Err(IdError::Character { kind, found }),
        // `.` and `..` would be folder names with a meaning of their own.
        None if text.chars().all(|c| c == '.') => Err(IdError::Character { kind, found: '.' }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Tells whether `text` would parse, without allocating.
            ///
            /// # Errors
            /// The reason why it would not.
            pub fn check(text: &str) -> Result<(), IdError> {
                check_name($kind, text, $extra)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

name!(
    /// A hospital, plant or office.
    SiteId,
    "site id",
    None
);
name!(
    /// A device or EHR system within its site.
    DeviceId,
    "device id",
    Some(':')
);
name!(
    /// One spool: a gateway or an edge agent.
    SourceId,
    "source id",
    None
);

/// A life of a spool directory: random, 63 bits. A new directory takes a new epoch, so its offsets start at 0 again
/// without being mistaken for the old ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(u64);

impl Epoch {
    /// Makes an epoch from random bits; the top bit is dropped so that it fits a signed 64-bit column.
    pub fn from_random(bits: u64) -> Self {
        Self(bits & (u64::MAX >> 1))
    }

    /// Returns the epoch as a number below 2^63.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Epoch {
    type Error = IdError;

    fn try_from(value: u64) -> Result<Self, IdError> {
        if value >> 63 == 0 { Ok(Self(value)) } else { Err(IdError::Epoch) }
    }
}

impl FromStr for Epoch {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdError::Epoch);
        }
        u64::from_str_radix(text, 16).map_err(|_| IdError::Epoch)?.try_into()
    }
}

impl TryFrom<String> for Epoch {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> Self {
        epoch.to_string()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_the_reason() {
        assert_eq!("".parse::<SourceId>(), Err(IdError::Empty { kind: "source id" }));
        assert_eq!(
            "a/b".parse::<SiteId>(),
            Err(IdError::Character { kind: "site id", found: '/' })
        );
        assert_eq!(
            "x".repeat(65).parse::<DeviceId>(),
            Err(IdError::TooLong { kind: "device id", len: 65 })
        );
        assert!("..".parse::<SourceId>().is_err());
        assert!("00:1b:c5".parse::<DeviceId>().is_ok());
        assert!("00:1b:c5".parse::<SourceId>().is_err());
    }

    #[test]
    fn an_epoch_round_trips_as_sixteen_hex_digits() {
        let epoch = Epoch::from_random(u64::MAX);
        assert_eq!(epoch.to_string(), "7fffffffffffffff");
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
        assert_eq!("8000000000000000".parse::<Epoch>(), Err(IdError::Epoch));
        assert_eq!("+00000000000000f".parse::<Epoch>(), Err(IdError::Epoch));
    }
}
