//! Three clients of a whole gateway: packets of all kinds with few names and ids, and raw bytes between them. Whatever they do, what
//! the gateway sends is well-formed, and a neighbour is served.
#![no_main]

#[path = "../../tests/wire/mod.rs"]
#[allow(dead_code, unused_imports)]
mod wire;

use std::sync::{LazyLock, Mutex};

use telemetry_core::spool::plan::WhenFull;
use tokio::runtime::Runtime;
use wire::build::{self, ack_with, disconnect, packet, unsubscribe};
use wire::{Client, Connect, Publish, Subscribe, TestGateway, Version, Will, property};

const TOPICS: [&str; 6] = ["cmd/a", "cmd/b", "dt/w/a/readings", "tm/v1/up/3/x", "$SYS/x", ""];
const FILTERS: [&str; 6] = ["cmd/#", "+/a", "$share/g/cmd/+", "#", "tm/v1/#", "cmd/#/b"];

struct World {
    runtime: Runtime,
    gateway: TestGateway,
    neighbour: Mutex<Client>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (gateway, neighbour) = runtime.block_on(async {
        let gateway = TestGateway::with(|config| {
            config.spool.segment_bytes = 64 << 10;
            config.spool.bytes_max = 2 << 20;
            config.spool.when_full = WhenFull::DropOldest;
        })
        .await;
        let neighbour = Client::connect(&gateway, Connect::v5("neighbour").keep_alive(0)).await;
        (gateway, neighbour)
    });
    World { runtime, gateway, neighbour: Mutex::new(neighbour) }
});

/// What is left of an input; it is all zeros behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::from(self.byte()) % of.len()]
    }

    fn pkid(&mut self) -> u16 {
        u16::from(self.byte() % 8)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte() % 64).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }
}

fn connect(input: &mut Input<'_>, name: usize) -> Connect {
    let bits = input.byte();
    let version = if bits & 1 == 0 { Version::V311 } else { Version::V5 };
    let mut connect = Connect::new(version, ["a", "b", "c"][name]);
    if bits & 2 != 0 {
        connect = connect.resume();
    }
    if bits & 4 != 0 {
        connect = connect.property(property::short(property::RECEIVE_MAX, 1));
    }
    if bits & 8 != 0 {
        connect = connect.property(property::short(property::TOPIC_ALIAS_MAX, 2));
    }
    if bits & 16 != 0 {
        connect = connect.expiry(u32::from(input.byte()));
    }
    if bits & 32 != 0 {
        connect = connect.property(property::long(property::PACKET_BYTES_MAX, 20 + u32::from(input.byte())));
    }
    if bits & 64 != 0 {
        connect = connect.will(Will::new(input.one(&TOPICS), "will").qos(input.byte() % 3).delay(1));
    }
    connect
}

fn publish(input: &mut Input<'_>) -> Publish {
    let mut publish = Publish::new(input.one(&TOPICS), input.bytes());
    let bits = input.byte();
    publish = match bits & 3 {
        0 => publish,
        1 => publish.qos1(input.pkid()),
        _ => publish.qos2(input.pkid()),
    };
    if bits & 4 != 0 {
        publish = publish.retain();
    }
    if bits & 8 != 0 {
        publish = publish.dup();
    }
    if bits & 16 != 0 {
        publish = publish.alias(u16::from(input.byte() % 4));
    }
    if bits & 32 != 0 {
        publish = publish.property(property::long(property::EXPIRY, u32::from(bits >> 6)));
    }
    publish
}

/// Returns the bytes of a packet, or of something like one.
fn anything(input: &mut Input<'_>, version: Version) -> Vec<u8> {
    match input.byte() % 12 {
        0 | 1 => publish(input).bytes(version),
        2 => {
            let subscribe = Subscribe::new(input.one(&FILTERS), input.byte() & 0x3f);
            subscribe.id(u32::from(input.byte()) + 1).bytes(version)
        }
        3 => Subscribe::new(input.one(&FILTERS), input.byte() % 3).bytes(version),
        4 => unsubscribe(version, input.pkid(), &[input.one(&FILTERS)]),
        // Ids of letters on disk are odd, and begin anew with every session.
        5 => build::ack(0x40, input.pkid()),
        6 => build::ack(0x50, input.pkid()),
        7 => build::ack(0x62, input.pkid()),
        8 => build::ack(0x70, input.pkid()),
        9 => ack_with([0x40, 0x50][usize::from(input.byte() & 1)], input.pkid(), 0x80),
        10 => {
            let expiry = property::long(property::SESSION_EXPIRY, u32::from(input.byte()));
            disconnect(input.byte() & 4, &[expiry])
        }
        _ if input.byte() & 1 == 0 => input.bytes(),
        _ => packet(input.byte(), &input.bytes()),
    }
}

async fn play(world: &World, data: &[u8]) {
    let mut input = Input(data);
    let mut clients: [Option<Client>; 3] = [None, None, None];
    while !input.0.is_empty() {
        let choice = input.byte();
        let name = usize::from(choice % 3);
        match (&mut clients[name], choice / 3 % 8) {
            (Some(client), 1..) => {
                let bytes = anything(&mut input, client.version);
                client.send(&bytes).await;
            }
            (slot, _) => {
                let connect = connect(&mut input, name);
                let mut client = Client::open(world.gateway.address, connect.version).await;
                client.send(&connect.bytes()).await;
                *slot = Some(client);
            }
        }
    }
    for client in clients.into_iter().flatten() {
        client.all_is_well_formed().await;
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let world = &*WORLD;
    world.runtime.block_on(async {
        play(world, data).await;
        let mut neighbour = world.neighbour.lock().unwrap();
        neighbour.publish(Publish::new("dt/w/neighbour/readings", "{}").qos1(1)).await;
    });
});
