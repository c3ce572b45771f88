//! The publisher against a minimal gateway: what it promises about packet ids, resends, refusals and the journal.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use service_runtime::Stop;
use service_runtime::http::{self, Request, Response, StatusCode};
use telemetry_core::receipt::Receipt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::mqtt::Place;
use super::mqtt::server::{self, FromClient};
use crate::audit::{Audit, AuditReport, LakeRow, Unproven};
use crate::config::{Config, Disorder as DisorderConfig, MqttVersion, Pace};
use crate::disorder::Disorder;
use crate::journal::{Entry, JournalReader};
use crate::message::{Message, Run};
use crate::plan::Plan;
use crate::simulation::Simulation;

/// What the gateway cuts the connection for.
const POISON: &[u8] = b"POISON";

/// What the gateway does with the n-th PUBLISH of all, counted from 1.
type Conduct = Arc<dyn Fn(u64) -> Reaction + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Accept,
    /// Accept, but the answer never leaves: the connection breaks.
    AcceptAndBreak,
    Ignore,
    OverQuota,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Received {
    client_id: String,
    pkid: u16,
    dup: bool,
    topic: String,
    payload: Bytes,
    accepted: bool,
}

/// A gateway that stores nothing but a list.
struct Gateway {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    _tasks: JoinSet<()>,
}

impl Gateway {
    async fn start(
        version: MqttVersion,
        conduct: impl Fn(u64) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, conduct): (_, Conduct) = (received.clone(), Arc::new(conduct));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                clients.spawn(serve(stream, version, log.clone(), conduct.clone()));
            }
        });
        Self { address, received, _tasks: tasks }
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    version: MqttVersion,
    log: Arc<Mutex<Vec<Received>>>,
    conduct: Conduct,
) {
    let (mut bytes, mut out, mut client, mut places) =
        (BytesMut::new(), BytesMut::new(), String::new(), false);
    let mut listens = false;
    loop {
        while let Some(packet) = server::decode(version, &mut bytes) {
            match packet {
                FromClient::Connect { client_id, receipts } => {
                    (client, places) = (client_id, receipts);
                    server::connack(version, &mut out);
                }
                FromClient::Subscribe { pkid } => {
                    server::suback(version, &mut out, pkid);
                    listens = true;
                }
                FromClient::Ping => server::pong(&mut out),
                FromClient::Disconnect => return,
                // As a gateway does with what it can never take.
                FromClient::Publish { payload, .. } if payload.starts_with(POISON) => return,
                FromClient::Publish { pkid, dup, topic, payload } => {
                    let (client_id, offset, reaction) = {
                        let mut log = log.lock().unwrap();
                        let reaction = conduct(log.len() as u64 + 1);
                        let accepted =
                            matches!(reaction, Reaction::Accept | Reaction::AcceptAndBreak);
                        let offset = log.iter().filter(|r| r.accepted).count() as u64;
                        log.push(Received {
                            client_id: client.clone(),
                            pkid,
                            dup,
                            topic,
                            payload,
                            accepted,
                        });
                        (client.clone(), offset, reaction)
                    };
                    let place = places.then(|| Place {
                        source: "gw".into(),
                        epoch: "0000000000000001".into(),
                        offset,
                    });
                    match reaction {
                        Reaction::Accept => server::puback(version, &mut out, pkid, place, false),
                        Reaction::OverQuota => server::puback(version, &mut out, pkid, None, true),
                        Reaction::Ignore => {}
                        // Nobody hears that this one was accepted; those before it were answered.
                        Reaction::AcceptAndBreak => {
                            return drop((stream.write_all_buf(&mut out).await, client_id));
                        }
                    }
                }
            }
        }
        if listens {
            let landed = log.lock().unwrap().iter().filter(|r| r.accepted).count() as u64;
            server::publish(
                version,
                &mut out,
                "tm/v1/receipt/gw/0000000000000001",
                &receipt(landed).to_json(),
            );
        }
        if stream.write_all_buf(&mut out).await.is_err() {
            return;
        }
        // A listener is told how far things are every few milliseconds.
        let wait = if listens { Duration::from_millis(5) } else { Duration::from_secs(3600) };
        let read = tokio::time::timeout(wait, stream.read_buf(&mut bytes)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            return;
        }
    }
}

fn receipt(landed: u64) -> Receipt {
    Receipt {
        v: 1,
        lake_id: "lake".into(),
        source_id: "gw".parse().unwrap(),
        epoch: "0000000000000001".parse().unwrap(),
        landed,
        chain: 0,
        resend_from: None,
        window: 0,
        word_ms: None,
        worker: "test".into(),
        at: 0,
    }
}

fn config(gateway: &Gateway, mqtt: MqttVersion, journal: &Path) -> Config {
    let mut config = Config {
        gateway: gateway.address.clone(),
        mqtt,
        journal: Some(journal.into()),
        ..Config::default()
    };
    (config.ward.beds, config.ward.pumps, config.ward.rooms) = (3, 2, 2);
    (config.pace, config.messages) = (Pace::Acknowledged, Some(500));
    config
}

async fn run(config: Config) -> crate::Summary {
    Simulation::new(config).unwrap().run(Stop::new()).await.unwrap()
}

/// The messages that a run of `config` sends, by topic and bytes.
fn messages(config: &Config) -> HashMap<(String, Bytes), Message> {
    let plan = Plan::open(config, Run::of_boot(1), &Arc::default(), None).unwrap();
    Disorder::new(plan, config.disorder.clone(), config.seed)
        .map(|outgoing| outgoing.unwrap().message)
        .take(2_000)
        .map(|message| ((message.topic.to_string(), message.payload.clone()), message))
        .collect()
}

/// The audit of a lake that has exactly what the gateway accepted.
fn audit(gateway: &Gateway, config: &Config, keep: impl Fn(usize) -> bool) -> AuditReport {
    let messages = messages(config);
    let mut audit = Audit::new(None).unwrap();
    let accepted = gateway.received().into_iter().filter(|r| r.accepted);
    for (n, received) in accepted.enumerate().filter(|(n, _)| keep(*n)) {
        let message = &messages[&(received.topic, received.payload)];
        for row in LakeRow::of_message(i64::try_from(n).unwrap(), message) {
            audit.add(&row).unwrap();
        }
    }
    audit.finish(config.journal.as_ref().unwrap()).unwrap()
}

#[tokio::test]
async fn inv1_every_message_is_acknowledged_and_journalled_in_both_versions() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let gateway = Gateway::start(version, |_| Reaction::Accept).await;
        let journal = tempfile::tempdir().unwrap();
        let config = config(&gateway, version, journal.path());
        let summary = run(config.clone()).await;
        assert_eq!(
            (summary.published, summary.acknowledged, summary.unacknowledged),
            (500, 500, 0)
        );
        assert_eq!((summary.resent, summary.publish_to_puback.count), (0, 500));
        let received = gateway.received();
        assert!(received.iter().all(|r| !r.dup && r.topic.contains(&format!("/{}/", r.client_id))));
        let report = audit(&gateway, &config, |_| true);
        assert!(report.passed, "{report}");
        assert_eq!((report.acknowledged, report.landed), (500, 500));
    }
}

#[tokio::test]
async fn one_message_that_is_never_taken_is_set_aside_by_name_and_the_rest_goes_on() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let gateway = Gateway::start(version, |_| Reaction::Accept).await;
        let (journal, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for n in 0..40 {
            let resource = format!(r#"{{"resourceType":"Patient","id":"{n}"}}"#).into_bytes();
            let bytes = if n == 7 || n == 23 { POISON.to_vec() } else { resource };
            std::fs::write(files.path().join(format!("{n:02}.json")), bytes).unwrap();
        }
        let mut config = config(&gateway, version, journal.path());
        config.fhir = Some(files.path().into());
        let summary = run(config).await;
        assert_eq!(
            (summary.published, summary.acknowledged, summary.refused, summary.unacknowledged),
            (40, 38, 2, 0)
        );
        let aside: Vec<_> = summary.set_aside.iter().map(|s| (s.name.as_str(), s.reason)).collect();
        assert_eq!(aside, [("07.json", "connection_cut"), ("23.json", "connection_cut")]);
        // What was accepted just before a cut was not answered, and goes out again.
        let received = gateway.received();
        let others: std::collections::HashSet<&Bytes> =
            received.iter().map(|r| &r.payload).collect();
        assert_eq!(others.len(), 38, "all others are there");
    }
}

#[tokio::test]
async fn what_an_agent_would_split_is_set_aside_by_name_before_it_is_sent() {
    let (listener, files) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), tempfile::tempdir().unwrap());
    let gateway = format!("http://{}", listener.local_addr().unwrap());
    let (stop, bodies) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let taken = bodies.clone();
    let handler = move |request: Request| {
        taken.lock().unwrap().push(request.body);
        async { Response::text(StatusCode::OK, "") }
    };
    let mut agent = JoinSet::new();
    agent.spawn(http::serve(listener, 64 << 20, handler, stop.clone()));
    for (name, bytes) in [("a", 10), ("b", 8 << 20), ("c", 10)] {
        let resource =
            format!(r#"{{"resourceType":"Patient","id":"{name}","x":"{}"}}"#, "x".repeat(bytes));
        std::fs::write(files.path().join(format!("{name}.json")), resource).unwrap();
    }
    let config = Config {
        gateway,
        fhir: Some(files.path().into()),
        pace: Pace::Acknowledged,
        ..Config::default()
    };
    let summary = run(config).await;
    assert_eq!((summary.acknowledged, summary.refused, summary.unacknowledged), (2, 1, 0));
    let aside: Vec<_> = summary.set_aside.iter().map(|s| (s.name.as_str(), s.reason)).collect();
    assert_eq!(aside, [("b.json", "too_large")]);
    let lines: usize =
        bodies.lock().unwrap().iter().map(|body| body.split(|b| *b == b'\n').count() - 1).sum();
    assert_eq!(lines, 2);
    stop.cancel();
}

#[tokio::test]
async fn what_the_lake_forgot_is_lost() {
    let gateway = Gateway::start(MqttVersion::V5, |_| Reaction::Accept).await;
    let journal = tempfile::tempdir().unwrap();
    let config = config(&gateway, MqttVersion::V5, journal.path());
    run(config.clone()).await;
    let report = audit(&gateway, &config, |n| n != 7 && n != 99);
    assert_eq!((report.lost, report.missing.len(), report.passed), (2, 2, false));
}

#[tokio::test]
async fn after_a_break_unanswered_messages_go_out_again_with_dup_and_the_same_ids() {
    // The tenth PUBLISH of all breaks the one connection, so do every 50th after it.
    let gateway = Gateway::start(MqttVersion::V311, |n| match n {
        6..10 => Reaction::Ignore,
        10 => Reaction::AcceptAndBreak,
        n if n % 50 == 0 => Reaction::AcceptAndBreak,
        _ => Reaction::Accept,
    })
    .await;
    let journal = tempfile::tempdir().unwrap();
    let config = Config { connections: 1, ..config(&gateway, MqttVersion::V311, journal.path()) };
    let summary = run(config.clone()).await;
    assert_eq!((summary.published, summary.acknowledged), (500, 500), "{summary:?}");
    assert!(summary.resent >= 5 && summary.reconnects >= 1, "{summary:?}");
    let received = gateway.received();
    // In the order of the first sending.
    let again = received[10..].chunk_by(|a, b| a.pkid < b.pkid).next().unwrap();
    assert!(again.len() >= 5 && again[..5].iter().all(|r| r.dup), "{}", again.len());
    // The gateway saw ten of those that went out before the break.
    let seen = |pkid| received[..10].iter().find(|r| r.pkid == pkid);
    let twice: Vec<_> =
        again.iter().filter_map(|second| Some((seen(second.pkid)?, second))).collect();
    assert!(
        twice.len() >= 5
            && twice.iter().all(|(first, second)| first.payload == second.payload && !first.dup)
    );
    let report = audit(&gateway, &config, |_| true);
    assert!(report.passed, "{report}");
    assert!(report.resent >= 1, "{report}");
}

#[tokio::test]
async fn over_quota_is_tried_again_later_and_refusals_are_journalled() {
    let gateway = Gateway::start(MqttVersion::V5, |n| {
        if n <= 3 { Reaction::OverQuota } else { Reaction::Accept }
    })
    .await;
    let journal = tempfile::tempdir().unwrap();
    let config = Config {
        connections: 1,
        messages: Some(20),
        ..config(&gateway, MqttVersion::V5, journal.path())
    };
    let summary = run(config.clone()).await;
    assert_eq!((summary.deferred, summary.acknowledged, summary.unacknowledged), (3, 20, 0));
    assert_eq!(gateway.received().len(), 23);
    assert!(gateway.received().iter().all(|r| !r.dup));
    let entries: Vec<_> =
        JournalReader::open(journal.path()).unwrap().map(|r| r.unwrap().entry).collect();
    assert_eq!(entries.iter().filter(|e| matches!(e, Entry::Refused(_, 0x97))).count(), 3);
    let report = audit(&gateway, &config, |_| true);
    assert!(report.passed, "{report}");
    assert_eq!(report.refused, 3);
}

#[tokio::test]
async fn inv5_disorder_and_breaks_still_audit() {
    let gateway = Gateway::start(MqttVersion::V5, |n| {
        if n % 83 == 0 { Reaction::AcceptAndBreak } else { Reaction::Accept }
    })
    .await;
    let journal = tempfile::tempdir().unwrap();
    let disorder = DisorderConfig {
        duplicates: 0.05,
        reordering: 0.1,
        malformed: 0.05,
        disconnect_every: 60,
        ..DisorderConfig::some()
    };
    let config =
        Config { connections: 2, disorder, ..config(&gateway, MqttVersion::V5, journal.path()) };
    let summary = run(config.clone()).await;
    assert!(summary.cuts > 2 && summary.duplicates > 5 && summary.malformed > 5, "{summary:?}");
    assert_eq!(summary.unacknowledged, 0);
    let report = audit(&gateway, &config, |_| true);
    assert!(report.passed, "{report}");
    assert_eq!(report.dead_lettered, summary.malformed);
    assert!(report.resent > 5, "{report}");
}

#[tokio::test]
async fn a_second_run_in_the_same_journal_has_its_own_boot() {
    let gateway = Gateway::start(MqttVersion::V5, |_| Reaction::Accept).await;
    let journal = tempfile::tempdir().unwrap();
    let config = Config { messages: Some(50), ..config(&gateway, MqttVersion::V5, journal.path()) };
    run(config.clone()).await;
    run(config.clone()).await;
    let mut boots = HashMap::new();
    for read in JournalReader::open(journal.path()).unwrap() {
        if let Entry::Send(intent) = read.unwrap().entry {
            *boots.entry(intent.boot).or_insert(0) += 1;
        }
    }
    assert_eq!(boots, HashMap::from([(1, 50), (2, 50)]));
}

#[tokio::test]
async fn receipts_give_the_latency_to_the_lake() {
    let gateway = Gateway::start(MqttVersion::V5, |_| Reaction::Accept).await;
    let journal = tempfile::tempdir().unwrap();
    let config = Config { receipts: true, ..config(&gateway, MqttVersion::V5, journal.path()) };
    let summary = run(config).await;
    assert_eq!((summary.publish_to_receipt.count, summary.awaiting_receipt), (500, 0));
}

#[tokio::test]
async fn a_stop_ends_the_plan_and_waits_for_what_is_under_way() {
    let gateway = Gateway::start(MqttVersion::V5, |_| Reaction::Accept).await;
    let journal = tempfile::tempdir().unwrap();
    let config = Config { messages: None, ..config(&gateway, MqttVersion::V5, journal.path()) };
    let simulation = Simulation::new(config).unwrap();
    let (progress, stop) = (simulation.progress(), Stop::new());
    let running = simulation.run(stop.clone());
    let watching = async {
        while progress.acknowledged.get() < 100 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (summary, ()) = tokio::join!(running, watching);
    let summary = summary.unwrap();
    assert!(summary.acknowledged >= 100);
    assert_eq!((summary.published, summary.unacknowledged), (summary.acknowledged, 0));
}

#[tokio::test]
async fn a_silent_gateway_is_given_up_after_the_drain_time() {
    let gateway = Gateway::start(MqttVersion::V5, |_| Reaction::Ignore).await;
    let journal = tempfile::tempdir().unwrap();
    let config = Config {
        drain_s: 0.05,
        messages: Some(10),
        ..config(&gateway, MqttVersion::V5, journal.path())
    };
    let summary = run(config.clone()).await;
    assert_eq!((summary.acknowledged, summary.unacknowledged), (0, summary.published));
    assert!(summary.check().is_err());
    let report = audit(&gateway, &config, |_| true);
    let (lost, unproven) = (report.lost, report.unproven);
    assert_eq!((lost, unproven, report.passed), (0, vec![Unproven::NothingAcknowledged], false));
}

#[tokio::test]
async fn inv12_a_gateway_that_is_not_there_is_named_within_seconds() {
    // Port 1 is nobody's.
    let config = Config {
        gateway: "127.0.0.1:1".into(),
        seconds: Some(0.05),
        drain_s: 3600.0,
        ..Config::default()
    };
    let running = Simulation::new(config).unwrap().run(Stop::new());
    let summary = tokio::time::timeout(Duration::from_secs(60), running).await.unwrap().unwrap();
    assert_eq!((summary.published, summary.acknowledged), (0, 0));
    assert!(summary.not_sent > 0 && !summary.is_complete());
    let why = summary.check().unwrap_err().to_string();
    assert!(why.contains("cannot reach the gateway: Connection refused"), "{why}");
}

#[tokio::test]
async fn a_client_that_is_not_welcome_ends_the_simulation() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = listener.local_addr().unwrap().to_string();
    let config =
        Config { gateway, mqtt: MqttVersion::V311, pace: Pace::Acknowledged, ..Config::default() };
    let mut refusing = JoinSet::new();
    refusing.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut out = BytesMut::new();
            server::not_authorized(&mut out);
            drop(stream.write_all_buf(&mut out).await);
        }
    });
    let error = Simulation::new(config).unwrap().run(Stop::new()).await.unwrap_err();
    assert!(error.to_string().contains("refuses client"), "{error:#}");
}
