//! `tidemark tap`: prints what is published at a running gateway, as it comes, and on request what it becomes.

mod mqtt;
mod outlet;
mod payload;
mod shown;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use ingest::batch::Layout;
use ingest::explain::Explainer;
use service_runtime::signals::Signals;
use service_runtime::{Clock, Stop};
use telemetry_core::topic::{ControlTopics, validate_filter};
use tokio::task::JoinHandle;

use self::mqtt::{Heard, Subscription};
use self::outlet::Outlet;
use self::shown::{Came, Decoded};
use crate::config::{self, Everything};
use crate::harmless::harmless;
use crate::options::{BrokerLogin, Format, path};
use crate::print;

/// What is still to be printed at a stop has so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// Topics to listen to, with + for a level and # for the rest, for example 'dt/ward-3/#'.
    #[arg(required = true, value_name = "FILTER")]
    filters: Vec<String>,
    /// Show the rows that each message becomes by the topic rules of --config, or why it becomes a dead letter.
    #[arg(long)]
    decoded: bool,
    /// How messages are printed: a line each, or a JSON object each.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    seconds: Option<u64>,
    /// End after so many messages. Exits with 1 if --for is over before.
    #[arg(long, short = 'n', value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    count: Option<u64>,
    /// Show all of long payloads.
    #[arg(long)]
    full: bool,
    /// Delivery that is asked for: with 1 or 2 the gateway repeats what is lost on the way.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// The gateway, host:port [default: [gateway] listen].
    #[arg(long, alias = "broker")]
    gateway: Option<String>,
    /// TOML file whose [gateway] section names the address, and whose [ingest] section has the topic rules.
    #[arg(long, short, value_parser = path)]
    config: Option<PathBuf>,
    #[command(flatten)]
    login: BrokerLogin,
}

/// Listens until it is enough; false if it never was.
pub(crate) async fn run(options: Tap) -> anyhow::Result<bool> {
    // A Ctrl-C from here on is an ordinary end.
    let (signals, stop, clock) = (Signals::listen()?, Stop::new(), Clock::default());
    for filter in &options.filters {
        let plain = filter.strip_prefix("$share/").and_then(|share| share.split_once('/'));
        validate_filter(plain.map_or(filter, |(_, plain)| plain))
            .with_context(|| format!("{} is not a topic filter", harmless(filter)))?;
    }
    let everything = config::load(options.config.as_deref())?;
    let decoder = options.decoded.then(|| Decoder::new(&everything)).transpose()?;
    let gateway = options.gateway.clone().unwrap_or_else(|| everything.gateway.listen.to_string());
    let (login, qos) = (&options.login, options.qos);
    let subscription = Subscription::new(&gateway, login, &options.filters, qos, clock)?;
    let (format, full) = (options.format, options.full);
    let show = move |came: &Came| {
        let decoded = decoder.as_ref().map(|decoder| decoder.decoded(came));
        match format {
            Format::Text => shown::text(came, decoded.as_ref(), full),
            Format::Json => shown::json(came, decoded.as_ref(), full),
        }
    };
    let (outlet, printing) = Outlet::open(io::stdout(), show);
    let tapping = Tapping { options, gateway, outlet, clock, listens: false, came: 0, losses: 0 };
    signals.until(stop.clone(), tapping.run(subscription, printing, stop)).await
}

/// Says what becomes of messages.
struct Decoder {
    explainer: Explainer,
    control: ControlTopics,
}

impl Decoder {
    fn new(everything: &Everything) -> anyhow::Result<Self> {
        let layout = Arc::new(Layout::of(&everything.catalog()?));
        let explainer = Explainer::new(&everything.ingest, layout).context("[ingest] topics")?;
        let control = ControlTopics::new(&everything.gateway.control_prefix)
            .context("[gateway] control_prefix")?;
        Ok(Self { explainer, control })
    }

    fn decoded(&self, came: &Came) -> Decoded {
        if !gateway::is_telemetry(&self.control, &came.topic) {
            return Decoded::NotTelemetry;
        }
        // Who publishes is not told to whom it is delivered.
        match self.explainer.explain(&came.topic, "", &came.payload, came.at_us) {
            Ok(explained) => Decoded::Told(explained),
            Err(error) => Decoded::Failed(error.to_string()),
        }
    }
}

/// A tap at work.
struct Tapping {
    options: Tap,
    gateway: String,
    outlet: Outlet,
    clock: Clock,
    /// It was granted once.
    listens: bool,
    /// Messages that came and had a place.
    came: u64,
    losses: u64,
}

impl Tapping {
    async fn run(
        mut self,
        mut subscription: Subscription,
        mut printing: JoinHandle<io::Result<()>>,
        stop: Stop,
    ) -> anyhow::Result<bool> {
        let heard = tokio::select! {
            heard = self.listen(&mut subscription) => heard,
            () = stop.cancelled() => Ok(true),
            ended = &mut printing => {
                subscription.leave().await;
                return Ok(ended?.map(|()| true)?);
            }
        };
        subscription.leave().await;
        let told = self.listens.then(|| self.told());
        // The end of its queue ends the printing.
        drop(self.outlet);
        // What is written to may be stuck: a stop does not wait for it for ever.
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            printed = printing => printed??,
            () = stopped => {}
        }
        if let Some(told) = told {
            print::aside(&told);
        }
        heard
    }

    /// Until the time is up or enough came; whether that is so.
    async fn listen(&mut self, subscription: &mut Subscription) -> anyhow::Result<bool> {
        // Counted from when it is heard, not from when it was asked for.
        let mut time_is_up = None;
        let mut lost_at = None;
        loop {
            let heard = async {
                match time_is_up {
                    Some(at) => tokio::time::timeout_at(at, subscription.next()).await.ok(),
                    None => Some(subscription.next().await),
                }
            };
            let Some(heard) = heard.await else {
                return Ok(self.options.count.is_none());
            };
            match heard? {
                Heard::Listening if !self.listens => {
                    self.listens = true;
                    self.say_listening();
                    let seconds = self.options.seconds.map(Duration::from_secs);
                    time_is_up = seconds.map(|seconds| tokio::time::Instant::now() + seconds);
                }
                Heard::Listening => {
                    let away =
                        self.clock.uptime().saturating_sub(lost_at.take().unwrap_or_default());
                    let away = away.as_secs_f64();
                    print::aside(&format!(
                        "connected again after {away:.1} s: what was published in between was not seen"
                    ));
                }
                Heard::Came(came) => {
                    self.came += u64::from(self.outlet.take(came));
                    if self.options.count.is_some_and(|count| self.came >= count) {
                        return Ok(true);
                    }
                }
                Heard::Lost { cause } => {
                    self.losses += 1;
                    lost_at = Some(self.clock.uptime());
                    print::aside(&format!(
                        "connection lost ({}): trying again; what is published meanwhile is not seen",
                        harmless(&cause)
                    ));
                }
            }
        }
    }

    fn say_listening(&self) {
        let filters: Vec<_> = self.options.filters.iter().map(|filter| harmless(filter)).collect();
        let (filters, gateway, qos) =
            (filters.join(", "), harmless(&self.gateway), self.options.qos);
        print::aside(&format!("listening at {gateway} to {filters}, QoS {qos}; Ctrl-C ends it"));
        if !self.options.decoded {
            return;
        }
        match &self.options.config {
            Some(file) => print::aside(&format!("decoded by the rules of {}", file.display())),
            None => print::aside("decoded by the built-in rules: --config names others"),
        }
    }

    /// How many came, and what is missing.
    fn told(&self) -> String {
        let mut told = match self.came {
            1 => "1 message came".to_owned(),
            came => format!("{} messages came", print::grouped(came)),
        };
        if self.outlet.left_out() > 0 {
            let left_out = print::grouped(self.outlet.left_out());
            told +=
                &format!(", {left_out} more were left out: they came faster than they are read");
        }
        match self.losses {
            0 => {}
            1 => told += "; the connection was lost once, and what was published then was not seen",
            times => {
                told += &format!(
                    "; the connection was lost {times} times, and what was published then was not seen"
                );
            }
        }
        told
    }
}
