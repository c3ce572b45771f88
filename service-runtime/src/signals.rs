//! Turns Ctrl-C and SIGTERM into a stop.

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::Stop;

/// Cancels `stop` at the first Ctrl-C or SIGTERM; returns early when `stop` is cancelled by somebody else.
///
/// # Errors
/// When the operating system does not let us listen for signals.
pub async fn stop_on_signal(stop: Stop) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    info!("stopping: draining what was accepted");
    stop.cancel();
    Ok(())
}
