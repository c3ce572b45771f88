//! Tells of alerts: by MQTT, webhooks and Alertmanager, each step at least once.
//!
//! A step is told when it is decoded, not when it has landed, so that a store that is down silences nobody. What is not told yet is
//! kept with each landing; what has not landed is decoded again. So a kill loses nothing, and may tell something twice: with the
//! same id.

mod desk;
mod http;
mod mqtt;
mod notice;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use service_runtime::{Clock, Repeats, Stop, Tasks};
use telemetry_core::backoff::Backoff;
use tracing::warn;

pub(crate) use desk::{Desk, Waiting};
use desk::{Open, Queue};
use http::{Http, NotTold};
pub(crate) use mqtt::{Flights, Link, LinkEnd, Message, StateLink, link};
pub use notice::Notice;
pub(crate) use notice::time;

use crate::watching::AlertsConfig;
pub use crate::watching::Webhook;

/// How often Alertmanager is told of all that is there.
const AGAIN_EVERY: Duration = Duration::from_secs(60);
/// How often a notice is tried that is refused: whoever refuses may be mended.
const REFUSED_MAX: u32 = 10;
/// A way to tell.
#[derive(Debug)]
enum Channel {
    Mqtt(Link),
    Webhook(Http),
    Alertmanager(Http),
}

/// The channels of a configuration, before they are started.
#[derive(Debug, Default)]
pub(crate) struct Channels(Vec<(String, Channel)>);

impl Channels {
    /// What a configuration names; `link`: the way to the broker, where there is one.
    ///
    /// # Errors
    /// A URL that is none; a secret that can't be read.
    pub(crate) fn open(config: &AlertsConfig, link: Option<Link>) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        if let Some(link) = link.filter(|_| config.mqtt) {
            channels.push(("mqtt".to_owned(), Channel::Mqtt(link)));
        }
        for (number, hook) in (1..).zip(&config.webhooks) {
            let url = hook.url.parse().context("[alerts] webhooks: url")?;
            let read = |path: &PathBuf| {
                let secret = std::fs::read_to_string(path);
                secret.with_context(|| format!("cannot read the secret {}", path.display()))
            };
            let secret = hook.secret_file.as_ref().map(read).transpose()?;
            let secret = secret.map(|text| text.trim().as_bytes().to_vec());
            channels.push((format!("webhook-{number}"), Channel::Webhook(Http::new(url, secret)?)));
        }
        if let Some(url) = &config.alertmanager {
            let url = url.parse().context("[alerts] alertmanager")?;
            channels
                .push(("alertmanager".to_owned(), Channel::Alertmanager(Http::new(url, None)?)));
        }
        Ok(Self(channels))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Starts a task for each, which tells what waits at the desk.
    pub(crate) fn start(self, tasks: &mut Tasks, desk: &Desk, clock: Clock) {
        for ((_, channel), queue) in self.0.into_iter().zip(desk.queues()) {
            let teller = Teller {
                queue: queue.clone(),
                channel,
                open: desk.open(),
                clock,
                refusals: Repeats::default(),
            };
            tasks.spawn("notify", teller.run(tasks.stop()));
        }
    }
}

/// Tells what waits for one channel.
struct Teller {
    queue: Arc<Queue>,
    channel: Channel,
    open: Arc<Open>,
    clock: Clock,
    refusals: Repeats<String>,
}

impl Teller {
    async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        let mut again = tokio::time::interval(AGAIN_EVERY);
        let queue = self.queue.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.lost(&mut again) => self.remind(&stop).await,
                notice = queue.next() => self.tell(&notice, &stop).await,
            }
        }
    }

    /// Waits until the other side may have forgotten what it was told.
    async fn lost(&mut self, again: &mut tokio::time::Interval) {
        match &mut self.channel {
            Channel::Mqtt(link) => link.connected().await,
            Channel::Webhook(_) => std::future::pending().await,
            Channel::Alertmanager(_) => drop(again.tick().await),
        }
    }

    /// Tells of all alerts that are there.
    async fn remind(&mut self, stop: &Stop) {
        let open = self.open.all();
        let told = async {
            match &self.channel {
                Channel::Mqtt(link) => {
                    for notice in &open {
                        link.retain(notice).await?;
                    }
                    Ok(())
                }
                Channel::Webhook(_) => Ok(()),
                Channel::Alertmanager(http) => {
                    let notices = open.iter().map(AsRef::as_ref);
                    http.alertmanager(notices, self.clock.now_ms()).await
                }
            }
        };
        let told = tokio::select! {
            () = stop.cancelled() => return,
            told = told => told,
        };
        if let Err(problem) = told {
            self.trouble(&problem);
        }
    }

    async fn tell(&mut self, notice: &Notice, stop: &Stop) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut refused = 0;
        loop {
            let told = tokio::select! {
                () = stop.cancelled() => return,
                told = self.send(notice) => told,
            };
            let problem = match told {
                Ok(()) => return self.queue.told(notice, "told"),
                Err(problem) => problem,
            };
            self.trouble(&problem);
            refused += u32::from(matches!(problem, NotTold::Refused(_)));
            if refused >= REFUSED_MAX {
                return self.queue.told(notice, "refused");
            }
            let random = uuid::Uuid::new_v4().as_u64_pair().0;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.delay(random)) => {}
            }
        }
    }

    async fn send(&self, notice: &Notice) -> Result<(), NotTold> {
        match &self.channel {
            Channel::Mqtt(link) => link.tell(notice).await,
            Channel::Webhook(http) => http.hook(notice, self.clock.now_ms() / 1000).await,
            Channel::Alertmanager(http) => http.alertmanager([notice], self.clock.now_ms()).await,
        }
    }

    fn trouble(&mut self, problem: &NotTold) {
        let (channel, said) = (&self.queue.name, problem.to_string());
        let line = self.refusals.note("failed", self.clock.uptime(), said);
        if let Some(line) = line {
            warn!(
                channel,
                problem = line.about,
                "alerts can't be told of there; they wait, and are tried again"
            );
        }
    }
}
