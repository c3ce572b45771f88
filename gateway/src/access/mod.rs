//! Who a client is and what it may do: proofs of identity, the policy, revocation, and the record of it all.
//!
//! Reads left to right: `certificate`, `password` and `jwt` prove an identity → `identities` and `policy` say what it may →
//! `grants` answers for each message. `reload` swaps the tables when their files change; sessions watch
//! [`Access::generation`] and ask [`Access::refresh`] then.

pub(crate) mod audit;
pub(crate) mod certificate;
pub mod config;
mod denied;
pub(crate) mod expiry;
mod fair;
pub(crate) mod grants;
mod identities;
pub(crate) mod identity;
mod jwt;
mod line;
pub(crate) mod login;
pub(crate) mod metrics;
pub(crate) mod owner;
mod password;
mod pattern;
mod policy;
mod record;
pub(crate) mod reload;
mod throttle;
pub(crate) mod trust;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use service_runtime::repeats::{Line, Said};
use service_runtime::{Clock, Metrics, Repeats};
use tokio::sync::watch;
use tracing::{info, warn};

pub use denied::Denied;
pub use grants::{Action, Decision};
pub use identities::{Entry, Identities, IdentitiesError};
pub use identity::Identity;
pub use jwt::JwtError;
pub use login::check_login;
pub use password::{PasswordError, hash_password, new_password};
pub use pattern::PatternError;
pub use policy::{Names, Policy, PolicyError};
pub use trust::TlsError;

use audit::{AuditLog, AuditWriter};
use config::{AccessConfig, ClientIds};
use expiry::{Ending, Stage};
use grants::Grants;
use jwt::TokenKeys;
use metrics::AccessMetrics;
use password::PasswordChecks;
use reload::Watched;
use throttle::Throttle;
use trust::Trust;

/// How often a client whose proof ends soon is spoken of.
const NEAR_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// A token ends soon in its last minute: most live for an hour or less.
const TOKEN_NEAR_US: i64 = 60 * 1_000_000;

/// Why access could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The identities.
    #[error(transparent)]
    Identities(#[from] IdentitiesError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The keys of tokens.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// Passwords.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The audit log.
    #[error("cannot open the audit log {}", path.display())]
    Audit {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What is read from files. Each part is swapped by itself.
#[derive(Clone)]
struct Tables {
    identities: Arc<Identities>,
    policy: Arc<Policy>,
    tokens: Option<Arc<TokenKeys>>,
    trust: Option<Trust>,
}

struct Inner {
    config: AccessConfig,
    names: Names,
    clock: Clock,
    tables: RwLock<Tables>,
    passwords: PasswordChecks,
    throttle: Mutex<Throttle>,
    endings: Mutex<Vec<Ending>>,
    /// Clients whose proofs end soon, by name.
    near: Repeats<String>,
    generation: watch::Sender<u64>,
    audit: AuditLog,
    metrics: AccessMetrics,
}

/// Decides who may connect and what they may do. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    inner: Arc<Inner>,
}

impl Access {
    /// Reads all files. The writer of the audit log, if there is one, is to be run as a task.
    pub(crate) fn open(
        config: &AccessConfig,
        names: Names,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<(Self, Option<AuditWriter>), AccessError> {
        let metrics = AccessMetrics::register(metrics);
        let opened = AuditLog::open(&config.audit, clock, metrics.clone());
        let (audit, writer) = opened.map_err(|source| AccessError::Audit {
            path: config.audit.file.clone().unwrap_or_default(),
            source,
        })?;
        let tables = Tables {
            identities: Arc::new(load_identities(config)?),
            policy: Arc::new(Policy::load(config.policy_file.as_deref(), &names)?),
            tokens: TokenKeys::load(&config.jwt)?.map(Arc::new),
            trust: None,
        };
        let inner = Inner {
            config: config.clone(),
            names,
            clock,
            tables: RwLock::new(tables),
            passwords: PasswordChecks::new(config.password_checks_max)?,
            throttle: Mutex::default(),
            endings: Mutex::default(),
            near: Repeats::new(NEAR_AGAIN),
            generation: watch::Sender::new(0),
            audit,
            metrics,
        };
        Ok((Self { inner: Arc::new(inner) }, writer))
    }

    /// Returns the rules that concern a client, with its names put in. A session keeps them until the generation changes.
    pub(crate) fn grants(&self, identity: &Identity, client_id: &str) -> Grants {
        self.tables().policy.grants(identity, client_id)
    }

    /// Changes whenever a table has: then sessions ask [`Self::refresh`] and take new [`Self::grants`].
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// Returns the record of connections, refusals and changes.
    pub(crate) fn audit(&self) -> &AuditLog {
        &self.inner.audit
    }

    /// Tells whether an identity may use a client id.
    pub(crate) fn client_id_fits(&self, identity: &Identity, client_id: &str) -> bool {
        identity.is_anonymous()
            || self.inner.config.client_ids == ClientIds::Any
            || identity.owns(client_id)
    }

    /// Puts new authorities and revocation lists in force; the listeners with TLS say so when they read their files.
    pub(crate) fn set_trust(&self, trust: Option<Trust>) {
        self.change(|tables| tables.trust = trust);
    }

    /// Says when what the listeners with TLS read from files ends.
    pub(crate) fn set_endings(&self, endings: Vec<Ending>) {
        *self.inner.endings.lock().unwrap_or_else(PoisonError::into_inner) = endings;
    }

    pub(crate) fn endings(&self) -> Vec<Ending> {
        self.inner.endings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// Meters how long a proof that was shown still holds, and says so when that is not long.
    fn note_end(&self, identity: &Identity, from_us: Option<i64>) {
        let Some(until_us) = identity.expires_us else { return };
        let (now_us, proof) = (self.inner.clock.now_us(), identity.kind());
        let left_us = until_us.saturating_sub(now_us);
        self.inner.metrics.note_left(proof, left_us);
        let is_near = match from_us {
            Some(from_us) => expiry::stage(from_us, until_us, now_us) != Stage::Good,
            None => left_us <= TOKEN_NEAR_US,
        };
        if is_near {
            let left = expiry::in_words(left_us);
            let about = format!(
                "the {proof} of {} ends in {left}: renew it, its connection ends then",
                identity.name
            );
            let line = self.inner.near.note(&*identity.name, self.inner.clock.uptime(), about);
            line.iter().for_each(say_near);
        }
    }

    pub(crate) fn say_proofs_near_their_end(&self) {
        self.inner.near.due(self.inner.clock.uptime()).iter().for_each(say_near);
    }

    /// Returns the files to watch, for [`reload::run`].
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let config = &self.inner.config;
        let mut watched = Vec::new();
        if let Some(file) = &config.identities_file {
            let access = self.clone();
            watched.push(Watched::new("identities", vec![file.clone()], move || {
                let identities = load_identities(&access.inner.config).map_err(chain)?;
                access.change(|tables| tables.identities = Arc::new(identities));
                Ok(())
            }));
        }
        if let Some(file) = &config.policy_file {
            let access = self.clone();
            watched.push(Watched::new("policy", vec![file.clone()], move || {
                let Inner { config, names, .. } = &*access.inner;
                let policy = Policy::load(config.policy_file.as_deref(), names).map_err(chain)?;
                access.change(|tables| tables.policy = Arc::new(policy));
                Ok(())
            }));
        }
        let keys = config.jwt.key_file.iter().chain(&config.jwt.jwks_file).cloned();
        if config.jwt.is_on() {
            let access = self.clone();
            watched.push(Watched::new("jwt", keys.collect(), move || {
                let tokens = TokenKeys::load(&access.inner.config.jwt).map_err(chain)?;
                access.change(|tables| tables.tokens = tokens.map(Arc::new));
                Ok(())
            }));
        }
        watched
    }

    pub(crate) fn metrics(&self) -> &AccessMetrics {
        &self.inner.metrics
    }

    /// Held for a look and a note only.
    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.inner.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> Tables {
        self.inner.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Tables)) {
        change(&mut self.inner.tables.write().unwrap_or_else(PoisonError::into_inner));
        self.inner.generation.send_modify(|generation| *generation += 1);
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

fn say_near(line: &Line<String>) {
    match line.said {
        Said::Begun | Said::Again(_) => warn!("{}", line.about),
        Said::Over(logins) => info!(logins, "no longer seen: {}", line.about),
    }
}

fn load_identities(config: &AccessConfig) -> Result<Identities, IdentitiesError> {
    config.identities_file.as_deref().map_or_else(|| Ok(Identities::default()), Identities::load)
}

/// Writes an error with its causes.
pub(crate) fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

#[cfg(test)]
mod tests;
