//! How wrong the times of rows are on a simulated ward whose clocks are wrong, before and after ingest corrects them: the simulator
//! knows when each message was made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use clap::Args;
use simulator::message::{Run, StreamKind};
use simulator::world::World;
use std::sync::Arc;

use crate::decoder::Decoder;

const S: i64 = 1_000_000;
const MINUTE: i64 = 60 * S;
/// What ingest takes for right.
const TOLERANCE_US: i64 = MINUTE;
/// A device that was away sends what it kept so fast.
const KEPT_EVERY_US: i64 = 10_000;

#[derive(Debug, Clone, Args)]
pub(crate) struct ClocksOptions {
    /// Simulated minutes, at least 20.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(i64).range(20..=24 * 60))]
    minutes: i64,
    /// Beds of the ward.
    #[arg(long, default_value_t = 24)]
    beds: u32,
    /// Seed of the ward and its clocks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// In its first minute, when nothing is known of its device yet.
    Begun,
    Live,
    /// Kept while the network was away, of a device that was heard before.
    Kept,
    /// Kept before the device was heard for the first time.
    KeptFirst,
}

impl Way {
    fn about(self) -> &'static str {
        match self {
            Self::Begun => "live, first minute",
            Self::Live => "live",
            Self::Kept => "backlog of a device that was heard before",
            Self::KeptFirst => "backlog before anything live",
        }
    }
}

/// A message with what is true of it.
struct Sent {
    topic: Arc<str>,
    payload: Bytes,
    device: u32,
    made_us: i64,
    received_us: i64,
    way: Way,
}

/// When the network of a device is away: of every second one in the middle third, of every fourth one in the first.
fn away(device: u32, length_us: i64) -> Option<(i64, i64, Way)> {
    match device % 4 {
        0 => Some((0, length_us / 3, Way::KeptFirst)),
        1 | 3 => Some((length_us / 3, 2 * length_us / 3, Way::Kept)),
        _ => None,
    }
}

/// How long a message is on its way: 20 to 220 ms, one of fifty 1.5 s more.
fn on_its_way(n: usize) -> i64 {
    let spread = i64::try_from((n.wrapping_mul(2_654_435_761) >> 7) & 0xff).unwrap_or(0);
    20_000 + spread * 784 + if n % 50 == 7 { 1_500_000 } else { 0 }
}

/// The messages of devices, in the order in which they are received.
fn sent(options: &ClocksOptions) -> Vec<Sent> {
    let mut config = simulator::Config { seed: options.seed, ..simulator::Config::default() };
    config.ward.beds = options.beds;
    config.ward.ehr = false;
    config.disorder.clock_offset = true;
    let (start_us, length_us) = (config.start.timestamp_micros(), options.minutes * MINUTE);
    let mut all: Vec<Sent> = Vec::new();
    let mut last: BTreeMap<u32, i64> = BTreeMap::new();
    let mut first: BTreeMap<u32, i64> = BTreeMap::new();
    let ward = World::ward(&config, Run::of_boot(1), 0);
    let planned = ward.take_while(|planned| planned.due_us < length_us);
    for planned in planned.filter(|planned| planned.message.stream != StreamKind::Fhir) {
        let (due_us, message) = (planned.due_us, planned.message);
        let made_us = start_us + due_us;
        let last = last.entry(message.device).or_default();
        let kept =
            away(message.device, length_us).filter(|(from, to, _)| (*from..*to).contains(&due_us));
        let arrives = match kept {
            Some((_, to, _)) => start_us + to,
            None => made_us + on_its_way(all.len()),
        };
        // A device sends in order.
        let received_us = arrives.max(*last + KEPT_EVERY_US);
        *last = received_us;
        let first = *first.entry(message.device).or_insert(received_us);
        let way = match kept {
            Some((_, _, way)) => way,
            None if received_us - first < MINUTE => Way::Begun,
            None => Way::Live,
        };
        let (topic, payload, device) = (message.topic, message.payload, message.device);
        all.push(Sent { topic, payload, device, made_us, received_us, way });
    }
    all.sort_by_key(|sent| sent.received_us);
    all
}

/// By how much a message's time is wrong, by its device and in its row, microseconds.
struct Error {
    before: i64,
    after: i64,
}

/// Decodes them as ingest does, in one batch: for each message whose row says a device's time the errors.
fn errors(sent: &[Sent]) -> anyhow::Result<Vec<Option<Error>>> {
    let decoder = Decoder::new()?;
    let mut filling = decoder.batch(0);
    for sent in sent {
        decoder.take(&mut filling, (&sent.topic, &sent.payload), sent.received_us)?;
    }
    let mut errors: Vec<Option<Error>> = sent.iter().map(|_| None).collect();
    let (files, _) = filling.batch.into_files(0)?;
    for file in files {
        if !["readings", "device_status"].contains(&file.table.name.as_ref()) {
            continue;
        }
        for rows in file.batches {
            let column = |name| rows.column_by_name(name).context("each has the column");
            let event = column("event_ts")?.as_primitive::<TimestampMicrosecondType>();
            let device = column("device_ts")?.as_primitive::<TimestampMicrosecondType>();
            let offset = column("source_offset")?.as_primitive::<Int64Type>();
            for ((event, device), offset) in event.iter().zip(device).zip(offset) {
                let (Some(event), Some(device), Some(offset)) = (event, device, offset) else {
                    continue;
                };
                let offset = usize::try_from(offset)?;
                let made = sent[offset].made_us;
                errors[offset] = Some(Error { before: device - made, after: event - made });
            }
        }
    }
    Ok(errors)
}

/// The figures of a group of messages, seconds.
#[derive(Debug, PartialEq)]
struct Figures {
    messages: usize,
    before: [f64; 3],
    after: [f64; 3],
}

/// p50, p95 and the maximum.
fn spread(mut errors: Vec<i64>) -> [f64; 3] {
    errors.sort_unstable();
    let at =
        |share: usize| errors.get((errors.len() * share / 100).min(errors.len().saturating_sub(1)));
    [50, 95, 100].map(|share| at(share).copied().unwrap_or_default() as f64 / 1e6)
}

/// Of devices whose clocks are wrong by more than is tolerated (true) and of the others, by how their messages came.
fn figures(sent: &[Sent], errors: &[Option<Error>]) -> BTreeMap<(bool, Way), Figures> {
    let known =
        || sent.iter().zip(errors).filter_map(|(sent, error)| Some((sent, error.as_ref()?)));
    let wrong: BTreeSet<u32> = known()
        .filter(|(_, error)| error.before.abs() > TOLERANCE_US)
        .map(|(sent, _)| sent.device)
        .collect();
    let mut groups: BTreeMap<(bool, Way), Vec<&Error>> = BTreeMap::new();
    for (sent, error) in known() {
        groups.entry((wrong.contains(&sent.device), sent.way)).or_default().push(error);
    }
    let figures = |errors: Vec<&Error>| Figures {
        messages: errors.len(),
        before: spread(errors.iter().map(|error| error.before.abs()).collect()),
        after: spread(errors.iter().map(|error| error.after.abs()).collect()),
    };
    groups.into_iter().map(|(group, errors)| (group, figures(errors))).collect()
}

pub(crate) fn run(options: &ClocksOptions) -> anyhow::Result<()> {
    let sent = sent(options);
    let figures = figures(&sent, &errors(&sent)?);
    let devices: BTreeSet<u32> = sent.iter().map(|sent| sent.device).collect();
    println!(
        "{} messages of {} devices in {} simulated minutes; errors of event times in seconds, p50 / p95 / max",
        sent.len(),
        devices.len(),
        options.minutes
    );
    println!("{:<52} {:>8}   {:<30} after", "", "messages", "before");
    for ((wrong, way), Figures { messages, before, after }) in &figures {
        let clock = if *wrong { "wrong" } else { "right" };
        let shown = |figures: &[f64; 3]| figures.map(|error| format!("{error:.3}")).join(" / ");
        let about = format!("{clock}: {}", way.about());
        println!("{about:<52} {messages:>8}   {:<30} {}", shown(before), shown(after));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-10: what is corrected is right to a second or two, also of a backlog; and what was right is left alone.
    #[test]
    fn inv10_corrected_times_are_right_and_right_ones_stay() {
        for seed in [1, 2, 3] {
            let sent = sent(&ClocksOptions { minutes: 30, beds: 12, seed });
            let figures = figures(&sent, &errors(&sent).unwrap());
            for ((wrong, way), figures) in &figures {
                let told = format!("seed {seed}, {wrong} {way:?}: {figures:?}");
                match (wrong, way) {
                    (false, _) => assert_eq!(figures.before, figures.after, "{told}"),
                    (true, Way::Live | Way::Kept) => {
                        assert!(figures.before[0] > 60.0 && figures.after[1] < 2.0, "{told}");
                    }
                    // A clock that is behind is not known yet: never worse than the device itself.
                    (true, Way::Begun | Way::KeptFirst) => {
                        assert!(
                            figures.after.iter().zip(&figures.before).all(|(a, b)| a <= b),
                            "{told}"
                        );
                    }
                }
            }
            assert!(figures.keys().any(|(wrong, way)| *wrong && *way == Way::Kept), "{figures:?}");
        }
    }
}
