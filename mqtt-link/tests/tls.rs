//! A broker by TLS that wants a certificate and a login: what the settings say is what it gets.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mqtt_link::{Broker, Trouble};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rumqttc::{AsyncClient, Event, Packet};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a certificate and its key, signed by `issuer`.
fn issue(folder: &Path, name: &str, issuer: &CertifiedIssuer<'_, KeyPair>) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&files.0, certificate.pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    files
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(ca: &CertifiedIssuer<'_, KeyPair>, cert: &Path, key: &Path) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn certificate_and_login_reach_the_broker_and_who_has_none_is_told() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = authority();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let server = issue(folder.path(), "localhost", &ca);
    let client = issue(folder.path(), "ward-1", &ca);
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "open sesame\n").unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = Broker {
        host: "localhost".into(),
        port: listener.local_addr().unwrap().port(),
        tls: true,
        ca_file: Some(ca_file),
        cert_file: Some(client.0),
        key_file: Some(client.1),
        username: Some("ward-1".into()),
        password_file: Some(password_file),
        ..Broker::default()
    };
    let acceptor = acceptor(&ca, &server.0, &server.1);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut connect = vec![0; 512];
        let count = stream.read(&mut connect).await.unwrap();
        stream.write_all(b"\x20\x02\x00\x00").await.unwrap();
        String::from_utf8_lossy(&connect[..count]).into_owned()
    };
    let (_client, mut events) = AsyncClient::new(broker.options("ward-1@input").unwrap(), 4);
    let (connect, event) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(serve, events.poll()) }).await.unwrap();
    assert!(matches!(event.unwrap(), Event::Incoming(Packet::ConnAck(_))));
    for part in ["ward-1@input", "ward-1", "open sesame"] {
        assert!(connect.contains(part), "{part}");
    }
    assert!(!connect.contains("sesame\n"), "the line's end is not part of the password");

    let nobody = Broker { cert_file: None, key_file: None, ..broker };
    let refuse = async {
        let (stream, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(stream).await.is_err(), "it wants a certificate");
    };
    let (_client, mut events) = AsyncClient::new(nobody.options("x").unwrap(), 4);
    let ((), event) = tokio::time::timeout(PATIENCE, async { tokio::join!(refuse, events.poll()) })
        .await
        .unwrap();
    assert_eq!(Trouble::of(&event.unwrap_err()).reason(), "unreachable");
}
