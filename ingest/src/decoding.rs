//! Messages to rows. Every message becomes rows, or one dead letter with its reason and its bytes (INV-4), or both when
//! only a part of it is bad.

use std::sync::Arc;

use lake::tables::{dead_letters, messages};
use telemetry_core::spool::attributes::{self, Attribute};
use telemetry_core::spool::record::{MAYBE_REPEAT, Record};
use telemetry_core::topic::DeviceTopic;

use crate::access::Access;
use crate::batch::{Batch, Layout, Origin, Route, Row, Rows, Said};
use crate::columns;
use crate::config::Config;
use crate::decode::place::{Around, Whence};
use crate::decode::reject::{Code, Reject};
use crate::decode::{DECODERS, Message, Spec, lenient, time};
use crate::rules::{Rule, RuleMistake, Rules};
use crate::topics::About;

columns! {
    struct DeadLetter of dead_letters::NAME {
        site: Text,
        device_id: Text,
        topic: Text,
        publisher: Text,
        payload: Bytes,
        reason_code: Text,
        reason: Text,
        stage: Text,
    }
}

columns! {
    struct Raw of messages::NAME {
        site: Text,
        device_id: Text,
        topic: Text,
        publisher: Text,
        payload: Bytes,
        qos: Int,
        retain: Bool,
        content_type: Text,
        user_properties: Text,
    }
}

/// Turns messages into rows of a [`Batch`].
#[derive(Debug)]
pub struct Decoding {
    access: Access,
    rules: Rules,
    layout: Arc<Layout>,
    dead: DeadLetter,
    raw: Raw,
}

impl Decoding {
    /// By the topic and source tables of a configuration, for the tables of `layout`.
    ///
    /// # Errors
    /// A rule that makes no sense.
    pub fn new(config: &Config, layout: Arc<Layout>) -> Result<Self, RuleMistake> {
        Self::with(config, layout, DECODERS)
    }

    /// The same with other decoders than ours.
    ///
    /// # Errors
    /// As [`Decoding::new`].
    pub fn with(
        config: &Config,
        layout: Arc<Layout>,
        decoders: &[Spec],
    ) -> Result<Self, RuleMistake> {
        let access = Access::new(&config.sources);
        let rules = Rules::new(&config.topics, &config.prefix, &layout, decoders)?;
        let own = |mistake| RuleMistake { number: 0, rule: String::new(), mistake };
        let dead = DeadLetter::of(&layout).map_err(own)?;
        let raw = Raw::of(&layout).map_err(own)?;
        Ok(Self { access, rules, layout, dead, raw })
    }

    /// An empty batch for its rows.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch::new(self.layout.clone())
    }

    /// The rule that takes a topic.
    pub(crate) fn rule_of(&self, topic: &str) -> Option<&str> {
        let (rule, _) = self.rules.find(topic).ok()?;
        Some(&self.rules.rule(rule).name)
    }

    /// What there is to say of a topic that is new.
    pub(crate) fn about(&self, topic: &str) -> About {
        let Ok((rule, at)) = self.rules.find(topic) else { return About::default() };
        let device = at.map(|at| (at.site.to_string(), at.device.to_string()));
        About { rule: Some(self.rules.rule(rule).name.clone()), device }
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
        let (origin, result) = self.rows(batch, source, record, now_us, true);
        let reject = result.err()?;
        self.dead_letter(batch, &origin, record, &reject);
        Some(reject.code)
    }

    /// Decodes a message once more that was kept: it is not kept again, whatever becomes of it.
    ///
    /// # Errors
    /// It does not wholly become rows.
    pub(crate) fn again(
        &self,
        batch: &mut Batch,
        source: u32,
        record: &Record<'_>,
        now_us: i64,
    ) -> Result<Origin, Reject> {
        let (origin, result) = self.rows(batch, source, record, now_us, false);
        result.map(|()| origin)
    }

    /// Decodes a message; `keep`: as its rule says.
    fn rows(
        &self,
        batch: &mut Batch,
        source: u32,
        record: &Record<'_>,
        now_us: i64,
        keep: bool,
    ) -> (Origin, Result<(), Reject>) {
        let mut origin = origin(source, record, now_us);
        let topic = record.topic;
        let route = batch.route(source, topic, |id| {
            self.access.check(id, topic)?;
            self.rules.find(topic)
        });
        let result = match route {
            Route::Refused(reject) => Err(reject),
            Route::By { rule, device } => {
                let rule = self.rules.rule(rule);
                origin.device = device.unwrap_or(u32::MAX);
                origin.unmapped = rule.unmapped;
                self.payload(batch, &origin, rule, record, keep && rule.raw)
            }
        };
        (origin, result)
    }

    fn payload(
        &self,
        batch: &mut Batch,
        origin: &Origin,
        rule: &Rule,
        record: &Record<'_>,
        keep: bool,
    ) -> Result<(), Reject> {
        left_behind(record)?;
        if keep {
            self.message(batch, origin, record)?;
        }
        if record.payload.is_empty() {
            return Err(Reject::new(Code::EmptyPayload, "the payload has no bytes"));
        }
        let message = message(record);
        let said = Said::new(message.topic, message.payload, record.attributes);
        let mut rows = Rows { batch, origin: *origin, places: &rule.places, said };
        if !rule.decoder.locates() && !rule.places.are_of_topic() {
            let (topic, publisher) = (message.topic, message.publisher);
            // What is packed says it inside.
            let text = message.text()?;
            let whence = Whence { topic, publisher, object: &text, member: None };
            rows.locate(&whence, &mut Around::default(), false)?;
        }
        let result = rule.decoder.decode(&message, &mut rows);
        if !matches!(&result, Err(reject) if matches!(reject.code, Code::JsonSyntax | Code::NotFinite))
        {
            return result;
        }
        // What is no JSON has no rows yet.
        match lenient::repaired(message.payload) {
            Some(text) => {
                rule.decoder.decode(&Message { payload: text.as_bytes(), ..message }, &mut rows)
            }
            None => result,
        }
    }

    /// Keeps a message as it came.
    fn message(
        &self,
        batch: &mut Batch,
        origin: &Origin,
        record: &Record<'_>,
    ) -> Result<(), Reject> {
        let (mut qos, mut retain, mut content_type) = (1, false, None);
        let mut properties = Vec::new();
        for attribute in attributes::read(record.attributes) {
            match attribute {
                Attribute::Delivery { qos: own, retain: kept } => {
                    (qos, retain) = (own.into(), kept);
                }
                Attribute::ContentType(text) => content_type = Some(text),
                Attribute::UserProperty { name, value } => properties.push([name, value]),
                _ => {}
            }
        }
        let properties = (!properties.is_empty())
            .then(|| serde_json::to_string(&properties).expect("texts are plain data"));
        let device = (origin.device != u32::MAX).then(|| batch.devices.names(origin.device));
        let device = device.map(|(site, name)| (site.to_owned(), name.to_owned()));
        let (site, name) = device.unzip();
        let raw = &self.raw;
        let mut row = Row::new(&raw.table, origin.received_us);
        row.set(raw.site, site.as_deref())
            .set(raw.device_id, name.as_deref())
            .set(raw.topic, record.topic)
            .set(raw.publisher, (!record.publisher.is_empty()).then_some(record.publisher))
            .set(raw.payload, record.payload)
            .set(raw.qos, qos)
            .set(raw.retain, retain)
            .set(raw.content_type, content_type)
            .set(raw.user_properties, properties.as_deref());
        Ok(batch.add(origin, row)?)
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
        self.dead_letter(batch, &origin, record, &reject);
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
        self.dead_letter(batch, &origin, &record, &reject);
        reject.code
    }

    fn dead_letter(
        &self,
        batch: &mut Batch,
        origin: &Origin,
        record: &Record<'_>,
        reject: &Reject,
    ) {
        let device = DeviceTopic::parse(record.topic).map(|at| (at.site, at.device_id));
        let given = |text| (!str::is_empty(text)).then_some(text);
        let dead = &self.dead;
        let mut row = Row::new(&dead.table, origin.received_us);
        row.set(dead.site, device.map(|(site, _)| site))
            .set(dead.device_id, device.map(|(_, name)| name))
            .set(dead.topic, given(record.topic))
            .set(dead.publisher, given(record.publisher))
            .set(dead.payload, record.payload)
            .set(dead.reason_code, reject.code.as_str())
            .set(dead.reason, reject.reason.as_ref())
            .set(dead.stage, reject.code.stage());
        if batch.add(origin, row).is_err() {
            // `memory_bytes` is limited so that there is room; if there is none all the same, the books say what is missing.
            batch.gap(origin.source, record.offset, 1, reject.code.as_str());
        }
    }
}

fn message<'a>(record: &Record<'a>) -> Message<'a> {
    let content_type = attributes::read(record.attributes).find_map(|attribute| match attribute {
        Attribute::ContentType(text) => Some(text),
        _ => None,
    });
    let Record { topic, publisher, payload, .. } = *record;
    Message { topic, publisher, content_type, payload }
}

fn origin(source: u32, record: &Record<'_>, now_us: i64) -> Origin {
    let received_absurd = time::received_is_absurd(record.received_us, now_us);
    Origin {
        source,
        device: u32::MAX,
        offset: record.offset,
        received_us: if received_absurd { now_us } else { record.received_us },
        maybe_repeat: record.flags & MAYBE_REPEAT != 0,
        received_absurd,
        unmapped: false,
        repeat: false,
    }
}

/// Refuses a record that stands for a message whose payload is not here.
fn left_behind(record: &Record<'_>) -> Result<(), Reject> {
    let too_large = attributes::read(record.attributes).find_map(|attribute| match attribute {
        Attribute::TooLarge { bytes, sha256 } => Some((bytes, sha256)),
        _ => None,
    });
    let Some((bytes, sha256)) = too_large else { return Ok(()) };
    let hash: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let reason =
        format!("the payload had {bytes} bytes, too many for the spool; its sha256 is {hash}");
    Err(Reject::new(Code::TooLarge, reason))
}
