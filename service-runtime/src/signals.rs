//! Turns Ctrl-C and SIGTERM into a stop; a second one does not wait for it.

use std::future::Future;

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::Stop;

/// Ctrl-C and SIGTERM, from the moment it is made: a process listens before it opens anything, so that a signal that comes
/// while it starts is an ordinary stop, too.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen; from now on neither signal kills the process by itself.
    ///
    /// # Errors
    /// When the operating system does not let us listen for signals.
    pub fn listen() -> anyhow::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Runs something that can be stopped; the first signal cancels `stop`, the second ends it as it is.
    ///
    /// # Errors
    /// What it says, or that a second signal cut its end short.
    pub async fn until<T>(
        mut self,
        stop: Stop,
        service: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::pin!(service);
        tokio::select! {
            ended = &mut service => return ended,
            () = self.next() => {}
        }
        info!("stopping: draining what was accepted; a second signal ends it at once");
        stop.cancel();
        tokio::select! {
            ended = service => ended,
            () = self.next() => {
                bail!("a second signal cut the stop short: what was accepted is safe and goes on at the next start")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    fn send_ourselves(name: &str) {
        let pid = std::process::id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    #[tokio::test]
    async fn the_first_signal_asks_and_the_second_does_not_wait() {
        let stop = Stop::new();
        let asked = stop.clone();
        // A drain that would take for ever.
        let service = async {
            tokio::task::yield_now().await;
            send_ourselves("-TERM");
            asked.cancelled().await;
            send_ourselves("-INT");
            std::future::pending::<anyhow::Result<()>>().await
        };
        let signals = Signals::listen().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(60), signals.until(stop, service));
        let error = ended.await.expect("the second signal ends it").unwrap_err();
        assert!(error.to_string().contains("second signal"), "{error}");
    }

    #[tokio::test]
    async fn a_service_that_ends_by_itself_needs_no_signal() {
        let signals = Signals::listen().unwrap();
        assert!(signals.until(Stop::new(), async { Ok(()) }).await.is_ok());
    }

    #[tokio::test]
    async fn a_signal_while_everything_is_still_being_opened_is_a_stop() {
        let signals = Signals::listen().unwrap();
        send_ourselves("-TERM");
        let stop = Stop::new();
        let asked = stop.clone();
        let service = async move {
            asked.cancelled().await;
            Ok(())
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), signals.until(stop, service));
        assert!(ended.await.expect("it is asked to stop").is_ok());
    }
}
