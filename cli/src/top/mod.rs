//! `tidemark top`: a running service, live in a terminal; or its overview once, for scripts.

mod answers;
mod ask;
mod cells;
mod draw;
mod keys;
mod lists;
mod once;
mod rows;
mod screen;
mod state;
#[cfg(test)]
mod tests;
mod troubles;
mod words;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use service_runtime::http::Method;
use service_runtime::signals::Signals;
use service_runtime::{Clock, Stop};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use self::answers::Answer;
use self::ask::{Ask, Problem};
use self::screen::Screen;
use self::state::{Action, Event, State};
use crate::admin::{Asked, Service};
use crate::harmless::harmless;
use crate::options::path;
use crate::print;

/// How often the ages on the screen move on.
const TICK: Duration = Duration::from_secs(1);
/// An action is answered once it is in the lake.
const ACT_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Admin address of a running service [default: [gateway] admin_listen].
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// File with its admin token, if it has one [default: [gateway] admin_token_file].
    #[arg(long, value_parser = path)]
    admin_token_file: Option<PathBuf>,
    /// TOML file whose [gateway] section names both.
    #[arg(long, short, value_parser = path)]
    config: Option<PathBuf>,
    /// Ask every so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
    every: u64,
    /// Print the overview as text and end. Exits with 1 if something is wrong.
    #[arg(long)]
    once: bool,
}

/// Shows it until somebody quits; with `--once` false if something is wrong.
pub(crate) async fn run(options: &Top) -> anyhow::Result<bool> {
    let service = Service::new(Asked {
        admin: options.admin,
        token_file: options.admin_token_file.as_deref(),
        config: options.config.as_deref(),
    })?;
    if options.once {
        return once(&service).await;
    }
    ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "this is no terminal: --once prints the overview as text"
    );
    let (signals, stop) = (Signals::listen()?, Stop::new());
    let every = Duration::from_secs(options.every);
    signals.until(stop.clone(), live(service, every, stop)).await
}

async fn once(service: &Service) -> anyhow::Result<bool> {
    let address = service.address;
    let answer = asked(service, Ask::Overview).await;
    let overview = answer.with_context(|| format!("{address} cannot be asked"))?;
    let Answer::Overview(overview) = overview else {
        anyhow::bail!("{address} answers something else");
    };
    // Who may not see alerts is told their number.
    let alerts = match asked(service, Ask::Alerts).await {
        Ok(Answer::Alerts(alerts)) => Some(alerts),
        _ => None,
    };
    let (text, well) = once::told(&address.to_string(), &overview, alerts.as_ref());
    print::line(text.trim_end())?;
    Ok(well)
}

async fn live(service: Service, every: Duration, stop: Stop) -> anyhow::Result<bool> {
    let clock = Clock::default();
    let mut screen = Screen::open().context("cannot take the terminal over")?;
    let mut state = State::new(service.address.to_string(), every, has_colours());
    let mut asks: JoinSet<Event> = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        screen.draw(|frame| draw::draw(&state, frame))?;
        let event = tokio::select! {
            () = stop.cancelled() => return Ok(true),
            event = screen.next() => event.context("the terminal is gone")?,
            _ = ticks.tick() => Event::Tick(clock.uptime(), clock.now_us()),
            Some(event) = asks.join_next() => event?,
        };
        for action in state.event(event) {
            let service = service.clone();
            match action {
                Action::Quit => return Ok(true),
                Action::Ask(ask) => {
                    asks.spawn(async move { Event::Answer(ask, asked(&service, ask).await) });
                }
                Action::Act { alert, act, words } => {
                    asks.spawn(async move {
                        let done = acted(&service, act.request(&alert)).await;
                        Event::Acted(words, done)
                    });
                }
            }
        }
    }
}

async fn asked(service: &Service, ask: Ask) -> Result<Answer, Problem> {
    let answer = service.ask(Method::GET, ask.path(), Bytes::new(), ask.patience()).await;
    let (status, body) = answer.map_err(|error| gone(service, &error))?;
    ask.read(status.as_u16(), &body)
}

async fn acted(service: &Service, request: Option<(String, String)>) -> Result<(), Problem> {
    let Some((path, body)) = request else {
        return Err(Problem::Unread("the alert has no id".into()));
    };
    let answer = service.ask(Method::POST, &path, body.into(), ACT_PATIENCE).await;
    let (status, body) = answer.map_err(|error| gone(service, &error))?;
    ask::accepted(status.as_u16(), &body)
}

fn gone(service: &Service, error: &anyhow::Error) -> Problem {
    let (address, why) = (service.address, format!("{error:#}"));
    let remedy = "is the service running? --admin names another address";
    Problem::Gone(format!("nobody answers at {address} ({}): {remedy}", harmless(&why)))
}

/// Colours are there unless somebody says that they want none (no-color.org).
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
