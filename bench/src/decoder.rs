//! Messages decoded as ingest does, into batches of one source.

use ingest::Decoding;
use ingest::batch::Batch;
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::spool::record::Record;

/// Decodes by the built-in rules.
pub(crate) struct Decoder {
    decoding: Decoding,
    source: SourceId,
}

/// A batch of the one source.
pub(crate) struct Filling {
    pub(crate) batch: Batch,
    source: u32,
    from: u64,
    /// The offset of the next message.
    pub(crate) next: u64,
}

impl Decoder {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut config = ingest::Config::default();
        config.beside_gateway("bench");
        let decoding = Decoding::new(&config, Default::default())?;
        Ok(Self { decoding, source: "bench".parse()? })
    }

    /// An empty batch, whose first message has that offset.
    pub(crate) fn batch(&self, from: u64) -> Filling {
        let mut batch = self.decoding.batch();
        let source = batch.source(&self.source, Epoch::from_random(1), from);
        Filling { batch, source, from, next: from }
    }

    /// Decodes the next message.
    ///
    /// # Errors
    /// It is a dead letter.
    pub(crate) fn take(
        &self,
        filling: &mut Filling,
        (topic, payload): (&str, &[u8]),
        received_us: i64,
    ) -> anyhow::Result<()> {
        let (offset, publisher) = (filling.next, "");
        let attributes = &[];
        let record = Record {
            offset,
            chain: 0,
            received_us,
            flags: 0,
            publisher,
            topic,
            attributes,
            payload,
        };
        let Filling { batch, source, .. } = filling;
        let refused = self.decoding.record(batch, *source, &record, received_us);
        anyhow::ensure!(refused.is_none(), "the load decodes: {refused:?}");
        filling.next += 1;
        Ok(())
    }
}

impl Filling {
    /// The batch, with all that was taken.
    pub(crate) fn finish(mut self, received_us: i64) -> Batch {
        self.batch.advance(self.source, self.next, self.next, self.next);
        self.batch.received(self.source, received_us);
        self.batch
    }

    /// How many messages it has.
    pub(crate) fn messages(&self) -> u64 {
        self.next - self.from
    }
}
