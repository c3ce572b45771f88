//! Whose a session or a will is: what must be known of an identity to judge, without its client, what it may do now.

use serde::{Deserialize, Serialize};
use telemetry_core::id::SiteId;

use super::identity::{ANONYMOUS, Identity, Proof};
use super::{Access, Tables};

/// Whose a session or a will is. Stands on disk with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    #[serde(rename = "identity")]
    pub(crate) name: String,
    /// Tells apart identities that have had the same name, if the file of identities knows it.
    #[serde(rename = "identity_id", default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// How it was proved, as [`Identity::kind`] says; empty where a version wrote it that kept no more than the name.
    #[serde(default)]
    proof: String,
    /// What the proof itself said of roles and site.
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    /// The certificate that proved it, as revocation lists name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

/// How the tables of access see an owner at this moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is still there, with these roles.
    Holds(Identity),
    /// Only its client could tell: nothing is taken from it until it comes.
    Unknown,
    /// It is gone, revoked, or another one has its name or its client id.
    Gone,
}

impl Owner {
    pub(crate) fn of(identity: &Identity) -> Self {
        Self {
            name: identity.name.to_string(),
            id: identity.id.as_deref().map(str::to_owned),
            proof: identity.kind().to_owned(),
            roles: identity.roles.to_vec(),
            site: identity.site.as_deref().map(str::to_owned),
            certificate: match &identity.proof {
                Proof::Certificate { mark, .. } => Some(mark.to_string()),
                _ => None,
            },
        }
    }

    /// Reads the `proof:name` that stands in the spool, for wills that say no more.
    pub(crate) fn of_publisher(publisher: &str) -> Self {
        let (proof, name) = publisher.split_once(':').unwrap_or(("", publisher));
        let (proof, name) = match proof {
            ANONYMOUS => (ANONYMOUS, ANONYMOUS),
            "password" => (proof, name),
            _ => ("", name),
        };
        Self::named(name, proof)
    }

    /// Nobody's but the gateway's.
    pub(crate) fn gateway() -> Self {
        Self::named("", "")
    }

    fn named(name: &str, proof: &str) -> Self {
        let (name, proof) = (name.to_owned(), proof.to_owned());
        Self { name, id: None, proof, roles: Vec::new(), site: None, certificate: None }
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// Tells whether it is the same identity, and not another one of the same name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.name, &self.id) == (&other.name, &other.id)
    }

    /// Tells whether what it left behind ends when `other`, who has proved itself now, comes with its client id: what somebody
    /// anonymous began, and what an identity began that was deleted before this one was made.
    pub(crate) fn gives_way_to(&self, other: &Self) -> bool {
        match self.is_anonymous() {
            true => !other.is_anonymous(),
            false => self.name == other.name && self.id != other.id,
        }
    }
}

impl Access {
    /// Tells what has become of an owner. The end of a proof (a token's, a certificate's) is no end of the identity: its client comes
    /// back with another one. A certificate that was withdrawn is: whoever has it is not trusted any more.
    pub(crate) fn standing(&self, owner: &Owner, client_id: &str) -> Standing {
        let tables = self.tables();
        let (roles, site) = match self.said_of(&tables, owner) {
            Ok(Some(said)) => said,
            Ok(None) => return Standing::Unknown,
            Err(Gone) => return Standing::Gone,
        };
        let identity = Identity {
            name: owner.name.as_str().into(),
            id: owner.id.as_deref().map(Into::into),
            roles: roles.into(),
            site: site.filter(|site| SiteId::check(site).is_ok()).map(Into::into),
            expires_us: None,
            proof: if owner.is_anonymous() { Proof::Anonymous } else { Proof::Supposed },
        };
        match self.client_id_fits(&identity, client_id) {
            true => Standing::Holds(identity),
            false => Standing::Gone,
        }
    }

    /// Returns roles and site; `None` when nobody can tell.
    fn said_of(&self, tables: &Tables, owner: &Owner) -> Result<Option<Said>, Gone> {
        if owner.is_anonymous() {
            let roles = vec![ANONYMOUS.to_owned()];
            return if self.inner.config.takes_anonymous() {
                Ok(Some((roles, None)))
            } else {
                Err(Gone)
            };
        }
        let is_withdrawn =
            |mark: &String| tables.trust.as_ref().is_some_and(|it| it.has_withdrawn(mark));
        if owner.certificate.as_ref().is_some_and(is_withdrawn) {
            return Err(Gone);
        }
        if let Some(entry) = tables.identities.get(&owner.name) {
            return match entry.revoked || entry.id != owner.id {
                true => Err(Gone),
                false => Ok(Some((entry.roles.clone(), entry.site.clone()))),
            };
        }
        // It had an entry, which is what gave it its id.
        if owner.id.is_some() {
            return Err(Gone);
        }
        let (of_certificates, tokens) =
            (&self.inner.config.certificate_roles, tables.tokens.is_some());
        match owner.proof.as_str() {
            "certificate" if !of_certificates.is_empty() => {
                Ok(Some((of_certificates.clone(), owner.site.clone())))
            }
            "jwt" if tokens => Ok(Some((owner.roles.clone(), owner.site.clone()))),
            "" if tokens || !of_certificates.is_empty() => Ok(None),
            _ => Err(Gone),
        }
    }
}

type Said = (Vec<String>, Option<String>);
struct Gone;

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str, id: Option<&str>) -> Owner {
        Owner { id: id.map(str::to_owned), ..Owner::named(name, "password") }
    }

    #[test]
    fn inv9_only_the_same_identity_has_what_it_left_behind() {
        let (old, new) = (owner("mon-1", Some("a")), owner("mon-1", Some("b")));
        assert!(old.is(&old) && !old.is(&new) && !owner("mon-1", None).is(&new));
        let anonymous = Owner::of_publisher("anonymous:mon-1");
        assert!(old.gives_way_to(&new) && anonymous.gives_way_to(&new));
        for (stays, comes) in
            [(&new, &anonymous), (&new, &owner("mon-2", None)), (&anonymous, &anonymous)]
        {
            assert!(!stays.gives_way_to(comes), "{stays:?} {comes:?}");
        }
    }

    #[test]
    fn what_a_version_before_wrote_is_read() {
        let read: Owner = serde_json::from_str("{\"identity\":\"mon-1\"}").unwrap();
        assert_eq!(read, Owner::named("mon-1", ""));
        let before = "{\"identity\":\"mon-1\",\"proof\":\"certificate\",\"roles\":[]}";
        let read: Owner = serde_json::from_str(before).unwrap();
        assert_eq!(read, Owner::named("mon-1", "certificate"));
        assert_eq!(Owner::of_publisher("password:ward"), Owner::named("ward", "password"));
        assert_eq!(Owner::of_publisher("jwt:van-7"), Owner::named("van-7", ""));
        assert!(Owner::of_publisher("anonymous:x").is_anonymous());
    }
}
