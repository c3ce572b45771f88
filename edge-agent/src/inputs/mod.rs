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
                attributes: &[],
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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::path::Path;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use store_forward::config::SpoolOptions;
    use store_forward::metrics::SpoolMetrics;
    use store_forward::{Fresh, SpoolConfig, WriterThread};

    use super::*;

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
    async fn inv1_nobody_is_answered_before_the_sync() {
        let folder = tempfile::tempdir().unwrap();
        let (door, writer) = door(folder.path());
        let good = Taken { topic: "dt/w/a/readings".into(), payload: b"{}".to_vec() };
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
