//! The memory budget: what the batch that fills, the one that lands and the frame that wants in take of it. Pure.

use crate::batch::Batch;

/// Raw bytes from which a batch tells how much memory a raw byte becomes; what has less is mostly reserve.
const TELLING_BYTES: u64 = 256 << 10;

/// What is used of `memory_bytes`, counted as it will be when everything lands.
#[derive(Debug)]
pub(crate) struct Budget {
    max: u64,
    /// Memory of the batch that is being landed.
    landing: Option<u64>,
    /// Memory that a raw byte became in the last batch that told.
    expansion: f64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self { max, landing: None, expansion: 1.0 }
    }

    /// An order is out, for a batch of so many bytes.
    pub(crate) fn orders(&mut self, bytes: u64) {
        self.landing = Some(bytes);
    }

    /// The order is done.
    pub(crate) fn done(&mut self) {
        self.landing = None;
    }

    pub(crate) fn order_is_out(&self) -> bool {
        self.landing.is_some()
    }

    /// What is used.
    pub(crate) fn pending(&self, filling: &Batch) -> u64 {
        let filling = if filling.is_empty() { 0 } else { filling.landing_bytes() };
        filling + self.landing.unwrap_or_default()
    }

    /// Whether a frame of so many raw bytes may be decoded. With nothing pending any frame may: else it could never be.
    pub(crate) fn has_room(&self, filling: &Batch, raw_bytes: u64) -> bool {
        let pending = self.pending(filling);
        pending == 0 || pending.saturating_add(self.expanded(filling, raw_bytes)) <= self.max
    }

    /// Whether everything is used: what comes next in a frame waits until something has landed.
    pub(crate) fn is_used_up(&self, filling: &Batch) -> bool {
        self.pending(filling) >= self.max
    }

    /// Whether the filling batch has its share, so that another one may fill while it lands.
    pub(crate) fn is_spent(&self, filling: &Batch) -> bool {
        filling.landing_bytes() >= self.max / 2
    }

    /// Takes note of how much memory the raw bytes of a full batch became.
    pub(crate) fn learn(&mut self, batch: &Batch) {
        self.expansion = self.expansion_of(batch);
    }

    /// The raw bytes that all sources together may have in flight.
    pub(crate) fn credit(&self, filling: &Batch) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a credit, not a count"
        )]
        let credit = (self.max as f64 / self.expansion_of(filling)) as u64;
        credit
    }

    fn expanded(&self, filling: &Batch, raw_bytes: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate"
        )]
        let bytes = (raw_bytes as f64 * self.expansion_of(filling)) as u64;
        bytes
    }

    /// At least 1: what a source may send is limited in raw bytes, which wait somewhere until they are decoded.
    fn expansion_of(&self, batch: &Batch) -> f64 {
        if batch.raw_bytes() < TELLING_BYTES {
            return self.expansion;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = batch.landing_bytes() as f64 / batch.raw_bytes() as f64;
        ratio.max(1.0)
    }
}
