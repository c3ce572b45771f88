//! What a broker hands out again at each start of the agent, across ends and kills of agent and ingest.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use futures::TryStreamExt;
use lake::{Lake, OpenMode};
use serde_json::Value;

use crate::harness::{Process, Site, free_port, get, wait_for};
use crate::payloads::publish_as;

/// A site whose agent takes what another broker has, which is a gateway without anybody behind it.
struct Scene {
    site: Site,
    nearby: Site,
    agent: u16,
    ingest: u16,
}

impl Scene {
    fn new() -> Self {
        let (site, nearby) = (Site::new(""), Site::new(""));
        let (agent, ingest) = (free_port(), free_port());
        let config = std::fs::read_to_string(site.config()).unwrap();
        let config = config.replace(
            "[ingest]\nadmin_listen = \"127.0.0.1:0\"",
            &format!("[ingest]\nadmin_listen = \"127.0.0.1:{ingest}\""),
        ) + &format!(
            "[ingest.sources]\nagent = [\"dt/w/#\"]\n[agent]\nadmin_listen = \"127.0.0.1:{agent}\"\n[agent.gateway]\nport = {}\n[agent.spool]\ndir = {:?}\n[agent.inputs.mqtt]\nhost = \"127.0.0.1\"\nport = {}\nfilters = [\"dt/w/#\"]\n",
            site.mqtt,
            site.folder.path().join("agent-spool"),
            nearby.mqtt,
        );
        std::fs::write(site.config(), config).unwrap();
        Self { site, nearby, agent, ingest }
    }

    fn start_agent(&self) -> Process {
        self.site.start("agent", self.agent)
    }

    fn start_ingest(&self) -> Process {
        self.site.start("ingest", self.ingest)
    }

    /// Waits until the agent has taken so many messages, and they are landed.
    fn landed(&self, count: u64) {
        wait_for("the retained messages to land", || {
            let books: Value =
                serde_json::from_slice(&get(self.agent, "/status").unwrap()).unwrap();
            let (landed, appended) = (books[0]["landed"].as_u64(), books[0]["appended"].as_u64());
            landed == appended && landed >= Some(count)
        });
    }

    /// How many readings there are of each device: flagged as repeats, and not.
    fn repeats(&self) -> BTreeMap<String, [u64; 2]> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = self.site.folder.path().join("lake").display().to_string();
        let batches = runtime.block_on(async {
            let lake = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
            let rows = lake.scan("readings", &["device_id", "flags"]).await.unwrap();
            rows.try_collect::<Vec<_>>().await.unwrap()
        });
        let mut counts: BTreeMap<String, [u64; 2]> = BTreeMap::new();
        for batch in &batches {
            let texts = |column| {
                let column =
                    arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8);
                column.unwrap().as_string::<i32>().clone()
            };
            let (devices, flags) = (texts(0), texts(1));
            for row in 0..batch.num_rows() {
                let flags = if flags.is_valid(row) { flags.value(row) } else { "" };
                let repeat = flags.split(',').any(|flag| flag == "repeat");
                counts.entry(devices.value(row).to_owned()).or_default()[usize::from(!repeat)] += 1;
            }
        }
        counts
    }
}

#[test]
fn inv10_what_a_broker_kept_counts_once_across_starts_of_agent_and_ingest() {
    let scene = Scene::new();
    let nearby = scene.nearby.start("gateway", scene.nearby.admin);
    let payloads = [
        ("dt/w/timed/readings", r#"{"ts":1790000000000,"metric":"spo2","value":97}"#),
        ("dt/w/untimed/readings", r#"{"metric":"spo2","value":97}"#),
        ("dt/w/numbered/readings", r#"{"boot":1,"seq":7,"metric":"spo2","value":97}"#),
        (
            "dt/w/ehr/fhir",
            r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueInteger":1}"#,
        ),
    ];
    let messages = payloads.map(|(topic, payload)| (topic, payload.as_bytes().to_vec()));
    publish_as(scene.nearby.mqtt, 0x33, &messages);

    let gateway = scene.site.start("gateway", scene.site.admin);
    let (ingest, agent) = (scene.start_ingest(), scene.start_agent());
    scene.landed(4);
    // The agent alone, killed.
    agent.kill();
    let agent = scene.start_agent();
    scene.landed(8);
    // Ingest alone, in order; then the agent, so that there is something to know again.
    ingest.stop();
    let ingest = scene.start_ingest();
    agent.kill();
    let agent = scene.start_agent();
    scene.landed(12);
    // Both, killed. What ingest knew at its last end is enough.
    ingest.kill();
    agent.kill();
    let (ingest, agent) = (scene.start_ingest(), scene.start_agent());
    scene.landed(16);

    let counts = scene.repeats();
    assert_eq!(counts.len(), 4, "{counts:?}");
    for (device, [repeats, others]) in &counts {
        assert_eq!(*others, 1, "{device}: {counts:?}");
        assert!(*repeats >= 3, "handed out at each start: {device}: {counts:?}");
    }
    agent.stop();
    ingest.stop();
    gateway.stop();
    drop(nearby);
}
