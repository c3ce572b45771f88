//! Who is connected: one session per client id, and a limit on all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use service_runtime::Stop;
use tokio::sync::watch;

/// All connected sessions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    sessions: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    /// Tells the session that another connection has taken its client id.
    taken_over: Stop,
    /// Closed when the session has ended.
    ended: watch::Receiver<()>,
}

/// A session's place in the registry; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    registry: Registry,
    client_id: String,
    serial: u64,
    pub(crate) taken_over: Stop,
    _ended: watch::Sender<()>,
}

impl Registry {
    /// Takes the seat of a client id. If somebody has it, they are told to leave; await the returned future before going
    /// on, so that their will and their last messages come first (MQTT 3.1.1 section 3.1.4-2).
    pub(crate) fn enter(
        &self,
        client_id: &str,
        serial: u64,
    ) -> (Seat, Option<watch::Receiver<()>>) {
        let (sender, ended) = watch::channel(());
        let taken_over = Stop::new();
        let entry = Entry { serial, taken_over: taken_over.clone(), ended };
        let before = self.lock().insert(client_id.to_owned(), entry);
        let seat = Seat {
            registry: self.clone(),
            client_id: client_id.to_owned(),
            serial,
            taken_over,
            _ended: sender,
        };
        let leaving = before.map(|before| {
            before.taken_over.cancel();
            before.ended
        });
        (seat, leaving)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = self.registry.lock();
        // The seat may have been taken over: then it is no longer ours to clear.
        if sessions.get(&self.client_id).is_some_and(|entry| entry.serial == self.serial) {
            sessions.remove(&self.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_connection_takes_over_and_waits_for_the_first_to_leave() {
        let registry = Registry::default();
        let (first, nobody) = registry.enter("mon-1", 1);
        assert!(nobody.is_none());
        let (second, leaving) = registry.enter("mon-1", 2);
        assert!(first.taken_over.is_cancelled() && !second.taken_over.is_cancelled());
        drop(first);
        assert!(leaving.unwrap().changed().await.is_err(), "ends when the first has left");
        assert!(registry.lock().contains_key("mon-1"));
        drop(second);
        assert!(registry.lock().is_empty());
    }
}
