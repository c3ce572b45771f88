//! Every transport from a client's socket to its stream, with the certificates that were made for it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use service_runtime::{Clock, Metrics, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::acceptor::Acceptor;
use super::config::{ListenerConfig, Transport};
use super::handshake::{Arrived, HandshakeError, handshake};
use super::tls::Tls;
use crate::access::config::{AccessConfig, CertificateName, ClientCertificates, TlsConfig};
use crate::access::login::Credentials;
use crate::access::trust::{Trust, provider};
use crate::access::{Access, Denied, Names, expiry, reload};

/// An authority with a folder for what it issues.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let authority = Self { folder, issuer: Issuer::new(params, key) };
        authority.issue("localhost", 1);
        authority.revoke(&[]);
        authority
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str, serial: u64) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        replace(&self.path(&format!("{name}.pem")), &certificate.pem());
        replace(&self.path(&format!("{name}.key")), &key.serialize_pem());
    }

    fn revoke(&self, serials: &[u64]) {
        self.revoke_until(serials, 2124);
    }

    /// Writes a list that ends with the year before.
    fn revoke_until(&self, serials: &[u64], year: i32) {
        let day = rcgen::date_time_ymd;
        let list = CertificateRevocationListParams {
            this_update: day(2024, 1, 1),
            next_update: day(year, 1, 1),
            crl_number: SerialNumber::from(serials.len() as u64 + 1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: day(2024, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        replace(&self.path("crl.pem"), &list.signed_by(&self.issuer).unwrap().pem().unwrap());
    }

    fn config(&self, client_certificates: ClientCertificates) -> TlsConfig {
        TlsConfig {
            cert_file: Some(self.path("localhost.pem")),
            key_file: Some(self.path("localhost.key")),
            client_certificates,
            client_ca_file: Some(self.path("ca.pem")),
            crl_files: vec![self.path("crl.pem")],
        }
    }

    /// A client that trusts the authority, with a certificate of that name if one is given.
    fn client(&self, name: Option<&str>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let path = self.path(&format!("{name}.pem"));
                let chain = vec![CertificateDer::from_pem_file(path).unwrap()];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Arc::new(config).into()
    }
}

/// As an operator should: nobody sees half a file.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn access() -> Access {
    let config = AccessConfig {
        certificate_roles: vec!["device".into()],
        certificate_name: CertificateName::San,
        ..AccessConfig::default()
    };
    let names = Names { control: "tm/v1".into(), gateway: "gateway".into() };
    Access::open(&config, names, Clock::default(), &Metrics::default()).unwrap().0
}

async fn bind(transport: Transport, tls: Option<&Tls>) -> (Acceptor, std::net::SocketAddr) {
    let mut acceptor = Acceptor::new(0);
    let listen = ([127, 0, 0, 1], 0).into();
    let address = acceptor.bind(&ListenerConfig { listen, transport }, tls, 1 << 16).await.unwrap();
    (acceptor, address)
}

/// Connects by TLS; the server's side, and what the client has.
async fn connect(
    acceptor: &mut Acceptor,
    client: &TlsConnector,
) -> (Result<Arrived, HandshakeError>, std::io::Result<TlsStream<TcpStream>>) {
    let address = acceptor.addresses().unwrap()[0].1;
    let name = ServerName::try_from("localhost").unwrap();
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        client.connect(name, stream).await
    };
    let server = async { handshake(acceptor.accept().await.unwrap()).await };
    tokio::join!(server, client)
}

fn offer(arrived: &Arrived) -> Credentials<'_> {
    Credentials {
        peer: arrived.peer,
        is_local: arrived.is_local,
        client_id: "",
        username: None,
        password: None,
        certificate: arrived.certificate.as_ref(),
    }
}

#[tokio::test]
async fn a_plain_stream_arrives_as_it_is() {
    let (mut acceptor, address) = bind(Transport::Tcp, None).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut arrived = handshake(acceptor.accept().await.unwrap()).await.unwrap();
    assert!(arrived.is_local && arrived.certificate.is_none());
    assert_eq!(&*arrived.listener, format!("tcp {address}"));
    client.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    arrived.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_verified() {
    let (ours, others) = (Authority::new(), Authority::new());
    ours.issue("mon-1", 7);
    others.issue("mon-1", 7);
    let access = access();
    let tls = Tls::load(&ours.config(ClientCertificates::Required), &access).unwrap();
    let (mut acceptor, _) = bind(Transport::Tls, Some(&tls)).await;
    let (arrived, client) = connect(&mut acceptor, &ours.client(Some("mon-1"))).await;
    let (mut arrived, mut client) = (arrived.unwrap(), client.unwrap());
    let identity = access.authenticate(&offer(&arrived)).await.unwrap();
    assert_eq!((identity.name(), identity.kind()), ("mon-1", "certificate"));
    arrived.stream.write_all(&[9; 100_000]).await.unwrap();
    arrived.stream.flush().await.unwrap();
    let mut read = vec![0; 100_000];
    client.read_exact(&mut read).await.unwrap();
    assert!(read.iter().all(|byte| *byte == 9));
    let (none, _) = connect(&mut acceptor, &ours.client(None)).await;
    assert!(matches!(none, Err(HandshakeError::Tls(_))));
    // Their certificate, our server: the client trusts us, we do not trust it.
    fs::copy(others.path("mon-1.pem"), ours.path("forged.pem")).unwrap();
    fs::copy(others.path("mon-1.key"), ours.path("forged.key")).unwrap();
    let (forged, _) = connect(&mut acceptor, &ours.client(Some("forged"))).await;
    assert!(matches!(forged, Err(HandshakeError::Tls(_))));
    // Optional: without one the client has proved nothing yet.
    let tls = Tls::load(&ours.config(ClientCertificates::Optional), &access).unwrap();
    let (mut acceptor, _) = bind(Transport::Tls, Some(&tls)).await;
    let (none, _client) = connect(&mut acceptor, &ours.client(None)).await;
    assert!(none.unwrap().certificate.is_none());
}

#[tokio::test]
async fn revocation_and_a_new_certificate_take_effect_without_a_restart() {
    let authority = Authority::new();
    authority.issue("mon-1", 7);
    authority.issue("mon-2", 8);
    let access = access();
    let config = authority.config(ClientCertificates::Required);
    let tls = Tls::load(&config, &access).unwrap();
    let (mut acceptor, _) = bind(Transport::Tls, Some(&tls)).await;
    // One connector for all attempts: it would resume its TLS session if the server let it.
    let (one, two) = (authority.client(Some("mon-1")), authority.client(Some("mon-2")));
    let mut identities = Vec::new();
    for client in [&one, &two] {
        let (arrived, client) = connect(&mut acceptor, client).await;
        let mut arrived = arrived.unwrap();
        identities.push(access.authenticate(&offer(&arrived)).await.unwrap());
        // Lets the client take its session tickets.
        arrived.stream.write_all(b"x").await.unwrap();
        arrived.stream.flush().await.unwrap();
        client.unwrap().read_u8().await.unwrap();
    }
    let mut generation = access.generation();
    let stop = Stop::new();
    let watched = vec![tls.watched(&config, &access)];
    let (audit, metrics) = (access.audit().clone(), access.metrics().clone());
    let watching = reload::run(watched, audit, metrics, stop.clone());
    let scenario = async {
        authority.revoke(&[7]);
        tokio::time::timeout(Duration::from_secs(60), generation.changed()).await.unwrap().unwrap();
        assert_eq!(access.refresh(&identities[0]), Err(Denied::Revoked));
        assert_eq!(access.refresh(&identities[1]), Ok(identities[1].clone()));
        assert!(connect(&mut acceptor, &one).await.0.is_err());
        let (still, _client) = connect(&mut acceptor, &two).await;
        still.unwrap();
        // A new certificate, its key a moment later.
        authority.issue("localhost", 9);
        tokio::time::timeout(Duration::from_secs(60), generation.changed()).await.unwrap().unwrap();
        let (_arrived, client) = connect(&mut acceptor, &two).await;
        let client = client.unwrap();
        let shown = client.get_ref().1.peer_certificates().unwrap()[0].clone();
        let expected = CertificateDer::from_pem_file(authority.path("localhost.pem")).unwrap();
        assert_eq!(shown, expected);
        stop.cancel();
    };
    let (watching, ()) = tokio::join!(watching, scenario);
    watching.unwrap();
}

#[tokio::test]
async fn nobody_gets_in_by_a_revocation_list_that_has_ended() {
    let authority = Authority::new();
    authority.issue("mon-1", 7);
    authority.revoke_until(&[], 2025);
    let access = access();
    let tls = Tls::load(&authority.config(ClientCertificates::Required), &access).unwrap();
    let (mut acceptor, _) = bind(Transport::Tls, Some(&tls)).await;
    let client = authority.client(Some("mon-1"));
    let (arrived, _client) = connect(&mut acceptor, &client).await;
    assert!(matches!(arrived, Err(HandshakeError::Tls(_))), "{:?}", arrived.map(|_| ()));
    let chain = [CertificateDer::from_pem_file(authority.path("mon-1.pem")).unwrap()];
    let config = authority.config(ClientCertificates::Required);
    let trust = Trust::load(&config).unwrap().unwrap();
    let now_us = Clock::default().now_us();
    assert!(!trust.accepts(&chain, now_us), "nor stays in");
    authority.revoke(&[]);
    assert!(Trust::load(&config).unwrap().unwrap().accepts(&chain, now_us));
    // It is metered, whatever the log says.
    let stop = Stop::new();
    stop.cancel();
    expiry::run(access.clone(), stop).await.unwrap();
    let left = access.metrics().left("revocation_list");
    assert!(left < -86_400, "{left}");
    assert!(access.metrics().left("server_certificate") > 86_400);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    authority.issue("mon-1", 7);
    let access = access();
    let good = authority.config(ClientCertificates::Required);
    let problem = |config: TlsConfig| Tls::load(&config, &access).unwrap_err().to_string();
    let shown = problem(TlsConfig { cert_file: None, ..good.clone() });
    assert!(shown.contains("tls.cert_file"), "{shown}");
    let shown = problem(TlsConfig { key_file: Some(authority.path("mon-1.key")), ..good.clone() });
    assert!(shown.contains("localhost.pem"), "the key is another certificate's: {shown}");
    let shown = problem(TlsConfig { client_ca_file: Some("/nowhere".into()), ..good.clone() });
    assert!(shown.contains("/nowhere"), "{shown}");
    let shown = problem(TlsConfig { crl_files: vec![authority.path("ca.pem")], ..good });
    assert!(shown.contains("revocation list"), "{shown}");
}

#[tokio::test]
async fn mqtt_over_a_secure_websocket() {
    let authority = Authority::new();
    let access = access();
    let tls = Tls::load(&authority.config(ClientCertificates::Optional), &access).unwrap();
    let (mut acceptor, address) = bind(Transport::Wss, Some(&tls)).await;
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = authority.client(None).connect(name, stream).await.unwrap();
        let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://example.org\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"\x82\x85\0\0\0\0hello").await.unwrap();
        stream
    };
    let server = async {
        let mut arrived = handshake(acceptor.accept().await.unwrap()).await.unwrap();
        let mut read = [0; 5];
        arrived.stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
        assert!(!arrived.is_local, "a page is never anonymous");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_silent_client_holds_nobody_up_and_an_address_has_its_limit() {
    let authority = Authority::new();
    let access = access();
    let tls = Tls::load(&authority.config(ClientCertificates::None), &access).unwrap();
    let mut acceptor = Acceptor::new(2);
    let config = ListenerConfig { listen: ([127, 0, 0, 1], 0).into(), transport: Transport::Tls };
    let address = acceptor.bind(&config, Some(&tls), 1 << 16).await.unwrap();
    let _silent = TcpStream::connect(address).await.unwrap();
    let silent = acceptor.accept().await.unwrap();
    let client = authority.client(None);
    let (arrived, _client) = tokio::select! {
        _ = handshake(silent) => panic!("there was nothing to shake hands with"),
        connected = connect(&mut acceptor, &client) => connected,
    };
    let first = arrived.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let second = acceptor.accept().await.unwrap();
    let _third = TcpStream::connect(address).await.unwrap();
    assert!(acceptor.accept().await.is_err(), "two are the limit");
    drop((first, second));
    let _fourth = TcpStream::connect(address).await.unwrap();
    assert!(acceptor.accept().await.is_ok());
}
