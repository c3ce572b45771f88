//! Attempts to make the gateway grow: a bound on its resident memory, read from /proc, holds for each.
//!
//! The bounds are for a debug build. Without a limit each attempt would take several times as much.

use futures::future::join_all;
use gateway::access::{Entry, Identities};
use rumqttc::v5::{AsyncClient, MqttOptions};

use crate::neighbour::Neighbour;
use crate::process::Process;
use crate::wire::build::unsubscribe;
use crate::wire::{Client, Connect, Packet, Publish, Subscribe, Version, property};

const MIB: u64 = 1024;

/// How often something is tried: for seconds in a debug build, or for a million and more.
fn tries(few: u32) -> u32 {
    let long = std::env::var("TIDEMARK_ATTACKS").is_ok_and(|value| value == "long");
    if long { few * 20 } else { few }
}

#[expect(clippy::print_stderr, reason = "for whoever runs it with --nocapture")]
fn note(text: &str) {
    eprintln!("{text}");
}

struct Attack {
    process: Process,
    neighbour: Neighbour,
    before: Option<u64>,
}

impl Attack {
    async fn on(limits: &str) -> Self {
        let process = Process::with_limits(limits).await;
        let mut neighbour = Neighbour::of(process.address).await;
        neighbour.is_served().await;
        let before = process.resident_kib();
        Self { process, neighbour, before }
    }

    async fn client(&self, connect: Connect) -> Client {
        Client::connect_to(self.process.address, connect).await
    }

    /// The gateway has grown by no more than that, and serves.
    async fn ends_within(mut self, most_kib: u64) {
        self.neighbour.is_served().await;
        let (Some(before), Some(after)) = (self.before, self.process.resident_kib()) else {
            return note("no /proc: the memory is not looked at");
        };
        note(&format!("resident: {before} KiB before, {after} KiB after"));
        let grown = after.saturating_sub(before);
        assert!(grown <= most_kib, "{before} KiB before, {after} KiB after");
    }
}

fn long_topic(n: u32) -> String {
    format!("cmd/{n:08}/{}", "x".repeat(900))
}

#[tokio::test]
async fn the_memory_of_password_checks_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let identities = folder.path().join("identities.toml");
    let entry = Entry { roles: vec!["device".into()], ..Entry::default() };
    Identities::add(&identities, "mon-1", entry).unwrap();
    let access = format!(
        "[gateway.access]\nidentities_file = {identities:?}\nanonymous_on_loopback = true\npassword_checks_max = 4"
    );
    let attack = Attack::on(&access).await;
    let port = attack.process.address.port();
    let guess = async |n: u32| {
        let name = format!("guess-{n}");
        let mut options = MqttOptions::new(&name, "127.0.0.1", port);
        options.set_credentials(&name, "wrong horse");
        let (_client, mut events) = AsyncClient::new(options, 10);
        assert!(events.poll().await.is_err(), "refused");
    };
    // As many as are heard from one address; each takes 19 MiB for a moment.
    for round in 0..5 {
        let names = (round * 10)..(round * 10 + 10);
        join_all(names.map(&guess)).await;
    }
    attack.ends_within(16 * MIB).await;
}

#[tokio::test]
async fn topics_that_nobody_heard_of_are_not_remembered() {
    let attack = Attack::on("").await;
    let mut watcher = attack.client(Connect::v5("watcher")).await;
    watcher.subscribe("cmd/only/this", 0).await;
    // 50 MB of topics from fifty publishers; in the long form a million of them.
    let mut clients = Vec::new();
    for n in 0..50 {
        let mut client = attack.client(Connect::v5(&format!("c{n}"))).await;
        for part in 0..tries(10) {
            let burst: Vec<u8> = (0..100)
                .flat_map(|m| {
                    let topic = long_topic(n * 1_000_000 + part * 100 + m);
                    Publish::new(&topic, "x").bytes(Version::V5)
                })
                .collect();
            client.send(&burst).await;
        }
        client.hears_nothing().await;
        clients.push(client);
    }
    attack.ends_within(24 * MIB).await;
}

#[tokio::test]
async fn topics_of_telemetry_cost_the_spool_and_no_memory() {
    let attack = Attack::on("").await;
    let mut client = attack.client(Connect::v5("a")).await;
    for n in 0..tries(200) {
        let burst: Vec<u8> = (0..100)
            .flat_map(|m| {
                let topic = format!("dt/w/{}/{}", n * 100 + m, "x".repeat(500));
                Publish::new(&topic, "x".repeat(500)).bytes(Version::V5)
            })
            .collect();
        client.send(&burst).await;
    }
    client.hears_nothing().await;
    attack.ends_within(48 * MIB).await;
}

#[tokio::test]
async fn filters_are_forgotten_with_their_subscription() {
    let attack = Attack::on("").await;
    let mut client = attack.client(Connect::v5("a")).await;
    for n in 0..tries(200) {
        let filters: Vec<String> =
            (0..100).map(|m| format!("cmd/{:06}/{}/#", n * 100 + m, "y".repeat(500))).collect();
        let first = Subscribe::new("cmd/first", 0);
        let subscribe = filters.iter().fold(first, |all, filter| all.and(filter, 0));
        let granted = client.subscribe_with(subscribe).await;
        assert!(granted.iter().all(|code| *code == 0));
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        client.send(&unsubscribe(Version::V5, 11, &filters)).await;
        assert!(matches!(client.packet().await, Packet::UnsubAck { .. }));
    }
    attack.ends_within(24 * MIB).await;
}

#[tokio::test]
async fn client_ids_are_forgotten_or_limited() {
    let attack = Attack::on("sessions_max = 500").await;
    let id = |n: u32| format!("{n:08}-{}", "z".repeat(240));
    for n in 0..tries(2_000) {
        let mut client = Client::open(attack.process.address, Version::V5).await;
        let connect =
            if n % 2 == 0 { Connect::durable(Version::V5, &id(n)) } else { Connect::v5(&id(n)) };
        client.send(&connect.bytes()).await;
        let Packet::ConnAck { code, .. } = client.packet().await else { panic!() };
        assert!(code == 0 || code == 0x97);
        client.vanish();
    }
    attack.ends_within(24 * MIB).await;
}

#[tokio::test]
async fn retained_messages_are_limited_in_number_and_in_bytes() {
    let attack = Attack::on("retained_max = 5000\nretained_bytes_max = 8388608").await;
    let mut client = attack.client(Connect::v5("a")).await;
    for n in 0..tries(100) {
        // 40 MB, in the long form 800 MB.
        let burst: Vec<u8> = (0..100)
            .flat_map(|m| {
                let topic = format!("cmd/{}", n * 100 + m);
                Publish::new(&topic, "x".repeat(4_000)).retain().bytes(Version::V5)
            })
            .collect();
        client.send(&burst).await;
    }
    client.hears_nothing().await;
    attack.ends_within(64 * MIB).await;
}

#[tokio::test]
async fn properties_count_in_the_queues_of_those_who_are_away() {
    let attack = Attack::on("queue_bytes_max = 4194304\nqueues_bytes_max = 8388608").await;
    for name in ["one", "two", "three"] {
        let mut away = attack.client(Connect::durable(Version::V5, name)).await;
        away.subscribe("cmd/#", 1).await;
        away.disconnect().await;
    }
    let mut client = attack.client(Connect::v5("a")).await;
    let bomb: Vec<u8> =
        (0..900).flat_map(|n| property::pair(&n.to_string(), "0123456789")).collect();
    // 16 KB on the wire each and many times that in memory.
    for n in 0..tries(1_500) {
        let pkid = u16::try_from(n % 60_000 + 1).unwrap();
        client.publish(Publish::new("cmd/a", "x").qos1(pkid).property(bomb.clone())).await;
    }
    attack.ends_within(64 * MIB).await;
}

#[tokio::test]
async fn queues_of_very_many_small_messages_are_limited() {
    let attack = Attack::on("queue_messages_max = 2000").await;
    for n in 0..5 {
        let mut away = attack.client(Connect::durable(Version::V311, &n.to_string())).await;
        away.subscribe("cmd/#", 1).await;
        away.disconnect().await;
    }
    let mut client = attack.client(Connect::v311("a")).await;
    for _ in 0..tries(40) {
        let burst: Vec<u8> = (1..=500)
            .flat_map(|n| Publish::new("cmd/a", "").qos1(n).bytes(Version::V311))
            .collect();
        client.send(&burst).await;
        for _ in 0..500 {
            assert!(matches!(client.packet().await, Packet::PubAck { .. }));
        }
    }
    attack.ends_within(48 * MIB).await;
}

#[tokio::test]
async fn a_connect_that_never_ends_takes_little_memory() {
    let attack = Attack::on("connect_time_ms = 60000").await;
    // Two megabytes are too many; a quarter of one is taken, all but the last byte.
    let connect = |length| {
        let body = [b"\0\x04MQTT\x05\x02\0\x3c", &vec![0x26; length][..]].concat();
        crate::wire::build::packet(0x10, &body)
    };
    let (large, allowed) = (connect(2 << 20), connect(250_000));
    let mut clients = Vec::new();
    for n in 0..tries(80) {
        let bytes = if n % 2 == 0 { &large } else { &allowed };
        let mut client = Client::open(attack.process.address, Version::V5).await;
        client.send(&bytes[..bytes.len() - 1]).await;
        clients.push(client);
    }
    attack.ends_within(u64::from(tries(32)) * MIB).await;
}

#[tokio::test]
async fn records_of_sessions_do_not_pile_up_before_the_disk() {
    let attack = Attack::on("").await;
    let mut client = attack.client(Connect::durable(Version::V5, "a")).await;
    let large = |n: u32| format!("cmd/{n}/{}", "f".repeat(990));
    let first = Subscribe::new(&large(0), 0);
    let filters = (1..250).fold(first, |all, n| all.and(&large(n), 0));
    client.subscribe_with(filters).await;
    // The session's record has 250 KB now, and each of these small packets changes it.
    for _ in 0..tries(10) {
        client.send(&Subscribe::new("cmd/small", 0).bytes(Version::V5).repeat(2_000)).await;
        for _ in 0..2_000 {
            assert!(matches!(client.packet().await, Packet::SubAck { .. }));
        }
    }
    attack.ends_within(48 * MIB).await;
}
