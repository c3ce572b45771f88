//! Where messages come from. An input acknowledges to its sender only after the sync (INV-1).

pub(crate) mod http;
pub(crate) mod mqtt;
pub(crate) mod ndjson;
mod parts;

use std::sync::Arc;

use service_runtime::{Clock, Stop};
use sha2::{Digest, Sha256};
use store_forward::{AppendError, Message, Place, Spool};
use telemetry_core::spool::attributes::Attribute;
use telemetry_core::topic::{TopicError, validate_topic};
use tracing::warn;

/// A message that an input has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// How it came, if that was not with QoS 1 and without the retain flag.
    pub(crate) delivery: Option<Attribute<'static>>,
    /// The trace that it belongs to, as its sender wrote it.
    pub(crate) traceparent: Option<Arc<str>>,
}

impl Taken {
    /// A message that its sender hands over like one of QoS 1.
    pub(crate) fn new(topic: String, payload: Vec<u8>) -> Self {
        Self { topic, payload, delivery: None, traceparent: None }
    }

    /// Returns what its record says beside topic and payload.
    fn attributes(&self) -> Vec<u8> {
        let mut attributes = Vec::new();
        if let Some(delivery) = self.delivery {
            delivery.write(&mut attributes);
        }
        if let Some(value) = &self.traceparent {
            Attribute::UserProperty { name: TRACEPARENT, value }.write(&mut attributes);
        }
        attributes
    }
}

/// The property of a record that says which trace its message belongs to (W3C Trace Context).
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Why messages were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error("message {index}: {problem}")]
    Topic { index: usize, problem: TopicError },
    #[error("message {index}: {problem}")]
    Refused { index: usize, problem: AppendError },
    #[error("the agent is stopping")]
    Stopping,
}

/// What it means to an input that the spool is full, or that a message is too large for any spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Wait for room: the sender waits too. It cannot be told either that a message is too large: a record with its size and hash stands
    /// for it, and becomes a dead letter.
    Wait,
    /// Tell the sender.
    Tell,
}

/// Puts messages into the spool; they are on stable storage when this returns where they stand.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) spool: Spool,
    pub(crate) clock: Clock,
    pub(crate) publisher: &'static str,
    pub(crate) stop: Stop,
}

impl Door {
    /// Accepts all messages, in order. With an error, those before the named one are accepted all the same.
    pub(crate) async fn accept(
        &self,
        messages: &[Taken],
        when_full: WhenFull,
    ) -> Result<Vec<Place>, AcceptError> {
        let mut progress = self.spool.progress();
        let mut places = Vec::with_capacity(messages.len());
        if let Some((index, problem)) = messages
            .iter()
            .enumerate()
            .find_map(|(at, m)| validate_topic(&m.topic).err().map(|error| (at, error)))
        {
            return Err(AcceptError::Topic { index, problem });
        }
        let said: Vec<Vec<u8>> = messages.iter().map(Taken::attributes).collect();
        // What stands for the next message, if that is too large.
        let mut instead: Option<Vec<u8>> = None;
        while places.len() < messages.len() {
            let rest = messages.get(places.len()..).unwrap_or_default();
            let replaced = instead.as_ref().map(|attributes| (attributes.as_slice(), &[][..]));
            let said = said.get(places.len()..).unwrap_or_default();
            let records = (0..).zip(rest.iter().zip(said)).map(|(at, (message, said))| {
                let (attributes, payload) =
                    replaced.filter(|_| at == 0).unwrap_or((said, &message.payload));
                let (publisher, topic) = (self.publisher, message.topic.as_str());
                Message { publisher, topic, attributes, payload }
            });
            progress.mark_unchanged();
            let appended = self.spool.append(self.clock.now_us(), records);
            let before = places.len();
            places.extend(appended.places());
            if places.len() > before {
                instead = None;
            }
            match appended.refused {
                None => {}
                // Not accepted, and not the message's fault: nobody may take it for settled.
                Some(AppendError::Failed) => return Err(AcceptError::Stopping),
                Some(AppendError::Busy) => self.changed(&mut progress).await?,
                Some(AppendError::Full) if when_full == WhenFull::Wait => {
                    self.changed(&mut progress).await?;
                }
                Some(AppendError::TooLarge) if when_full == WhenFull::Wait && instead.is_none() => {
                    instead = messages.get(places.len()).map(too_large);
                }
                Some(problem) => {
                    let index = places.len();
                    self.synced(&mut progress, places.last()).await?;
                    return Err(AcceptError::Refused { index, problem });
                }
            }
        }
        self.synced(&mut progress, places.last()).await?;
        Ok(places)
    }

    async fn changed(
        &self,
        progress: &mut tokio::sync::watch::Receiver<store_forward::Progress>,
    ) -> Result<(), AcceptError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(AcceptError::Stopping),
            changed = progress.changed() => changed.map_err(|_| AcceptError::Stopping),
        }
    }

    async fn synced(
        &self,
        progress: &mut tokio::sync::watch::Receiver<store_forward::Progress>,
        last: Option<&Place>,
    ) -> Result<(), AcceptError> {
        let Some(last) = last else { return Ok(()) };
        let reached = progress.wait_for(|now| now.covers(*last) || now.failed).await;
        match reached {
            Ok(now) if now.covers(*last) => Ok(()),
            _ => Err(AcceptError::Stopping),
        }
    }
}

/// What is said of a message that no spool takes.
fn too_large(message: &Taken) -> Vec<u8> {
    let bytes = message.payload.len() as u64;
    let sha256 = Sha256::digest(&message.payload).into();
    warn!(
        topic = message.topic,
        bytes,
        "message is larger than any spool takes: its size and hash go on in its place, and it becomes a dead letter"
    );
    let mut attributes = message.attributes();
    Attribute::TooLarge { bytes, sha256 }.write(&mut attributes);
    attributes
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::path::Path;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use store_forward::config::SpoolOptions;
    use store_forward::metrics::SpoolMetrics;
    use store_forward::{Fresh, SpoolConfig, WriterThread};

    use telemetry_core::spool::attributes;
    use telemetry_core::spool::record::Record;

    use super::*;

    /// The start of a hash.
    const HASH: [u8; 4] = [0x47, 0xa1, 0x0d, 0x91];

    /// A door to a spool that writes when its writer is run.
    pub(super) fn door(folder: &Path) -> (Door, WriterThread) {
        let config = SpoolConfig { dir: folder.join("spool"), ..SpoolConfig::default() };
        let options = SpoolOptions { source_id: "agent".parse().unwrap(), config };
        let (spool, writer) =
            Spool::open(&options, Fresh::new(|| 7), SpoolMetrics::default()).unwrap();
        let (clock, stop) = (Clock::default(), Stop::new());
        (Door { spool, clock, publisher: "test", stop }, writer)
    }

    #[tokio::test]
    async fn inv4_a_message_that_no_spool_takes_is_stood_for_and_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (door, writer) = door(folder.path());
        let writer = std::thread::spawn(move || writer.run());
        let good = Taken::new("dt/w/a/readings".into(), b"{}".to_vec());
        let large = Taken { payload: vec![b'x'; 9 << 20], ..good.clone() };
        let messages = [large.clone(), good.clone(), large, good.clone()];
        let places = door.accept(&messages, WhenFull::Wait).await.unwrap();
        assert_eq!(places.iter().map(|place| place.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let mut found = Vec::new();
        let read = |record: &Record<'_>| {
            assert_eq!((record.topic, record.publisher), (&*good.topic, "test"));
            let said = attributes::read(record.attributes).find_map(|attribute| match attribute {
                Attribute::TooLarge { bytes, sha256 } => Some((bytes, sha256[..4].to_vec())),
                _ => None,
            });
            found.push((record.payload.to_vec(), said));
        };
        door.spool.records(0, read).unwrap();
        // head -c 9437184 /dev/zero | tr '\0' x | sha256sum
        let told = (Vec::new(), Some((9 << 20, HASH.to_vec())));
        let whole = (b"{}".to_vec(), None);
        assert_eq!(found, [told.clone(), whole.clone(), told, whole]);
        door.spool.close();
        writer.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn inv10_how_a_message_was_published_stands_in_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let (door, writer) = door(folder.path());
        let writer = std::thread::spawn(move || writer.run());
        let usual = Taken::new("dt/w/a/readings".into(), b"{}".to_vec());
        let said = Attribute::Delivery { qos: 0, retain: true };
        let retained = Taken { delivery: Some(said), ..usual.clone() };
        let large = Taken { payload: vec![b'x'; 9 << 20], ..retained.clone() };
        door.accept(&[usual, retained, large], WhenFull::Wait).await.unwrap();
        let mut found = Vec::new();
        let read = |record: &Record<'_>| {
            let said = attributes::read(record.attributes);
            found.push(said.map(|it| format!("{it:?}")[..8].to_owned()).collect::<Vec<_>>());
        };
        door.spool.records(0, read).unwrap();
        assert_eq!(found, [&[][..], &["Delivery"], &["Delivery", "TooLarge"]]);
        door.spool.close();
        writer.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn inv1_nobody_is_answered_before_the_sync() {
        let folder = tempfile::tempdir().unwrap();
        let (door, writer) = door(folder.path());
        let good = Taken::new("dt/w/a/readings".into(), b"{}".to_vec());
        let large = Taken { payload: vec![0; 8 << 20], ..good.clone() };
        let both = [good.clone(), large];
        let mut context = Context::from_waker(Waker::noop());
        let mut accepted = pin!(door.accept(&both[..1], WhenFull::Tell));
        let mut refused = pin!(door.accept(&both, WhenFull::Tell));
        assert!(accepted.as_mut().poll(&mut context).is_pending());
        assert!(refused.as_mut().poll(&mut context).is_pending(), "the first one is stored");
        assert_eq!(door.spool.status().appended, 2);
        let writer = std::thread::spawn(move || writer.run());
        assert_eq!(accepted.await.unwrap().len(), 1);
        let problem = AppendError::TooLarge;
        assert_eq!(refused.await, Err(AcceptError::Refused { index: 1, problem }));
        assert_eq!(door.spool.status().synced, 2);
        door.spool.close();
        writer.join().unwrap().unwrap();
    }
}
