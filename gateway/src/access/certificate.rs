//! What a verified client certificate says about its owner.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::config::CertificateName;

/// A client's certificate whose chain TLS has verified.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// The certificate, then those that the client sent along.
    pub(crate) chain: Arc<[CertificateDer<'static>]>,
    pub(crate) common_names: Vec<String>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) units: Vec<String>,
    /// Microseconds since the epoch.
    pub(crate) not_before_us: i64,
    pub(crate) not_after_us: i64,
    /// Which of its authority's certificates it is, as revocation lists name it: [`named_by`].
    pub(crate) mark: Arc<str>,
    /// In hexadecimal digits, for the audit log.
    pub(crate) serial: String,
    /// SHA-256, in hexadecimal digits.
    pub(crate) fingerprint: String,
}

/// Why a certificate says nothing usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("certificate cannot be read")]
    Malformed,
    #[error("certificate has {0} DNS names: one is needed to name its identity")]
    DnsNames(usize),
    #[error("certificate has {0} common names: one is needed to name its identity")]
    CommonNames(usize),
}

impl ClientCertificate {
    /// Reads the first certificate of a chain.
    pub(crate) fn read(chain: &[CertificateDer<'_>]) -> Result<Self, CertificateError> {
        let malformed = |_| CertificateError::Malformed;
        let leaf = chain.first().ok_or(CertificateError::Malformed)?;
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|_| CertificateError::Malformed)?;
        let subject = parsed.subject();
        let texts = |attributes: Vec<_>| {
            let texts = attributes.into_iter();
            texts
                .map(|text: Result<&str, _>| text.map(str::to_owned))
                .collect::<Result<Vec<_>, _>>()
        };
        let common_names = texts(subject.iter_common_name().map(|name| name.as_str()).collect());
        let units = texts(subject.iter_organizational_unit().map(|unit| unit.as_str()).collect());
        let names = parsed.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
        let dns_names = names.iter().flat_map(|names| &names.value.general_names);
        let dns_names = dns_names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        Ok(Self {
            common_names: common_names.map_err(malformed)?,
            units: units.map_err(malformed)?,
            dns_names: dns_names.collect(),
            not_before_us: parsed.validity().not_before.timestamp().saturating_mul(1_000_000),
            not_after_us: parsed.validity().not_after.timestamp().saturating_mul(1_000_000),
            mark: named_by(parsed.issuer().as_raw(), parsed.raw_serial()),
            serial: hex(parsed.raw_serial()),
            fingerprint: hex(digest::digest(&digest::SHA256, leaf).as_ref()),
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
        })
    }

    /// Returns the name of the certificate's identity. More than one is refused: which one was meant?
    pub(crate) fn name(&self, from: CertificateName) -> Result<&str, CertificateError> {
        match (from, self.dns_names.as_slice(), self.common_names.as_slice()) {
            (CertificateName::San, [only], _) | (CertificateName::Cn, _, [only]) => Ok(only),
            (CertificateName::San, names, _) => Err(CertificateError::DnsNames(names.len())),
            (CertificateName::Cn, _, names) => Err(CertificateError::CommonNames(names.len())),
        }
    }

    /// Returns the site of its owner: the subject's organizational unit, if there is one.
    pub(crate) fn site(&self) -> Option<&str> {
        match self.units.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// Names a certificate by its issuer (DER) and serial number, which is all that a revocation list says of it: SHA-256 of both, in
/// hexadecimal digits.
pub(crate) fn named_by(issuer: &[u8], serial: &[u8]) -> Arc<str> {
    let mut both = digest::Context::new(&digest::SHA256);
    both.update(issuer);
    both.update(serial);
    hex(both.finish().as_ref()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("serial", &self.serial)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
