//! From what a client offers to an identity: certificate, password or token, and what the identities file says of it.

use std::net::SocketAddr;
use std::sync::Arc;

use service_runtime::{Clock, Metrics};
use telemetry_core::id::SiteId;

use super::audit::{AuditEvent, AuditRecord};
use super::certificate::ClientCertificate;
use super::config::{AccessConfig, AuditConfig};
use super::identity::{ANONYMOUS, Identity, Proof, check_name};
use super::jwt::{Claims, TokenError, looks_like_token};
use super::line::Waiting;
use super::policy::Names;
use super::throttle::Who;
use super::trust::Trust;
use super::{Access, AccessError, Denied, Tables};
use crate::listener::addresses::subscriber;

/// Most roles of one identity.
const ROLES_MAX: usize = 32;

/// What a client offers to prove who it is.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    pub(crate) peer: SocketAddr,
    /// The listener is bound to loopback, and no web page is behind the connection.
    pub(crate) is_local: bool,
    /// Empty when the client wants one assigned.
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    pub(crate) certificate: Option<&'a ClientCertificate>,
}

/// What the settings say of a name.
type Standing = (Arc<[String]>, Option<Arc<str>>);

impl Access {
    /// Finds out who a client is. What it offers must be right: a wrong proof is never ignored in favour of another, or of none.
    pub(crate) async fn authenticate(&self, offer: &Credentials<'_>) -> Result<Identity, Denied> {
        let result = self.identify(offer).await;
        let (proof, result_name) = match &result {
            Ok(identity) => (identity.kind(), "ok"),
            Err(Denied::Throttled { .. }) => (offer.kind(), "throttled"),
            Err(Denied::Crowded) => (offer.kind(), "crowded"),
            Err(_) => (offer.kind(), "refused"),
        };
        self.inner.metrics.login(proof, result_name);
        let identity = result?;
        self.note_end(&identity, offer.certificate.map(|shown| shown.not_before_us));
        match offer.client_id.is_empty() || self.client_id_fits(&identity, offer.client_id) {
            true => Ok(identity),
            false => Err(Denied::ClientId),
        }
    }

    async fn identify(&self, offer: &Credentials<'_>) -> Result<Identity, Denied> {
        let tables = self.tables();
        let username = offer.username.filter(|name| !name.is_empty());
        let Some(certificate) = offer.certificate else {
            return match (offer.username, offer.password) {
                (None, None) => self.anonymous(offer),
                (_, Some(password)) => self.try_login(&tables, offer, password).await,
                (Some(_), None) => bad("a user name without a password"),
            };
        };
        let identity = self.by_certificate(&tables, certificate)?;
        if username.is_some_and(|name| *name != *identity.name) {
            return bad("the user name is not the certificate's identity");
        }
        if let Some(password) = offer.password {
            let login = self.try_login(&tables, offer, password).await?;
            if login.name != identity.name {
                return bad("the login is not the certificate's identity");
            }
        }
        Ok(identity)
    }

    /// Sees whether an identity's proof still holds, and what roles it has now. For sessions whose
    /// [`Access::generation`] has changed, or whose identity has expired.
    pub(crate) fn refresh(&self, identity: &Identity) -> Result<Identity, Denied> {
        let tables = self.tables();
        if identity.expires_us.is_some_and(|end| end <= self.inner.clock.now_us()) {
            return Err(Denied::Expired);
        }
        let refreshed = self.refreshed(&tables, identity)?;
        // Another identity has its name now.
        if refreshed.id == identity.id { Ok(refreshed) } else { Err(Denied::Revoked) }
    }

    fn refreshed(&self, tables: &Tables, identity: &Identity) -> Result<Identity, Denied> {
        match &identity.proof {
            Proof::Anonymous => Ok(identity.clone()),
            Proof::Supposed => Err(Denied::NotAuthorized("not proved".into())),
            Proof::Password { hash } => {
                let entry = tables.identities.get(&identity.name).ok_or(Denied::Revoked)?;
                if entry.revoked || entry.password.as_deref() != Some(&**hash) {
                    return Err(Denied::Revoked);
                }
                self.of(tables, &identity.name, identity.proof.clone(), None, None)
            }
            Proof::Certificate { chain, .. } => {
                let now_us = self.inner.clock.now_us();
                if !tables.trust.as_ref().is_some_and(|trust| trust.accepts(chain, now_us)) {
                    return Err(Denied::Revoked);
                }
                let certificate = ClientCertificate::read(chain).map_err(|_| Denied::Revoked)?;
                self.by_certificate(tables, &certificate)
            }
            Proof::Token { key, roles, site } => {
                if !tables.tokens.as_ref().is_some_and(|tokens| tokens.has(key)) {
                    return Err(Denied::Revoked);
                }
                let standing = (roles.clone(), site.clone());
                let (proof, expires_us) = (identity.proof.clone(), identity.expires_us);
                self.of(tables, &identity.name, proof, Some(standing), expires_us)
            }
        }
    }

    fn anonymous(&self, offer: &Credentials<'_>) -> Result<Identity, Denied> {
        let is_here = offer.is_local && offer.peer.ip().to_canonical().is_loopback();
        if !(is_here && self.inner.config.takes_anonymous()) {
            return Err(Denied::NotAuthorized("neither certificate nor login".into()));
        }
        Ok(Identity {
            name: ANONYMOUS.into(),
            id: None,
            roles: Arc::new([ANONYMOUS.to_owned()]),
            site: None,
            expires_us: None,
            proof: Proof::Anonymous,
        })
    }

    fn by_certificate(
        &self,
        tables: &Tables,
        certificate: &ClientCertificate,
    ) -> Result<Identity, Denied> {
        // TLS has verified it, but a session that TLS resumes was verified when it began.
        if certificate.not_after_us <= self.inner.clock.now_us() {
            return Err(Denied::Expired);
        }
        let config = &self.inner.config;
        let name = certificate.name(config.certificate_name);
        let name = name.map_err(|error| Denied::NotAuthorized(error.to_string()))?;
        let standing = (!config.certificate_roles.is_empty()).then(|| {
            (config.certificate_roles.as_slice().into(), certificate.site().map(Arc::from))
        });
        let (chain, mark) = (certificate.chain.clone(), certificate.mark.clone());
        let proof = Proof::Certificate { chain, mark };
        self.of(tables, name, proof, standing, Some(certificate.not_after_us))
    }

    /// Hears a login, unless too many have failed, and takes note of how it ends.
    async fn try_login(
        &self,
        tables: &Tables,
        offer: &Credentials<'_>,
        password: &[u8],
    ) -> Result<Identity, Denied> {
        let username = offer.username.filter(|name| !name.is_empty());
        // A token cannot be guessed: one that is wrong makes only itself wait, and many of them their address.
        let is_token = tables.tokens.is_some() && looks_like_token(password);
        let name = if is_token { password } else { username.unwrap_or_default().as_bytes() };
        let who = self.throttle().who(subscriber(offer.peer.ip()), name);
        self.admit(who)?;
        let result = self.log_in(tables, username, password, who).await;
        let now = self.inner.clock.uptime();
        match &result {
            Ok(_) => self.throttle().succeeded(who, now),
            Err(Denied::BadLogin(_)) => {
                let wait = self.throttle().failed(who, now);
                if let Some(wait) = wait {
                    let detail = format!("the next login is heard in {} s", wait.as_secs());
                    self.inner.audit.record(AuditRecord {
                        identity: username,
                        client_id: Some(offer.client_id),
                        peer: Some(offer.peer),
                        detail: Some(&detail),
                        ..AuditRecord::of(AuditEvent::LoginsThrottled)
                    });
                }
            }
            Err(_) => {}
        }
        result
    }

    fn admit(&self, who: Who) -> Result<(), Denied> {
        let admitted = self.throttle().admit(who, self.inner.clock.uptime());
        admitted.map_err(|wait| Denied::Throttled { wait })
    }

    async fn log_in(
        &self,
        tables: &Tables,
        username: Option<&str>,
        password: &[u8],
        who: Who,
    ) -> Result<Identity, Denied> {
        if let Some(tokens) = &tables.tokens
            && looks_like_token(password)
        {
            let claims = tokens.check(password, self.inner.clock.now_us());
            return self.by_token(tables, username, claims);
        }
        let Some(username) = username else { return bad("a password without a user name") };
        let entry = tables.identities.get(username);
        let hash = entry.and_then(|entry| entry.password.as_deref());
        let known = self.throttle().is_known(who, self.inner.clock.uptime());
        let waiting = Waiting { address: who.address(), known };
        // Asked again when it is its turn: whoever tries many at once is not heard more often.
        let right = self.inner.passwords.check(hash, password, waiting, || self.admit(who)).await?;
        if !right {
            return bad("wrong user name or password");
        }
        let hash = hash.unwrap_or_default().into();
        self.of(tables, username, Proof::Password { hash }, None, None)
    }

    fn by_token(
        &self,
        tables: &Tables,
        username: Option<&str>,
        claims: Result<Claims, TokenError>,
    ) -> Result<Identity, Denied> {
        let claims = match claims {
            Ok(claims) => claims,
            Err(TokenError::Expired) => return Err(Denied::Expired),
            Err(error) => return bad(&error.to_string()),
        };
        if username.is_some_and(|name| name != claims.identity) {
            return bad("the user name is not the token's identity");
        }
        let Claims { identity, roles, site, expires_us, key } = claims;
        let (roles, site): Standing = (roles.into(), site.map(Arc::from));
        let proof = Proof::Token { key, roles: roles.clone(), site: site.clone() };
        self.of(tables, &identity, proof, Some((roles, site)), Some(expires_us))
    }

    /// Joins a proved name with its entry in the identities file. The entry decides; what the proof itself says of roles and
    /// site counts only without one.
    fn of(
        &self,
        tables: &Tables,
        name: &str,
        proof: Proof,
        said: Option<Standing>,
        expires_us: Option<i64>,
    ) -> Result<Identity, Denied> {
        check_name(name).map_err(Denied::NotAuthorized)?;
        let entry = tables.identities.get(name);
        let id = entry.and_then(|entry| entry.id.as_deref()).map(Arc::from);
        let (roles, site) = match (entry, said) {
            (Some(entry), _) if entry.revoked => return Err(Denied::Revoked),
            (Some(entry), _) => {
                (entry.roles.as_slice().into(), entry.site.as_deref().map(Arc::from))
            }
            (None, Some(said)) => said,
            (None, None) => return Err(Denied::NotAuthorized("unknown identity".into())),
        };
        if roles.len() > ROLES_MAX || roles.iter().any(|role| role == ANONYMOUS) {
            return Err(Denied::NotAuthorized("roles that nobody can have".into()));
        }
        if site.as_deref().is_some_and(|site| SiteId::check(site).is_err()) {
            return Err(Denied::NotAuthorized("the site is not a name".into()));
        }
        Ok(Identity { name: name.into(), id, roles, site, expires_us, proof })
    }
}

impl Credentials<'_> {
    fn kind(&self) -> &'static str {
        match (self.certificate, self.password) {
            (Some(_), _) => "certificate",
            (None, Some(password)) if looks_like_token(password) => "jwt",
            (None, Some(_)) => "password",
            (None, None) => "none",
        }
    }
}

fn bad<T>(why: &str) -> Result<T, Denied> {
    Err(Denied::BadLogin(why.to_owned()))
}

/// Tells who a client would be that connects from elsewhere with this certificate, or with this user name and password (or
/// token), as `tidemark identity test` asks.
///
/// # Errors
/// When the files of access cannot be read.
pub async fn check_login(
    config: &AccessConfig,
    tls: &super::config::TlsConfig,
    names: Names,
    certificate_file: Option<&std::path::Path>,
    username: Option<&str>,
    password: Option<&[u8]>,
) -> anyhow::Result<Result<Identity, Denied>> {
    let config = AccessConfig { audit: AuditConfig::default(), ..config.clone() };
    let clock = Clock::default();
    let opened: Result<_, AccessError> = Access::open(&config, names, clock, &Metrics::default());
    let (access, _) = opened?;
    let certificate = match certificate_file {
        None => None,
        Some(path) => {
            let chain = super::trust::certificates(path)?;
            let trusted = Trust::load(tls)?.is_some_and(|it| it.accepts(&chain, clock.now_us()));
            if !trusted {
                let why = "the authorities of tls.client_ca_file do not vouch for the certificate";
                return Ok(Err(Denied::NotAuthorized(why.into())));
            }
            Some(ClientCertificate::read(&chain)?)
        }
    };
    let offer = Credentials {
        peer: ([0, 0, 0, 0], 0).into(),
        is_local: false,
        client_id: "",
        username,
        password,
        certificate: certificate.as_ref(),
    };
    Ok(access.authenticate(&offer).await)
}
