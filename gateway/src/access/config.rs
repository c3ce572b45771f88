//! The `[gateway.access]` and `[gateway.tls]` tables: who may connect, and what proves it.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

/// The `[gateway.access]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// Take clients from this machine without a proof, with the role `anonymous`. Never from elsewhere; but whoever comes through a
    /// proxy on this machine comes from here. Not set: only if nothing else says who may come in (identities, tokens, client
    /// certificates).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_on_loopback: Option<bool>,
    /// Which client ids an identity may use.
    pub client_ids: ClientIds,
    /// File of names, roles, sites and password hashes, kept by `tidemark identity`.
    pub identities_file: Option<PathBuf>,
    /// File with rules; they come on top of the built-in ones.
    pub policy_file: Option<PathBuf>,
    /// Where a client certificate has the name of its identity.
    pub certificate_name: CertificateName,
    /// Roles of identities that come with a certificate and are not in the file; none: they are refused.
    pub certificate_roles: Vec<String>,
    /// Passwords that are checked at the same time; each takes 19 MiB and a core for a moment. Further logins wait.
    pub password_checks_max: usize,
    /// JSON Web Tokens, which clients send as their password.
    pub jwt: JwtConfig,
    /// Where connections, refusals and changes are recorded.
    pub audit: AuditConfig,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            anonymous_on_loopback: None,
            client_ids: ClientIds::Bound,
            identities_file: None,
            policy_file: None,
            certificate_name: CertificateName::San,
            certificate_roles: Vec::new(),
            password_checks_max: 2,
            jwt: JwtConfig::default(),
            audit: AuditConfig::default(),
        }
    }
}

/// Which client ids an identity may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientIds {
    /// Its name, or its name, `@` and more.
    Bound,
    /// Any; a session stays with the identity that began it.
    Any,
}

/// Where a client certificate has the name of its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateName {
    /// Its only DNS name among the subject's alternative names.
    San,
    /// The only common name of its subject.
    Cn,
}

/// The `[gateway.access.jwt]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtConfig {
    /// Public key (PEM), or for HS algorithms a secret of at least 32 bytes.
    pub key_file: Option<PathBuf>,
    /// Keys as a JSON Web Key Set, instead of `key_file`.
    pub jwks_file: Option<PathBuf>,
    /// Algorithms that tokens may be signed with, of one kind: RS256, ES256, EdDSA, HS256, …
    pub algorithms: Vec<Algorithm>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
    /// The claim with the name of the identity.
    pub identity_claim: String,
    /// Seconds that clocks may differ when `exp` and `nbf` are checked.
    pub leeway_s: u32,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            key_file: None,
            jwks_file: None,
            algorithms: Vec::new(),
            issuer: None,
            audience: None,
            identity_claim: "sub".into(),
            leeway_s: 60,
        }
    }
}

impl JwtConfig {
    /// Tells whether tokens are taken at all.
    pub(crate) fn is_on(&self) -> bool {
        self.key_file.is_some() || self.jwks_file.is_some()
    }
}

/// The `[gateway.access.audit]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// File with one JSON object a line; none: no record is kept.
    pub file: Option<PathBuf>,
    /// A file of this size is put aside as `.1`, and the older ones move on.
    pub bytes_max: u64,
    /// Files put aside that are kept.
    pub files_max: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { file: None, bytes_max: 16 << 20, files_max: 4 }
    }
}

/// The `[gateway.tls]` table, for the listeners with `transport = "tls"` or `"wss"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The server's certificate and those above it (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificates,
    /// Certificates of the authorities that issue client certificates (PEM); needed unless it is "none".
    pub client_ca_file: Option<PathBuf>,
    /// Revocation lists (PEM). With any, each authority of a client's chain needs one.
    pub crl_files: Vec<PathBuf>,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// A client without one may log in.
    Optional,
    /// A client without one is refused.
    Required,
}

/// A setting that does not fit.
pub(crate) type Problem = String;

impl AccessConfig {
    /// Tells whether clients without a proof are taken from this machine, as far as this table says.
    pub fn takes_anonymous(&self) -> bool {
        let knows_others = self.identities_file.is_some()
            || !self.certificate_roles.is_empty()
            || self.jwt.is_on();
        self.anonymous_on_loopback.unwrap_or(!knows_others)
    }

    /// Checks what the types cannot.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let jwt = &self.jwt;
        if jwt.key_file.is_some() && jwt.jwks_file.is_some() {
            return Err("access.jwt has key_file and jwks_file: set one of them".into());
        }
        if jwt.is_on() && jwt.algorithms.is_empty() {
            return Err("access.jwt.algorithms must say which algorithms tokens may use".into());
        }
        if let Some(first) = jwt.algorithms.first()
            && jwt.algorithms.iter().any(|algorithm| algorithm.family() != first.family())
        {
            return Err("access.jwt.algorithms must be of one kind: all RS, ES, HS or EdDSA".into());
        }
        if self.password_checks_max == 0 {
            return Err("access.password_checks_max must be at least 1".into());
        }
        if self.audit.files_max == 0 {
            return Err("access.audit.files_max must be at least 1".into());
        }
        if self.audit.bytes_max < 4096 {
            return Err("access.audit.bytes_max must be at least 4096".into());
        }
        Ok(())
    }
}

impl TlsConfig {
    /// Checks what the types cannot.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.client_certificates != ClientCertificates::None && self.client_ca_file.is_none() {
            return Err("tls.client_certificates needs tls.client_ca_file: whom to trust".into());
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err("tls.cert_file and tls.key_file belong together: set both or none".into());
        }
        Ok(())
    }
}
