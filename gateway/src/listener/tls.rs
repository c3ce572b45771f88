//! The server's side of TLS: its certificate and whom it asks for one, read again when the files change.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

use crate::access::config::TlsConfig;
use crate::access::expiry::endings;
use crate::access::reload::Watched;
use crate::access::trust::{Trust, certificates, provider, unfit};
use crate::access::{Access, TlsError, chain};

/// What TLS listeners answer with. Cheap to clone; clones see a reload.
#[derive(Clone)]
pub(crate) struct Tls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads certificate, key, authorities and revocation lists.
    pub(crate) fn load(config: &TlsConfig, access: &Access) -> Result<Self, TlsError> {
        let (server, trust) = read(config)?;
        access.set_endings(endings(config)?);
        access.set_trust(trust);
        Ok(Self { current: Arc::new(RwLock::new(server)) })
    }

    /// Returns the files to watch.
    pub(crate) fn watched(&self, config: &TlsConfig, access: &Access) -> Watched {
        let TlsConfig { cert_file, key_file, client_ca_file, crl_files, .. } = config;
        let files = cert_file.iter().chain(key_file).chain(client_ca_file).chain(crl_files);
        let files = files.cloned().collect();
        let (tls, config, access) = (self.clone(), config.clone(), access.clone());
        Watched::new("tls", files, move || {
            let (server, trust) = read(&config).map_err(chain)?;
            access.set_endings(endings(&config).map_err(chain)?);
            // A new server configuration has no memory of old TLS sessions: none is resumed that today's lists would refuse.
            *tls.current.write().unwrap_or_else(PoisonError::into_inner) = server;
            access.set_trust(trust);
            Ok(())
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn read(config: &TlsConfig) -> Result<(Arc<ServerConfig>, Option<Trust>), TlsError> {
    let cert_file = config.cert_file.as_ref().ok_or(TlsError::Missing("cert_file"))?;
    let key_file = config.key_file.as_ref().ok_or(TlsError::Missing("key_file"))?;
    let certificates = certificates(cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|source| TlsError::Pem {
        path: key_file.clone(),
        what: "private key",
        source: Some(source),
    })?;
    let trust = Trust::load(config)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unfit(cert_file))?;
    let builder = match &trust {
        Some(trust) => builder.with_client_cert_verifier(trust.verifier()),
        None => builder.with_no_client_auth(),
    };
    // Also notices a key that is not the certificate's, as while only one of them has been replaced.
    let server = builder.with_single_cert(certificates, key).map_err(unfit(cert_file))?;
    Ok((Arc::new(server), trust))
}
