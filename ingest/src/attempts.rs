//! Keeps the note of [`Caution`] in the lake. A note that cannot be kept is told and holds nothing up.

use lake::Lake;
use telemetry_core::id::Offset;
use tracing::{error, warn};

use crate::causes::chain;
use crate::caution::{Caution, Note};
use crate::sequencer::Key;

/// The worker's caution, and where its note is.
#[derive(Debug)]
pub(crate) struct Attempts {
    lake: Lake,
    worker: String,
    caution: Caution,
}

impl Attempts {
    /// Reads what the last life left and notes that this one has begun.
    pub(crate) async fn begin(lake: &Lake, worker: &str) -> Self {
        let note = match lake.attempts(worker).await {
            Ok(note) => note.and_then(|note| serde_json::from_slice(&note).ok()),
            Err(error) => {
                warn!(error = chain(&error), "cannot read how the last life of this worker ended");
                None
            }
        };
        let caution = Caution::begin(note);
        let attempts = Self { lake: lake.clone(), worker: worker.to_owned(), caution };
        attempts.tell();
        attempts.write(Some(attempts.caution.note())).await;
        attempts
    }

    /// How often in a row it ended badly.
    pub(crate) fn bad_ends(&self) -> u32 {
        self.caution.bad_ends()
    }

    /// Messages that a batch may have of a source, and nothing beside them, if that is limited.
    pub(crate) fn slice(&self, key: &Key) -> Option<u64> {
        self.caution.slice(key)
    }

    /// Whether the message must not be looked at again.
    pub(crate) fn is_poison(&self, key: &Key, offset: Offset) -> bool {
        self.caution.is_poison(key, offset)
    }

    /// Writes down that these messages are about to be decoded.
    pub(crate) async fn tries(&mut self, key: &Key, from: Offset, to: Offset) {
        let note = self.caution.tries(key, from, to);
        self.write(Some(note)).await;
    }

    /// So many messages landed, and sources are there now.
    pub(crate) async fn landed(&mut self, messages: u64, now: &[(Key, Offset, u64)]) {
        if let Some(note) = self.caution.landed(messages, now) {
            self.write(Some(note)).await;
        }
    }

    /// A batch could not be encoded.
    pub(crate) async fn failed(&mut self) {
        let note = self.caution.failed();
        self.tell();
        self.write(Some(note)).await;
    }

    /// An orderly stop.
    pub(crate) async fn end(&mut self) {
        let note = self.caution.farewell();
        self.write(note).await;
    }

    fn tell(&self) {
        if let Some((messages, source)) = self.caution.told() {
            error!(
                messages,
                source,
                "this worker ended badly several times without landing anything: landing few messages at a time until the one is found"
            );
        }
    }

    async fn write(&self, note: Option<Note>) {
        let bytes =
            note.map(|note| serde_json::to_vec(&note).expect("a note has only texts and numbers"));
        if let Err(error) = self.lake.set_attempts(&self.worker, bytes).await {
            warn!(error = chain(&error), "cannot write down what is being tried");
        }
    }
}
