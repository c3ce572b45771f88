//! Where messages come from. An input acknowledges to its sender only after the sync (INV-1).

pub(crate) mod http;
pub(crate) mod mqtt;
pub(crate) mod ndjson;

use service_runtime::{Clock, Stop};
use store_forward::{AppendError, Message, Place, Spool};
use telemetry_core::topic::{TopicError, validate_topic};

/// A message that an input has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

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

/// What a full spool means to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Wait for room: the sender waits too.
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
        while places.len() < messages.len() {
            let rest = messages.get(places.len()..).unwrap_or_default();
            let records = rest.iter().map(|message| Message {
                publisher: self.publisher,
                topic: &message.topic,
                payload: &message.payload,
            });
            progress.mark_unchanged();
            let appended = self.spool.append(self.clock.now_us(), records);
            places.extend(appended.places());
            match appended.refused {
                None => {}
                // Not accepted, and not the message's fault: nobody may take it for settled.
                Some(AppendError::Failed) => return Err(AcceptError::Stopping),
                Some(AppendError::Busy) => self.changed(&mut progress).await?,
                Some(AppendError::Full) if when_full == WhenFull::Wait => {
                    self.changed(&mut progress).await?;
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
