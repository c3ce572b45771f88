//! Connections that say nothing, or next to nothing, or ask for what takes long: each costs one task and a place, and its neighbours
//! are served meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::access::config::TlsConfig;
use gateway::listener::config::{ListenerConfig, Transport};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::neighbour::Neighbour;
use crate::process::Process;
use crate::wire::{Client, Connect, PATIENCE, Publish, Subscribe, TestGateway, Version};

/// A gateway with a port for each transport, and little patience.
async fn gateway(folder: &tempfile::TempDir) -> TestGateway {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    TestGateway::with(|config| {
        config.limits.connect_time_ms = 700;
        let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
        config.listeners = [Transport::Tls, Transport::Ws, Transport::Wss]
            .map(|transport| ListenerConfig { listen, transport })
            .to_vec();
        config.tls = TlsConfig {
            cert_file: Some(cert_file),
            key_file: Some(key_file),
            ..TlsConfig::default()
        };
    })
    .await
}

/// Waits for the end of a connection to which a byte is written now and then.
async fn dripping(mut socket: TcpStream, bytes: Vec<u8>) {
    let mut bytes = bytes.into_iter().cycle();
    let mut answer = [0; 512];
    let ended = async {
        loop {
            let byte = [bytes.next().unwrap_or_default()];
            if socket.write_all(&byte).await.is_err() {
                return;
            }
            let heard = timeout(Duration::from_millis(50), socket.read(&mut answer)).await;
            if matches!(heard, Ok(Ok(0) | Err(_))) {
                return;
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("it is given up");
}

#[tokio::test]
async fn t3_silent_and_dripping_connections_hold_nobody_up_on_any_transport() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(&folder).await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    let mut slow = tokio::task::JoinSet::new();
    // The beginnings of a CONNECT, of a TLS record, and of a WebSocket's handshake.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0; 200]].concat();
    let upgrade =
        b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nX-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec();
    let beginnings = [Connect::v5("a").bytes()[..12].to_vec(), hello.clone(), upgrade, hello];
    for (address, beginning) in gateway.addresses.clone().into_iter().zip(beginnings) {
        for n in 0..20 {
            let socket = TcpStream::connect(address).await.unwrap();
            let beginning = beginning.clone();
            slow.spawn(async move {
                if n % 2 == 0 {
                    let mut socket = socket;
                    let ended = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await;
                    // A reset is an end as well.
                    drop(ended.expect("it is given up"));
                } else {
                    dripping(socket, beginning).await;
                }
            });
        }
    }
    neighbour.is_served().await;
    while let Some(ended) = slow.join_next().await {
        ended.unwrap();
    }
    neighbour.is_served().await;
    gateway.counted("gateway_connections 1").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_packet_that_never_ends_is_given_up_by_its_keep_alive() {
    let gateway = TestGateway::start().await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let publish = Publish::new("cmd/a", "x".repeat(100_000)).bytes(Version::V5);
    let connect = Connect::v5("slow").keep_alive(1).bytes();
    socket.write_all(&[&connect, &publish[..50_000]].concat()).await.unwrap();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await;
    drop(ended.expect("it is given up"));
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn whoever_has_retained_messages_looked_through_all_the_time_has_no_more_than_its_turn() {
    let process = Process::with_limits("").await;
    let mut neighbour = Neighbour::of(process.address).await;
    let mut nurse = Client::connect_to(process.address, Connect::v5("nurse")).await;
    for n in 0..100 {
        let burst = (0..100).flat_map(|m| {
            let topic = format!("cmd/a/b/c/d/{}", n * 100 + m);
            Publish::new(&topic, "x").retain().bytes(Version::V5)
        });
        nurse.send(&burst.collect::<Vec<u8>>()).await;
    }
    nurse.hears_nothing().await;
    let mut attackers = Vec::new();
    for n in 0..4 {
        let name = format!("attacker-{n}");
        let mut client = Client::connect_to(process.address, Connect::v5(&name)).await;
        // A thousand times all ten thousand, and none is found.
        let filter = "+/a/b/c/+/nothing";
        let all = (1..1_000).fold(Subscribe::new(filter, 0), |all, _| all.and(filter, 0));
        client.send(&all.bytes(Version::V5)).await;
        attackers.push(client);
    }
    timeout(PATIENCE / 2, neighbour.is_served()).await.expect("it has its turn");
}
