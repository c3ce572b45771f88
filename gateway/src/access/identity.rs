//! Who a client is, once it has proved it.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use telemetry_core::id::DeviceId;

/// The name of whoever connects from this machine without saying who.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// Joins an identity's name and further text of a client id. No name has it, so no client id belongs to two.
pub(crate) const JOIN: char = '@';

/// A client that has proved who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub(crate) name: Arc<str>,
    /// From the file of identities: tells apart identities that have had the same name.
    pub(crate) id: Option<Arc<str>>,
    pub(crate) roles: Arc<[String]>,
    pub(crate) site: Option<Arc<str>>,
    /// Microseconds since the epoch when the proof ends: a token's or a certificate's.
    pub(crate) expires_us: Option<i64>,
    pub(crate) proof: Proof,
}

/// How it was proved, with what is needed to see later that it still holds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nobody has: it is only asked about.
    Supposed,
    /// Not at all: from loopback, where the settings allow it.
    Anonymous,
    /// By the password with this hash.
    Password { hash: Arc<str> },
    /// By a certificate, first of its chain; with how revocation lists name it.
    Certificate { chain: Arc<[CertificateDer<'static>]>, mark: Arc<str> },
    /// By a token that was signed with the key of this fingerprint; with what it says of roles and site.
    Token { key: [u8; 32], roles: Arc<[String]>, site: Option<Arc<str>> },
}

impl Proof {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Supposed => "supposed",
            Self::Anonymous => "anonymous",
            Self::Password { .. } => "password",
            Self::Certificate { .. } => "certificate",
            Self::Token { .. } => "jwt",
        }
    }
}

impl Identity {
    /// An identity that is only asked about, as `tidemark policy test` does.
    pub fn supposed(name: &str, roles: &[String], site: Option<&str>) -> Self {
        Self {
            name: name.into(),
            id: None,
            roles: roles.into(),
            site: site.map(Arc::from),
            expires_us: None,
            proof: Proof::Supposed,
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the roles.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Returns the site, if it belongs to one.
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// Says how it was proved: `anonymous`, `password`, `certificate` or `jwt`.
    pub fn kind(&self) -> &'static str {
        self.proof.kind()
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.proof == Proof::Anonymous
    }

    /// Tells whether a client id belongs to this identity: its name, or its name, `@` and more.
    pub(crate) fn owns(&self, client_id: &str) -> bool {
        client_id
            .strip_prefix(&*self.name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(JOIN))
    }

    /// Returns a client id for a client that has sent none.
    pub(crate) fn assigned_client_id(&self, unique: &str) -> String {
        match self.is_anonymous() {
            true => format!("auto-{unique}"),
            false => format!("{}{JOIN}auto-{unique}", self.name),
        }
    }
}

// The proof stays out of logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("site", &self.site)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// Checks the name of an identity: one plain level of a topic, of at most 64 bytes.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    DeviceId::check(name).map_err(|error| error.to_string())?;
    match name == ANONYMOUS {
        true => Err(format!("`{ANONYMOUS}` stands for clients without a name: take another")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_belongs_to_one_identity() {
        let mon = Identity::supposed("mon-1", &[], None);
        assert!(
            mon.owns("mon-1") && mon.owns("mon-1@a/b") && mon.owns(&mon.assigned_client_id("7"))
        );
        for other in ["", "mon", "mon-10", "mon-1:a", "mon-2", "Mon-1"] {
            assert!(!mon.owns(other), "{other}");
        }
        // No name is another's with more behind it.
        assert!(check_name("mon-1@a").is_err());
    }

    #[test]
    fn names_are_plain_levels() {
        for bad in ["", "+", "#", "a/b", "$x", "{site}", "a b", "é", ANONYMOUS, ".."] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(check_name("00:1B:44-x_y.z"), Ok(()));
    }

    #[test]
    fn the_proof_is_not_printed() {
        let proof = Proof::Password { hash: "$argon2id$secret".into() };
        let who = Identity { proof, ..Identity::supposed("a", &[], None) };
        assert!(!format!("{who:?}").contains("secret"));
    }
}
