//! Where a broker is and who we are there, as options of the MQTT client.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

use crate::validity::not_after;

/// A broker, and how to prove ourselves there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Seconds of silence after which the broker is asked whether it is still there, at least 5.
    pub keep_alive_s: u16,
    /// Connect by TLS. The broker's certificate is checked against `ca_file`.
    pub tls: bool,
    /// PEM file with the certificates that the broker's is checked against; needed with `tls`.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and those above it (PEM).
    pub cert_file: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// User name at the broker; none: no login.
    pub username: Option<String>,
    /// File with the password, or with a token.
    pub password_file: Option<PathBuf>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 1883,
            keep_alive_s: 60,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            username: None,
            password_file: None,
        }
    }
}

/// Why a broker's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// A file of the settings.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// A file that should be in PEM format.
    #[error("{path} has no {what} in PEM format")]
    Pem {
        /// Which.
        path: PathBuf,
        /// "certificate", "private key".
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificates or keys that do not work.
    #[error("{path} cannot be used")]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

impl Broker {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// What does not fit, by key.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |problem: &str| Err(problem.to_owned());
        if self.host.is_empty() || self.port == 0 {
            return refuse("host must not be empty, and port not 0");
        }
        if self.keep_alive_s < 5 {
            return refuse("keep_alive_s must be at least 5");
        }
        if self.tls && self.ca_file.is_none() {
            return refuse("tls needs ca_file: the certificates to trust");
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return refuse("cert_file and key_file belong together");
        }
        if self.cert_file.is_some() && !self.tls {
            return refuse("cert_file needs tls");
        }
        if self.password_file.is_some() && self.username.is_none() {
            return refuse("password_file needs username");
        }
        Ok(())
    }

    /// `host:port`, for people.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Reads the files and makes the client's options. The process must have installed a TLS provider if `tls` is set.
    ///
    /// # Errors
    /// Which file cannot be used.
    pub fn options(&self, client_id: &str) -> Result<MqttOptions, BrokerError> {
        let mut options = MqttOptions::new(client_id, &self.host, self.port);
        options.set_keep_alive(Duration::from_secs(u64::from(self.keep_alive_s)));
        if let Some(username) = &self.username {
            let password = self.password_file.as_deref().map(password).transpose()?;
            options.set_credentials(username, password.unwrap_or_default());
        }
        if let (true, Some(ca_file)) = (self.tls, &self.ca_file) {
            let config = TlsConfiguration::Rustls(Arc::new(self.tls(ca_file)?));
            options.set_transport(Transport::tls_with_config(config));
        }
        Ok(options)
    }

    /// When the first certificate of each file ends, seconds since the Unix epoch. A file that cannot be read is left out: who
    /// connects says so.
    pub(crate) fn ends(&self) -> Vec<(&'static str, i64)> {
        let files = [("broker_authority", &self.ca_file), ("client_certificate", &self.cert_file)];
        let first =
            |file: &Path| certificates(file).ok()?.iter().filter_map(|one| not_after(one)).min();
        let ends = files.into_iter().filter(|_| self.tls);
        ends.filter_map(|(what, file)| Some((what, first(file.as_deref()?)?))).collect()
    }

    fn tls(&self, ca_file: &Path) -> Result<ClientConfig, BrokerError> {
        let unfit = |path: &Path, source| BrokerError::Unfit { path: path.to_owned(), source };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca_file)? {
            roots.add(certificate).map_err(|error| unfit(ca_file, error))?;
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) else {
            return Ok(builder.with_no_client_auth());
        };
        let pem = |source| BrokerError::Pem { path: key.clone(), what: "private key", source };
        let private = PrivateKeyDer::from_pem_file(key).map_err(pem)?;
        let client = builder.with_client_auth_cert(certificates(cert)?, private);
        client.map_err(|error| unfit(cert, error))
    }
}

fn password(path: &Path) -> Result<String, BrokerError> {
    let read = |source| BrokerError::Read { path: path.to_owned(), source };
    Ok(std::fs::read_to_string(path).map_err(read)?.trim_end().to_owned())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let pem = |source| BrokerError::Pem { path: path.to_owned(), what: "certificate", source };
    let all = CertificateDer::pem_file_iter(path).map_err(pem)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(pem)?;
    if all.is_empty() { Err(pem(pem::Error::NoItemsFound)) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_fit_are_refused_by_name() {
        let refused = |change: fn(&mut Broker)| {
            let mut broker = Broker::default();
            change(&mut broker);
            broker.check().unwrap_err()
        };
        assert_eq!(Broker::default().check(), Ok(()));
        assert!(refused(|b| b.tls = true).contains("ca_file"));
        assert!(refused(|b| b.cert_file = Some("c".into())).contains("key_file"));
        assert!(refused(|b| b.password_file = Some("p".into())).contains("username"));
        assert!(refused(|b| b.keep_alive_s = 4).contains("keep_alive_s"));
        assert!(refused(|b| b.port = 0).contains("port"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let path = PathBuf::from("/nowhere/password");
        let login = Some("ward".to_owned());
        let broker =
            Broker { username: login, password_file: Some(path.clone()), ..Broker::default() };
        let error = broker.options("x").unwrap_err();
        assert!(error.to_string().contains("/nowhere/password"), "{error}");
        let broker = Broker { tls: true, ca_file: Some(path), ..Broker::default() };
        assert!(broker.options("x").unwrap_err().to_string().contains("/nowhere/password"));
    }
}
