//! Messages to rows. Every message becomes rows, or one dead letter with its reason and its bytes (INV-4), or both when
//! only a part of it is bad.

mod extra;
mod fhir;
mod json;
pub(crate) mod members;
pub(crate) mod mistake;
mod object;
#[cfg_attr(not(test), expect(dead_code, reason = "topic rules come next"))]
pub(crate) mod place;
mod readings;
pub mod reject;
mod scan;
mod sound;
mod status;
mod time;
#[cfg_attr(not(test), expect(dead_code, reason = "topic rules come next"))]
mod unpack;
#[cfg_attr(not(test), expect(dead_code, reason = "topic rules come next"))]
pub(crate) mod values;

use telemetry_core::spool::attributes::{self, Attribute};
use telemetry_core::spool::record::{MAYBE_REPEAT, Record};
use telemetry_core::topic::DeviceTopic;

use crate::access::Access;
use crate::batch::small::Cell;
use crate::batch::{Batch, Origin, Route, Target};
use crate::config::{Config, DecoderKind};
use reject::{Code, Reject};

/// Levels of JSON that a payload may have. FHIR needs about ten.
pub const DEPTH_MAX: usize = 64;

/// Turns messages into rows of a [`Batch`].
#[derive(Debug, Clone)]
pub struct Decoder {
    access: Access,
}

impl Decoder {
    /// A decoder with the topic and source tables of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { access: Access::new(config) }
    }

    /// Decodes one message of the batch's `source`. Returns the code if it became, wholly or partly, a dead letter. `now_us` is
    /// ingest's clock: when the source says that it received the message is believed only as far as that allows.
    pub fn record(
        &self,
        batch: &mut Batch,
        source: u32,
        record: &Record<'_>,
        now_us: i64,
    ) -> Option<Code> {
        batch.count_message();
        let mut origin = origin(source, record, now_us);
        let result = match batch.route(&self.access, source, record.topic) {
            Route::Refused(reject) => Err(reject),
            Route::To { decoder, device } => {
                origin.device = device;
                left_behind(record).and_then(|()| payload(batch, &origin, decoder, record.payload))
            }
        };
        let reject = result.err()?;
        dead_letter(batch, &origin, record, &reject);
        Some(reject.code)
    }

    /// Keeps a message that the worker must not look at.
    pub(crate) fn unseen(
        &self,
        batch: &mut Batch,
        source: u32,
        record: &Record<'_>,
        now_us: i64,
    ) -> Code {
        batch.count_message();
        let origin = origin(source, record, now_us);
        let reason = "the worker ended twice while it had this message alone, so it is not decoded";
        let reject = Reject::new(Code::EndsIngest, reason);
        dead_letter(batch, &origin, record, &reject);
        reject.code
    }

    /// Keeps whole bytes of a sound frame that are no record.
    pub fn unparsable(
        &self,
        batch: &mut Batch,
        source: u32,
        offset: u64,
        bytes: &[u8],
        now_us: i64,
    ) -> Code {
        batch.count_message();
        let reject =
            Reject::new(Code::FrameRecordUnparsable, "the frame is sound, the record in it is not");
        let record = Record {
            offset,
            chain: 0,
            received_us: now_us,
            flags: 0,
            publisher: "",
            topic: "",
            attributes: &[],
            payload: bytes,
        };
        let origin = origin(source, &record, now_us);
        dead_letter(batch, &origin, &record, &reject);
        reject.code
    }
}

fn origin(source: u32, record: &Record<'_>, now_us: i64) -> Origin {
    let received_absurd = time::received_is_absurd(record.received_us, now_us);
    Origin {
        source,
        device: 0,
        offset: record.offset,
        received_us: if received_absurd { now_us } else { record.received_us },
        maybe_repeat: record.flags & MAYBE_REPEAT != 0,
        received_absurd,
    }
}

/// Refuses a record that stands for a message whose payload is not here.
fn left_behind(record: &Record<'_>) -> Result<(), Reject> {
    let too_large = attributes::read(record.attributes).find_map(|attribute| match attribute {
        Attribute::TooLarge { bytes, sha256 } => Some((bytes, sha256)),
        Attribute::Exchange { .. } => None,
    });
    let Some((bytes, sha256)) = too_large else { return Ok(()) };
    let hash: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let reason =
        format!("the payload had {bytes} bytes, too many for the spool; its sha256 is {hash}");
    Err(Reject::new(Code::TooLarge, reason))
}

fn payload(
    batch: &mut Batch,
    origin: &Origin,
    decoder: DecoderKind,
    bytes: &[u8],
) -> Result<(), Reject> {
    if bytes.is_empty() {
        return Err(Reject::new(Code::EmptyPayload, "the payload has no bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Reject::new(Code::NotUtf8, format!("not UTF-8 after byte {}", error.valid_up_to()))
    })?;
    match decoder {
        DecoderKind::Readings => readings::decode(batch, origin, text),
        DecoderKind::Fhir => fhir::decode(batch, origin, text),
        DecoderKind::Status => status::decode(batch, origin, text),
    }
}

fn dead_letter(batch: &mut Batch, origin: &Origin, record: &Record<'_>, reject: &Reject) {
    let device = DeviceTopic::parse(record.topic);
    let given = |text| (!str::is_empty(text)).then_some(text);
    let cells = [
        Cell::Time(origin.received_us),
        Cell::text(device.map(|device| device.site)),
        Cell::text(device.map(|device| device.device_id)),
        Cell::text(given(record.topic)),
        Cell::text(given(record.publisher)),
        Cell::Bytes(record.payload),
        Cell::Text(reject.code.as_str()),
        Cell::Text(&reject.reason),
        Cell::Text(reject.code.stage()),
    ];
    let pushed = batch.push_small(Target::DeadLetters, origin, 0, origin.received_us, &cells);
    if pushed.is_err() {
        // `memory_bytes` is limited so that there is room; if there is none all the same, the books say what is missing.
        batch.gap(origin.source, record.offset, 1, reject.code.as_str());
    }
}
