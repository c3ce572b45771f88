//! A message followed from PUBLISH to receipt, as a collector of OpenTelemetry hears of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::{PATIENCE, Site};
use crate::payloads::publish;

const ASKED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Takes OTLP by HTTP; gives each span with the service that told it, once: whoever got no answer in time tells again.
fn collector() -> (u16, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, spans) = channel();
    let known = Arc::new(Mutex::new(BTreeSet::new()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender, known) = (stream.unwrap(), sender.clone(), known.clone());
            // Ends with the process that told.
            std::thread::spawn(move || {
                while let Some(request) = request(&mut stream) {
                    let told = &request["resourceSpans"][0];
                    let service = &told["resource"]["attributes"][0]["value"]["stringValue"];
                    for span in told["scopeSpans"][0]["spans"].as_array().unwrap() {
                        if !known.lock().unwrap().insert(span["spanId"].to_string()) {
                            continue;
                        }
                        let service = service.as_str().unwrap().to_owned();
                        let _test_is_over = sender.send((service, span.clone()));
                    }
                }
            });
        }
    });
    (port, spans)
}

fn request(stream: &mut TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        assert!(!lower.starts_with("post") || lower.starts_with("post /v1/traces "), "{line}");
        line.clear();
    }
    // The other side has ended.
    if length == 0 {
        return None;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

/// Publishes by MQTT 5 with QoS 1 and a user property.
fn publish_asking(port: u16, topic: &str, payload: &str, (name, value): (&str, &str)) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(&[0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 1, b'y'])
        .unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x20);
    stream.read_exact(&mut vec![0; head[1].into()]).unwrap();
    let text =
        |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let property = [vec![0x26], text(name), text(value)].concat();
    let properties = [vec![u8::try_from(property.len()).unwrap()], property].concat();
    let body = [text(topic), vec![0, 1], properties, payload.into()].concat();
    let length = u16::try_from(body.len()).unwrap();
    assert!((0x80..0x4000).contains(&length), "two bytes say it");
    let length = [u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
    stream.write_all(&[vec![0x32], length.to_vec(), body].concat()).unwrap();
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x40);
}

/// What is told until there are so many spans of a name.
fn told(spans: &Receiver<(String, Value)>, name: &str, count: usize) -> Vec<(String, Value)> {
    let mut told: Vec<(String, Value)> = Vec::new();
    while told.iter().filter(|(_, span)| span["name"] == name).count() < count {
        told.push(spans.recv_timeout(PATIENCE).unwrap());
    }
    told
}

fn times(span: &Value) -> (u64, u64) {
    let time = |name: &str| span[name].as_str().unwrap().parse().unwrap();
    (time("startTimeUnixNano"), time("endTimeUnixNano"))
}

fn said<'a>(span: &'a Value, what: &str) -> Option<&'a Value> {
    span["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|said| said["key"] == what)
        .map(|it| &it["value"])
}

#[test]
fn inv13_one_trace_follows_a_message_from_publish_to_receipt() {
    let (port, spans) = collector();
    let site = Site::new(&format!("[traces]\nendpoint = \"http://127.0.0.1:{port}\"\n"));
    let _up = site.up();
    publish(&site, &[("dt/a/quiet/readings", br#"{"metric":"t","value":1}"#.to_vec())]);
    let payload = r#"{"metric":"t","value":2,"note":"long enough for a packet of 128 bytes"}"#;
    publish_asking(site.mqtt, "dt/a/loud/readings", payload, ("traceparent", ASKED));
    // Each service tells in its own time.
    let mut told = told(&spans, "receipt", 1);
    while told.len() < 5 {
        told.push(spans.recv_timeout(PATIENCE).unwrap());
    }
    let by_name = |(service, span): (String, Value)| {
        (span["name"].as_str().unwrap().to_owned(), (service, span))
    };
    let found: BTreeMap<_, _> = told.into_iter().map(by_name).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["decode", "forward", "land", "receipt", "store"]);
    for (name, (service, span)) in &found {
        let own = if ["store", "receipt"].contains(&name.as_str()) { "gateway" } else { "ingest" };
        assert_eq!(*service, format!("tidemark-{own}"), "{name}");
        assert_eq!(span["traceId"], ASKED[3..35], "who asked nothing is not followed: {span}");
        assert_eq!(span["parentSpanId"], ASKED[36..52]);
        assert_eq!(said(span, "tidemark.offset").unwrap()["intValue"], "1");
        let text = span.to_string();
        assert!(!text.contains("loud") && !text.contains("readings"), "{text}");
    }
    let at = |name: &str| times(&found[name].1);
    assert!(at("store").0 <= at("store").1 && at("store").1 == at("receipt").0);
    assert!(at("decode").1 <= at("land").1 && at("land").1 <= at("receipt").1);
    assert_eq!(said(&found["decode"].1, "tidemark.rows").unwrap()["intValue"], "1");
}

#[test]
fn inv13_what_an_agent_accepts_is_followed_from_there() {
    let (port, spans) = collector();
    let traces = format!("[traces]\nendpoint = \"http://127.0.0.1:{port}\"\n");
    let (site, admin, input) = Site::with_agent(&traces);
    let _agent = site.start("agent", admin);
    let line = r#"{"topic":"dt/w/dev/readings","payload":{"metric":"t","value":1}}"#;
    let send = |headers: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", input)).unwrap();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n{headers}\r\n",
            line.len()
        );
        stream.write_all(format!("{head}{line}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    send("");
    send(&format!("traceparent: {}\r\n", "0".repeat(300)));
    send(&format!("traceparent: {ASKED}\r\n"));
    let _up = site.up();
    let mut told = told(&spans, "land", 1);
    while told.len() < 3 {
        told.push(spans.recv_timeout(PATIENCE).unwrap());
    }
    let found: BTreeMap<_, _> =
        told.iter().map(|(_, span)| (span["name"].as_str().unwrap(), span)).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&"decode", &"forward", &"land"]);
    for span in found.values() {
        assert_eq!(span["traceId"], ASKED[3..35], "who asked nothing is not followed: {span}");
        assert_eq!(said(span, "tidemark.offset").unwrap()["intValue"], "2");
    }
    let at = |name: &str| times(found[name]);
    assert!(at("forward").0 < at("forward").1 && at("forward").1 == at("decode").0);
}

#[test]
fn inv13_publishers_that_cannot_ask_are_followed_one_in_so_many() {
    let (port, spans) = collector();
    let site = Site::new(&format!(
        "[traces]\nendpoint = \"http://127.0.0.1:{port}/\"\nsample_every = 2\n"
    ));
    let up = site.up();
    let cut: Vec<u8> = br#"{"metric":"t","val"#.to_vec();
    let messages: Vec<_> = (0..4).map(|_| ("dt/a/d/readings", cut.clone())).collect();
    publish(&site, &messages);
    let mut all = told(&spans, "message", 2);
    // What ingest has not told yet it tells at its end.
    up.stop();
    all.extend(spans.try_iter());
    let all: Vec<Value> = all.into_iter().map(|(_, span)| span).collect();
    let ids: BTreeSet<_> = all.iter().map(|it| it["traceId"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), all.len()), (2, 12), "of four messages: {all:?}");
    let first = all.iter().find(|span| span["name"] == "message").unwrap();
    assert_eq!(first["parentSpanId"], Value::Null);
    let id = &first["traceId"];
    let own: Vec<_> = all.iter().filter(|span| span["traceId"] == *id).collect();
    for span in own.iter().filter(|span| span["name"] != "message") {
        assert_eq!(span["parentSpanId"], first["spanId"]);
    }
    let decode = all.iter().find(|span| span["name"] == "decode").unwrap();
    assert!(said(decode, "tidemark.dead_letter").is_some(), "{decode}");
}

#[test]
fn inv13_a_collector_that_is_away_holds_up_nothing_and_what_it_misses_is_counted() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = Site::new(&format!(
        "[traces]\nendpoint = \"http://127.0.0.1:{nowhere}\"\nsample_every = 1\n"
    ));
    let _up = site.up();
    publish(&site, &[("dt/a/d/readings", br#"{"metric":"t","value":1}"#.to_vec())]);
    site.wait_landed();
    crate::harness::wait_for("what was not told to be counted", || {
        site.status()["counts"]["dropped"]["trace_spans"].as_u64().is_some_and(|n| n > 0)
    });
    assert_eq!(site.rows("readings"), 1);
}
