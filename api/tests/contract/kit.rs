//! A small ward: an ingest whose transport is in our hands, a gateway that knows some people, and the API of both.

use std::sync::Arc;
use std::time::Duration;

use api::{Api, ApiConfig, Ingest, Parts, Role};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gateway::access::{Entry, Identities, hash_password};
use gateway::{Gateway, GatewayConfig};
use http_body_util::BodyExt as _;
use ingest::watching::{Moved, Watcher};
use ingest::{Inbound, Outbound};
use lake::{Lake, OpenMode};
use serde_json::Value;
use service_runtime::admin::Readiness;
use service_runtime::application::{Caller, Proof};
use service_runtime::{Clock, Metrics, Stop, Tasks};
use telemetry_core::frame::{self, Codec, FrameHeader};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::record::Record;
use telemetry_core::topic::ControlTopics;
use tokio::sync::mpsc;
use tower_service::Service as _;

const FORMAT: Format = Format::V2(Key::from_random(1));
/// Nothing here takes long; a test that waits for what never comes fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PASSWORD: &str = "correct horse";
const RULES: &str = "[[rule]]\nname = \"fast\"\nseverity = \"critical\"\nmetric = \"heart_rate\"\nabove = 120\nclear = 110\n";

/// See the module.
pub(crate) struct Ward {
    pub(crate) watcher: Watcher,
    router: Router,
    inbox: mpsc::Sender<Inbound>,
    _outbox: mpsc::Receiver<Outbound>,
    _gateway: Option<Gateway>,
    tasks: Tasks,
    source: SourceId,
    next: u64,
    chain: u64,
    /// Where its lake and its rules are.
    folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: Value,
}

pub(crate) fn now() -> String {
    time(0)
}

/// The time so many seconds from now.
pub(crate) fn time(seconds: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(Clock::default().now_us()).unwrap();
    (at + jiff::SignedDuration::from_secs(seconds)).to_string()
}

pub(crate) fn basic(name: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{PASSWORD}")))
}

impl Ward {
    /// Without a gateway, where whoever asks is on this machine.
    pub(crate) async fn new() -> Self {
        Self::with(ApiConfig { requests_per_second: 1_000, ..ApiConfig::default() }, &[]).await
    }

    /// With a gateway that knows these names.
    pub(crate) async fn with(config: ApiConfig, names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("lake").display().to_string();
        let lake = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
        let rules = folder.path().join("rules.toml");
        std::fs::write(&rules, RULES).unwrap();
        let mut settings = ingest::Config {
            flush_rows: 1,
            sources: [("*".into(), vec!["dt/#".into()])].into(),
            ..ingest::Config::default()
        };
        settings.alerts.rules = Some(rules.clone());
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        let (inbox, inbox_receiver) = mpsc::channel(64);
        let (outbox_sender, outbox) = mpsc::channel(1024);
        let (watcher, watched) = Watcher::new();
        let mut tasks = Tasks::new(Stop::new());
        let ends = (inbox_receiver, outbox_sender, watched);
        let decoders = ingest::decode::DECODERS;
        let started = ingest::start_with(
            &mut tasks,
            settings.clone(),
            &lake,
            &metrics,
            readiness.clone(),
            ends,
            decoders,
        );
        started.await.unwrap();
        let gateway = if names.is_empty() { None } else { Some(gateway(&folder, names).await) };
        let parts = Parts {
            config,
            in_force: serde_json::json!({"gateway": {"password": "x", "listen": "127.0.0.1:1883"}}),
            readiness,
            counts: metrics.counts(),
            clock: Clock::default(),
            gateway: gateway.as_ref().map(Gateway::insight),
            ingest: Some(Ingest { config: Arc::new(settings), lake, watcher: watcher.clone() }),
        };
        let api = Api::new(parts);
        tasks.spawn("api", api.clone().run(tasks.stop()));
        let router = api::router(&api, api::no_console());
        Self {
            watcher,
            router,
            inbox,
            _outbox: outbox,
            _gateway: gateway,
            tasks,
            source: "gw".parse().unwrap(),
            next: 0,
            chain: 0,
            folder,
        }
    }

    /// Writes the file of rules anew.
    pub(crate) fn write_rules(&self, text: &str) {
        std::fs::write(self.folder.path().join("rules.toml"), text).unwrap();
    }

    /// Lands messages, as one frame.
    pub(crate) async fn land(&mut self, messages: &[(&str, String)]) {
        let mut moves = self.watcher.moves();
        let (first, mut records) = (self.next, Vec::new());
        for (topic, payload) in messages {
            let record = Record {
                offset: self.next,
                chain: self.chain,
                received_us: Clock::default().now_us(),
                flags: 0,
                publisher: "mon-1",
                topic,
                attributes: &[],
                payload: payload.as_bytes(),
            };
            self.chain = FORMAT.encode(&record, &mut records);
            self.next += 1;
        }
        let header = FrameHeader {
            source_id: self.source.clone(),
            epoch: Epoch::from_random(42),
            oldest: 0,
            first_offset: first,
            count: self.next - first,
            appended: self.next,
            format: FORMAT,
        };
        let topic = ControlTopics::default().up(&self.source);
        let payload = frame::encode(&header, &records, Codec::Lz4).into();
        self.inbox.send(Inbound::Frame { topic, payload }).await.unwrap();
        let landed =
            async { while !matches!(moves.recv().await.unwrap(), Moved::Landed { .. }) {} };
        tokio::time::timeout(PATIENCE, landed).await.expect("it lands");
    }

    /// A monitor that beats fast, one that does not, a message that nobody understands, and one on a topic that is not the source's.
    pub(crate) async fn some(&mut self) {
        let beat = |rate: u32| {
            format!(r#"{{"ts":"{}","metric":"heart_rate","value":{rate},"unit":"/min"}}"#, now())
        };
        let letter = r#"{"patient":"Anna Novak","pulse":71}"#.to_owned();
        self.land(&[
            ("dt/icu/mon-1/readings", beat(130)),
            ("dt/icu/mon-2/readings", beat(80)),
            ("dt/icu/mon-2/readings", "{broken".to_owned()),
            ("home/somewhere", letter),
        ])
        .await;
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().call(request).await.unwrap()
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, kind, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// Asks from this machine, where nothing is asked for.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(request("GET", path, Proof::NotNeeded, None, None)).await
    }

    /// The body of an answer that must be a good one.
    pub(crate) async fn good(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (200, "application/json"),
            "{path}: {:?}",
            answer.body
        );
        answer.body
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(request("POST", path, Proof::NotNeeded, None, Some(body))).await
    }

    /// Asks from elsewhere, with a login.
    pub(crate) async fn get_as(&self, authorization: Option<&str>, path: &str) -> Answer {
        self.ask(request("GET", path, Proof::Missing, authorization, None)).await
    }

    pub(crate) async fn stop(self) {
        self.tasks.stop().cancel();
        self.tasks.join(PATIENCE).await.unwrap();
    }
}

/// A request as the admin endpoint hands it over.
pub(crate) fn request(
    method: &str,
    path: &str,
    proof: Proof,
    authorization: Option<&str>,
    body: Option<&str>,
) -> Request<Body> {
    let mut made = Request::builder().method(method).uri(path);
    if let Some(authorization) = authorization {
        made = made.header(header::AUTHORIZATION, authorization);
    }
    if body.is_some() {
        made = made.header(header::CONTENT_TYPE, "application/json");
    }
    let caller = Caller { peer: ([192, 0, 2, 1], 5_000).into(), proof };
    made.extension(caller).body(Body::from(body.unwrap_or_default().to_owned())).unwrap()
}

async fn gateway(folder: &tempfile::TempDir, names: &[&str]) -> Gateway {
    let identities = folder.path().join("identities.toml");
    for name in names {
        let password = Some(hash_password(PASSWORD.as_bytes()).unwrap());
        let entry = Entry {
            id: None,
            roles: vec!["operator".into()],
            site: None,
            password,
            revoked: false,
        };
        Identities::add(&identities, name, entry).unwrap();
    }
    let free = ([127, 0, 0, 1], 0).into();
    let mut config = GatewayConfig { listen: free, admin_listen: free, ..GatewayConfig::default() };
    config.spool.dir = folder.path().join("spool");
    config.access.identities_file = Some(identities);
    Gateway::bind(config, Metrics::default(), Clock::default()).await.unwrap()
}

/// Roles of the names.
pub(crate) fn roles() -> ApiConfig {
    let roles = [("ops", Role::Operator), ("ana", Role::Analyst), ("nurse-*", Role::Clinician)];
    let roles = roles.map(|(name, role)| (name.to_owned(), role)).into();
    ApiConfig { roles, requests_per_second: 1_000 }
}

/// Reads of a stream until there is a text in it.
pub(crate) async fn read_until(body: &mut Body, text: &str) -> String {
    let mut read = String::new();
    let reading = async {
        while !read.contains(text) {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it comes");
    read
}

pub(crate) const OK: u16 = StatusCode::OK.as_u16();
