//! Messages of all kinds, as few numbers ask for them, and what a batch of them holds against what it is charged.

use ingest::Config;
use ingest::Decoding;
use ingest::batch::Batch;
use telemetry_core::id::Epoch;
use telemetry_core::spool::record::Record;

/// What a batch holds is at most this many quarters of what it is charged, …
const QUARTERS: usize = 5;
/// … and what maps and lists begin with.
const FILLING_BESIDE: usize = 256 << 10;
/// While it lands: pages and tables of the encoder of one file.
const LANDING_BESIDE: usize = 16 << 20;
/// 2026-08-01T00:00:00Z.
const NOW_US: i64 = 1_785_542_400_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Bytes of a payload, about: the checks are about what bytes become, not about many bytes.
const PAYLOAD_MAX: usize = 512 << 10;

/// A message: a kind, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) kind: u8,
    pub(crate) many: u16,
    pub(crate) long: u16,
    pub(crate) seed: u64,
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A text that nobody has seen before.
    fn text(&mut self, bytes: u16) -> String {
        (0..bytes).map(|_| char::from(b'a' + self.next().to_le_bytes()[0] % 26)).collect()
    }
}

impl Recipe {
    /// Topic and payload.
    pub(crate) fn message(self) -> (&'static str, Vec<u8>) {
        let (topic, payload) = match self.kind % 10 {
            0..5 => ("dt/icu/mon-1/readings", self.readings()),
            5 | 6 => ("dt/icu/ehr/fhir", self.bundle()),
            7 => {
                let one = |dice: &mut Dice, _| format!("\"{}\"", dice.text(self.long()));
                ("dt/icu/mon-1/status", self.list(r#"{"status":"on","detail":["#, "]}", one))
            }
            8 => ("dt/icu/mon-1/readings", self.list("{\"a\":[", "", |_, _| "{}".into())),
            _ => {
                let one = |dice: &mut Dice, _| dice.text(self.long());
                ("dt/icu/mon-1/waveforms", self.list("", "", one))
            }
        };
        (topic, payload.into_bytes())
    }

    fn long(self) -> u16 {
        self.long % 1100
    }

    fn list(self, open: &str, close: &str, one: impl Fn(&mut Dice, u16) -> String) -> String {
        let (mut dice, mut payload) = (Dice(self.seed), open.to_owned());
        for n in 0..self.many.max(1) {
            if payload.len() > PAYLOAD_MAX {
                break;
            }
            payload.push_str(if n == 0 { "" } else { "," });
            payload.push_str(&one(&mut dice, n));
        }
        payload + close
    }

    fn readings(self) -> String {
        let long = self.long();
        match self.kind % 10 {
            0 => self.list(r#"{"values":{"#, "}}", |_, n| format!(r#""m{}":{n}"#, n % 9)),
            // Each name is new.
            1 => self.list(r#"{"values":{"#, "}}", |dice, n| format!(r#""{}":{n}"#, dice.text(long))),
            // A place for a few readings each, by the careful way.
            2 => self.list("[", "]", |dice, _| {
                let [patient, ward] = [dice.text(long), dice.text(long)];
                format!(
                    r#"{{"patient_id":"{patient}","ward":"{ward}","values":{{"a":1,"b":2e0,"c":3}}}}"#
                )
            }),
            // Texts, most of them twice.
            3 => self.list("[", "]", |dice, n| {
                format!(r#"{{"metric":"note","value":"{}{}"}}"#, dice.text(long), n / 2)
            }),
            _ => self.list("[", "]", |dice, _| {
                let ms = (NOW_US - (dice.next() % 5000).cast_signed() * DAY_US) / 1000;
                format!(r#"{{"ts":{ms},"metric":"steps","value":1,"seq":{}}}"#, dice.next())
            }),
        }
    }

    fn bundle(self) -> String {
        let long = self.long() % 200;
        self.list(r#"{"resourceType":"Bundle","entry":["#, "]}", |dice, n| {
            // Small resources, each a row of many columns.
            if self.kind % 10 == 6 {
                return r#"{"resource":{"resourceType":"X"}}"#.into();
            }
            let (id, patient) = (dice.text(long), dice.text(30));
            format!(
                r#"{{"resource":{{"resourceType":"Observation","id":"{id}","subject":{{"reference":"Patient/{patient}"}},"code":{{"coding":[{{"code":"c{n}"}}]}},"valueQuantity":{{"value":{n}}}}}}}"#
            )
        })
    }
}

/// Decodes the messages and makes their files. Panics where more is held than charged; `heap` is what is allocated, `peak` the most
/// since `reset`.
pub(crate) fn check(
    messages: &[(&str, Vec<u8>)],
    heap: impl Fn() -> usize,
    peak: impl Fn() -> usize,
    reset: impl Fn(),
) {
    let mut config = Config::default();
    config.beside_gateway("gw");
    let decoder = Decoding::new(&config, Default::default()).expect("the default rules make sense");
    // What the process makes once, such as the index of the catalogue.
    drop(filled(&decoder, &[("dt/icu/mon-1/readings", br#"{"metric":"a","value":1}"#.to_vec())]));
    let before = heap();
    let batch = filled(&decoder, messages);
    let at_most = |charged: u64, beside: usize| {
        usize::try_from(charged).expect("it is in memory") / 4 * QUARTERS + beside
    };
    let (held, charged) = (heap().saturating_sub(before), batch.memory_bytes());
    assert!(held <= at_most(charged, FILLING_BESIDE), "holds {held}, charged {charged}");

    let (rows, charged) = (batch.rows() as u64, batch.landing_bytes());
    reset();
    let (files, _) = batch.into_files(20_000).expect("rows that were taken fit their tables");
    let mut written = 0;
    for file in files {
        let encoded = lake::parquet::encode(&file.table, file.batches).expect("and can be encoded");
        written += encoded.map_or(0, |encoded| encoded.rows);
    }
    let landed = peak().saturating_sub(before);
    assert!(landed <= at_most(charged, LANDING_BESIDE), "took {landed}, charged {charged}");
    assert_eq!(written, rows);
}

fn filled(decoder: &Decoding, messages: &[(&str, Vec<u8>)]) -> Batch {
    let mut batch = Batch::default();
    let source = batch.source(&"gw".parse().expect("a name"), Epoch::from_random(1), 0);
    for (offset, (topic, payload)) in (0..).zip(messages) {
        let (received_us, flags, publisher) = (NOW_US, 0, "mon-1");
        let record = Record {
            offset,
            chain: 0,
            received_us,
            flags,
            publisher,
            topic,
            attributes: &[],
            payload,
        };
        decoder.record(&mut batch, source, &record, NOW_US);
        batch.advance(source, offset + 1, 0, offset + 1);
    }
    batch
}
