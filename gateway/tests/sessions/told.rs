//! What the operator reads in the log of a gateway's process.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::durable::Gateway;
use crate::free_address::free_address;
use crate::harness::PATIENCE;

/// Connects as `mon-1` by 3.1.1, sends bytes and waits until the gateway has closed.
async fn cut_after(gateway: &Gateway, bytes: &[u8]) {
    let connect = [&[0x10, 17, 0, 4][..], b"MQTT", &[4, 2, 0, 60, 0, 5], b"mon-1"].concat();
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    // It may be closed before all is written.
    drop(socket.write_all(&[&connect, bytes].concat()).await);
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    drop(closed.expect("the connection is closed"));
}

fn lines(folder: &Path, what: &str) -> Vec<String> {
    let log = std::fs::read_to_string(folder.join("gateway.log")).unwrap();
    log.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
}

async fn said(folder: &Path, what: &str) -> Vec<String> {
    let search = async {
        loop {
            let found = lines(folder, what);
            if !found.is_empty() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("{what} is in the log"))
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_the_log_names_who_sent_too_much_where_and_how_much_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), free_address()).await;
    // Ten megabytes are announced for dt/w/mon-1/fhir, and the secret is in the first bytes.
    let publish = [&[0x30, 0x80, 0xad, 0xe2, 0x04, 0, 15][..], b"dt/w/mon-1/fhir", b"secret"];
    for _ in 0..20 {
        cut_after(&gateway, &publish.concat()).await;
    }
    let told = said(folder.path(), "disconnected a client").await;
    let [line] = told.as_slice() else { panic!("a flood is one line: {told:#?}") };
    for word in [
        "client=mon-1",
        "peer=127.0.0.1",
        "mqtt=\"3.1.1\"",
        "packet_too_large",
        "dt/w/mon-1/fhir",
        "size=10000005",
        "limit=8000000",
        "packet_bytes_max",
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(!line.contains("secret") && !line.contains('\u{1b}'), "{line}");
    gateway.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_the_log_tells_of_refusals_and_of_topics_of_the_servers_own() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), free_address()).await;
    let dollar = [&[0x30, 8, 0, 6][..], b"$SYS/x", &[0xe0, 0]].concat();
    cut_after(&gateway, &dollar).await;
    let told = said(folder.path(), "topic of the server's own").await;
    assert!(told[0].contains("$SYS/x") && told[0].contains("mon-1"), "{told:?}");
    // A CONNECT of a version that nobody knows.
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    socket
        .write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 9, 2, 0, 60, 0, 1, b'x'])
        .await
        .unwrap();
    let told = said(folder.path(), "refused a client").await;
    assert!(told[0].contains("unsupported_version") && told[0].contains("remedy"), "{told:?}");
    gateway.kill();
}
