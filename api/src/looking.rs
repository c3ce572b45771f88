//! The task beside the API: looks every few seconds at what moves, and counts devices now and then.

use std::collections::HashMap;
use std::time::Duration;

use ingest::watching::{AlertNow, DEVICES_MAX, DevicesWanted, Moved, Watcher};
use service_runtime::Stop;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;

use crate::pulse::{ALERT_STATES, Alerts, Counted, EVERY, Look, SEVERITIES, Totals};
use crate::state::Api;

/// How often devices are counted.
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// Pages of devices that are counted, at most: a million devices.
const PAGES_MAX: usize = 1_000;

impl Api {
    /// Keeps what the API says of rates and troubles up to date, until `stop`.
    ///
    /// # Errors
    /// Never.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watcher = self.parts().ingest.as_ref().map(|ingest| ingest.watcher.clone());
        let mut moves = watcher.as_ref().map(Watcher::moves);
        let (mut landed, mut counted) = (Totals::default(), None);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                moved = next(&mut moves) => match moved {
                    Ok(Moved::Landed { rows, messages }) => landed.add(rows, messages),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => moves = None,
                },
                _ = tick.tick() => {
                    let now = self.now();
                    self.look(landed);
                    if let Some(watcher) = &watcher
                        && counted.is_none_or(|at| now.saturating_sub(at) >= COUNT_EVERY)
                    {
                        tokio::select! {
                            () = stop.cancelled() => return Ok(()),
                            // Who was not answered asks again soon.
                            answered = self.count(watcher) => counted = answered.then_some(now),
                        }
                    }
                }
            }
        }
    }

    fn look(&self, landed: Totals) {
        let parts = self.parts();
        let accepted = parts.gateway.as_ref().map(|gateway| gateway.source().accepted);
        let totals = Totals { messages: accepted.unwrap_or(landed.messages), ..landed };
        let counts = parts.counts.read();
        let unready = parts.readiness.troubles().into_iter().map(|(part, _)| part).collect();
        self.pulse().look((self.now(), self.now_us()), Look { totals, counts, unready });
    }

    /// Tells whether it was answered.
    async fn count(&self, watcher: &Watcher) -> bool {
        let (mut of_source, mut after) = (HashMap::<String, usize>::new(), None);
        for _ in 0..PAGES_MAX {
            let wanted = DevicesWanted { after, limit: DEVICES_MAX, ..DevicesWanted::default() };
            let Ok(page) = watcher.devices(wanted).await else { return false };
            for device in &page.devices {
                *of_source.entry(device.source.clone()).or_default() += 1;
            }
            after = page.devices.last().map(|last| (last.site.clone(), last.device.clone()));
            if !page.more || after.is_none() {
                let Ok(there) = watcher.alerts().await else { return false };
                let counted = Counted { devices: page.totals, alerts: by_state(&there) };
                self.pulse().counts(counted, of_source);
                return true;
            }
        }
        // More than a million: nobody counts them.
        true
    }
}

impl Totals {
    fn add(&mut self, rows: u64, messages: u64) {
        self.rows += rows;
        self.messages += messages;
        self.landings += 1;
    }
}

fn by_state(there: &[AlertNow]) -> Alerts {
    let mut alerts = Alerts::default();
    for alert in there {
        let state = ALERT_STATES.iter().position(|state| *state == alert.state.name());
        let severity = SEVERITIES.iter().position(|severity| *severity == alert.severity);
        if let (Some(state), Some(severity)) = (state, severity) {
            alerts[state][severity] += 1;
        }
    }
    alerts
}

/// The next move; never, where there is nobody who moves.
async fn next(
    moves: &mut Option<broadcast::Receiver<Moved>>,
) -> Result<Moved, broadcast::error::RecvError> {
    match moves {
        Some(moves) => moves.recv().await,
        None => std::future::pending().await,
    }
}
