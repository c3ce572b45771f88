//! The handshake and the stream of a WebSocket, byte by byte where a client could do harm.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const FRAME_MAX: usize = 100_000;

fn request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

async fn open(request: String) -> (Result<Opened<DuplexStream>, Error>, String, DuplexStream) {
    let (mut client, server) = duplex(1 << 20);
    client.write_all(request.as_bytes()).await.unwrap();
    let opened = accept(server, (FRAME_MAX + 10_000, FRAME_MAX)).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    (opened, String::from_utf8(answer).unwrap(), client)
}

async fn connected() -> (WsStream<DuplexStream>, DuplexStream) {
    let (opened, _, client) = open(request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")).await;
    (opened.ok().unwrap().stream, client)
}

/// A frame as a client writes it: masked, here with a mask that leaves the bytes as they are.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn the_handshake_agrees_on_mqtt() {
    let (opened, answer, _) = open(request("/mqtt", "Sec-WebSocket-Protocol: x, mqtt\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.to_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{answer}");
    assert!(!opened.ok().unwrap().from_page);
    let page = "Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://example.org\r\n";
    assert!(open(request("/", page)).await.0.ok().unwrap().from_page);
    for (path, headers, status) in [
        ("/mqtt", "", "400"),
        ("/mqtt", "Sec-WebSocket-Protocol: chat\r\n", "400"),
        ("/admin", "Sec-WebSocket-Protocol: mqtt\r\n", "404"),
    ] {
        let (opened, answer, _) = open(request(path, headers)).await;
        assert!(opened.is_err() && answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn frames_are_one_stream_of_bytes() {
    let (mut stream, mut client) = connected().await;
    // Split over frames, fragments and an interleaved ping.
    let mut sent = frame(0x82, b"ab");
    sent.extend(frame(0x02, b"cd"));
    sent.extend(frame(0x89, b"ping"));
    sent.extend(frame(0x80, b"ef"));
    sent.extend(frame(0x82, b""));
    sent.extend(frame(0x82, &[b'x'; 300]));
    client.write_all(&sent).await.unwrap();
    let mut read = [0; 306];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read[..6], b"abcdef");
    stream.write_all(&[7; 70_000]).await.unwrap();
    stream.flush().await.unwrap();
    let mut pong = [0; 6];
    client.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8a\x04ping");
    let mut header = [0; 10];
    client.read_exact(&mut header).await.unwrap();
    assert_eq!(header[..2], [0x82, 127], "binary and unmasked");
    assert_eq!(u64::from_be_bytes(header[2..].try_into().unwrap()), 65_536);
}

#[tokio::test]
async fn what_is_not_binary_or_too_long_or_unmasked_ends_the_stream() {
    let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes()[..], &[0; 4]].concat();
    let long = [&[0x82, 0xff][..], &(FRAME_MAX as u64 + 1).to_be_bytes()[..], &[0; 4]].concat();
    for bad in [
        frame(0x81, b"text"),
        vec![0x82, 2, b'a', b'b'],
        frame(0x83, b"reserved"),
        frame(0xc2, b"reserved bit"),
        frame(0x80, b"continues nothing"),
        huge,
        long,
    ] {
        let (mut stream, mut client) = connected().await;
        client.write_all(&bad).await.unwrap();
        assert!(stream.read_u8().await.is_err(), "{bad:x?}");
    }
    // Fragments that together are too long.
    let (mut stream, mut client) = connected().await;
    let feed = async {
        client.write_all(&frame(0x02, &[0; 60_000])).await.unwrap();
        drop(client.write_all(&frame(0x00, &[0; 60_000])).await);
    };
    let (read, ()) = tokio::join!(stream.read_u8(), feed);
    assert!(read.is_err());
}

#[tokio::test]
async fn inv8_a_client_that_nobody_knows_makes_no_more_wait_than_its_connect_may_have() {
    let (mut client, server) = duplex(1 << 20);
    let open = request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n");
    client.write_all(open.as_bytes()).await.unwrap();
    let mut stream = accept(server, (20_000, FRAME_MAX)).await.ok().unwrap().stream;
    client.write_all(&frame(0x82, &[1; 10_000])).await.unwrap();
    stream.read_exact(&mut [0; 10_000]).await.unwrap();
    let half = frame(0x82, &[1; 60_000]);
    client.write_all(&half[..30_000]).await.unwrap();
    assert!(stream.read_u8().await.is_err(), "before it is complete");
    // Once it is known, as much as anybody.
    let (mut stream, mut client) = connected().await;
    stream.trust();
    for _ in 0..20 {
        client.write_all(&frame(0x82, &[1; 60_000])).await.unwrap();
        stream.read_exact(&mut [0; 60_000]).await.unwrap();
    }
}

#[tokio::test]
async fn a_close_is_the_end_of_the_stream() {
    let (mut stream, mut client) = connected().await;
    client.write_all(&frame(0x88, &[0x03, 0xe8])).await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    let (mut stream, client) = connected().await;
    drop(client);
    let read = stream.read(&mut [0; 8]).await;
    assert!(read.is_err() || read.unwrap() == 0);
}
