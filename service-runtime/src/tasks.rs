//! Named tasks with an owner and an ordered exit.
//!
//! The first task that fails stops the others, and its error carries its name. On a stop, tasks have a grace period to
//! drain; [`Tasks::join`] says who overran it.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::task::{Id, JoinError, JoinSet};
pub use tokio_util::sync::CancellationToken as Stop;
use tracing::{debug, warn};

/// The tasks of a process or of one part of it.
#[derive(Debug)]
pub struct Tasks {
    stop: Stop,
    set: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Owns tasks that should end after `stop` is cancelled. A failing task cancels it.
    pub fn new(stop: Stop) -> Self {
        Self { stop, set: JoinSet::new(), names: HashMap::new() }
    }

    /// Returns the stop signal.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Starts a task.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Starts a thread for blocking work.
    pub fn spawn_blocking(
        &mut self,
        name: &'static str,
        task: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) {
        let handle = self.set.spawn_blocking(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until all tasks ended. From the stop on they have `grace`; who is still running then is named and aborted.
    ///
    /// # Errors
    /// The first failure, prefixed with the task's name, or the names of those that overran the grace period.
    pub async fn join(mut self, grace: Duration) -> anyhow::Result<()> {
        let mut first_error = None;
        let deadline = async {
            self.stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::pin!(deadline);
        loop {
            let ended = tokio::select! {
                ended = self.set.join_next_with_id() => ended,
                () = &mut deadline => {
                    let names: Vec<_> = self.names.values().copied().collect();
                    warn!(tasks = ?names, "still running after the grace period, aborted");
                    self.set.abort_all();
                    return Err(first_error.unwrap_or_else(|| anyhow!("did not stop within {grace:?}: {}", names.join(", "))));
                }
            };
            let Some(ended) = ended else { break };
            if let Some(error) = settle(&mut self.names, ended) {
                self.stop.cancel();
                match first_error {
                    None => first_error = Some(error),
                    Some(_) => {
                        warn!(error = format!("{error:#}"), "task failed after the first failure");
                    }
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

fn settle(
    names: &mut HashMap<Id, &'static str>,
    ended: Result<(Id, anyhow::Result<()>), JoinError>,
) -> Option<anyhow::Error> {
    let (id, result) = match ended {
        Ok((id, result)) => (id, result),
        Err(error) => (error.id(), Err(anyhow!(error))),
    };
    let name = names.remove(&id).unwrap_or("task");
    debug!(task = name, ok = result.is_ok(), "task ended");
    result.context(name).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_failure_stops_the_others_and_is_named() {
        let mut tasks = Tasks::new(Stop::new());
        let stop = tasks.stop();
        tasks.spawn("waits", async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.spawn("breaks", async { Err(anyhow!("out of paper")) });
        let error = tasks.join(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "breaks: out of paper");
    }

    #[tokio::test(start_paused = true)]
    async fn who_overruns_the_grace_period_is_named() {
        let mut tasks = Tasks::new(Stop::new());
        tasks.spawn("stubborn", std::future::pending());
        tasks.stop().cancel();
        let error = tasks.join(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "did not stop within 5s: stubborn");
    }
}
