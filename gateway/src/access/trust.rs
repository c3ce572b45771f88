//! Whom client certificates are trusted from: authorities and revocation lists.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::parse_x509_crl;
use x509_parser::x509::ReasonCode;

use super::certificate::named_by;
use super::config::{ClientCertificates, TlsConfig};

/// Why files for TLS were refused.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not a PEM file, or it has nothing of the kind that is needed.
    #[error("{} has no {what} in PEM format", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// Why it could not be read.
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// A certificate, key or list that cannot be used.
    #[error("{} cannot be used: {problem}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A setting is missing.
    #[error("tls.{0} is not set: the listeners with TLS need it")]
    Missing(&'static str),
}

/// Verifies client certificates.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Certificates that were withdrawn, as [`named_by`] names them.
    withdrawn: Arc<HashSet<Arc<str>>>,
}

/// The one provider of cryptography in this process, named wherever TLS is set up.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Trust {
    /// Reads authorities and revocation lists; `None` when clients are not asked for certificates.
    pub(crate) fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        if config.client_certificates == ClientCertificates::None {
            return Ok(None);
        }
        let path = config.client_ca_file.as_ref().ok_or(TlsError::Missing("client_ca_file"))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(unfit(path))?;
        }
        let mut lists = Vec::new();
        for path in &config.crl_files {
            lists.extend(revocation_lists(path)?);
        }
        let withdrawn = lists.iter().flat_map(|list| withdrawn_by(list)).collect();
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        // A list that is too old may lack what has been revoked since.
        let builder = builder.with_crls(lists).enforce_revocation_expiration();
        let builder = match config.client_certificates {
            ClientCertificates::Required => builder,
            ClientCertificates::Optional | ClientCertificates::None => {
                builder.allow_unauthenticated()
            }
        };
        let blamed = config.crl_files.first().unwrap_or(path);
        let verifier = builder.build().map_err(unfit(blamed))?;
        Ok(Some(Self { verifier, withdrawn: Arc::new(withdrawn) }))
    }

    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Tells whether a certificate was withdrawn; `mark` as [`named_by`] makes it. One that a list calls superseded was not: its owner has
    /// another one now (RFC 5280 section 5.3.1).
    pub(crate) fn has_withdrawn(&self, mark: &str) -> bool {
        self.withdrawn.contains(mark)
    }

    /// Tells whether a chain is valid now: its authorities trusted, nothing of it expired or revoked.
    pub(crate) fn accepts(&self, chain: &[CertificateDer<'_>], now_us: i64) -> bool {
        let Some((leaf, others)) = chain.split_first() else { return false };
        let seconds = u64::try_from(now_us / 1_000_000).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.verifier.verify_client_cert(leaf, others, now).is_ok()
    }
}

/// The certificates that a list withdraws, in DER. What cannot be read has been refused by the verifier, which reads it as well.
fn withdrawn_by(list: &[u8]) -> Vec<Arc<str>> {
    let Ok((_, list)) = parse_x509_crl(list) else { return Vec::new() };
    let issuer = list.issuer().as_raw();
    let for_good = list.iter_revoked_certificates().filter(|entry| {
        !entry.reason_code().is_some_and(|(_, reason)| reason == ReasonCode::Superseded)
    });
    for_good.map(|entry| named_by(issuer, entry.raw_serial())).collect()
}

/// Reads the certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all(path, "certificate")
}

/// Reads the revocation lists of a PEM file, at least one.
pub(crate) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    all(path, "revocation list")
}

fn all<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, TlsError> {
    let broken = |source| TlsError::Pem { path: path.to_owned(), what, source };
    let found = T::pem_file_iter(path).and_then(|items| items.collect::<Result<Vec<_>, _>>());
    let found = found.map_err(|error| broken(Some(error)))?;
    if found.is_empty() { Err(broken(None)) } else { Ok(found) }
}

pub(crate) fn unfit<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> TlsError {
    let path = path.to_owned();
    move |error| TlsError::Unfit { path: path.clone(), problem: error.to_string() }
}
