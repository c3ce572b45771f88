//! `tidemark map` and `tidemark profiles`: which rule takes a message, what rows it becomes, and rules to paste.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use ingest::batch::{Flag, Layout};
use ingest::explain::{self, Explained, ExplainedRow};
use ingest::profiles::{Profile, profiles};
use ingest::replay::{self, Kept, Wanted};
use ingest::suggest::{self, SAMPLES_MAX, Sample};
use serde::Serialize;
use service_runtime::Clock;
use telemetry_core::topic::validate_filter;
use tokio::time::Instant;

use crate::listen_mqtt::{Heard, Listener};
use crate::options::{BrokerLogin, Format, LakeOption, path};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Map {
    #[command(subcommand)]
    pub(crate) command: MapCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// Shows the rows that a message would become, and the rule that takes it. Exits with 1 if it would be a dead letter.
    Try(Try),
    /// Looks at dead letters, kept messages, readings without a rule, or a broker's live ones, and prints rules for a person to approve.
    Suggest(Suggest),
}

#[derive(Debug, Args)]
pub(crate) struct Try {
    /// The message's topic.
    #[arg(long, short)]
    pub(crate) topic: String,
    /// Its payload.
    #[arg(long, short, conflicts_with = "file", required_unless_present = "file")]
    pub(crate) payload: Option<String>,
    /// A file with its payload.
    #[arg(long, value_parser = path)]
    pub(crate) file: Option<PathBuf>,
    /// Who publishes it.
    #[arg(long, default_value = "somebody")]
    pub(crate) publisher: String,
    /// TOML file with the rules.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
    /// How the rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// The lake whose dead letters, kept messages and readings flagged `unmapped` are looked at: a folder, file:///… or s3://bucket/prefix.
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// The broker whose messages are looked at, host:port.
    #[arg(long, required_unless_present = "lake")]
    pub(crate) broker: Option<String>,
    #[command(flatten)]
    pub(crate) login: BrokerLogin,
    /// Only topics that this filter matches.
    #[arg(long, default_value = "#")]
    pub(crate) topic: String,
    /// How long the broker is listened to.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

/// The table of messages that could not become rows.
const DEAD: &str = "dead_letters";

/// True when the answer is a good one.
pub(crate) async fn run(options: &Map) -> anyhow::Result<bool> {
    match &options.command {
        MapCommand::Try(options) => tried(options),
        MapCommand::Suggest(options) => suggested(options).await,
    }
}

/// True when there is something to suggest.
async fn suggested(options: &Suggest) -> anyhow::Result<bool> {
    validate_filter(&options.topic)
        .with_context(|| format!("--topic {} is not a topic filter", options.topic))?;
    let (mut samples, mut unmapped) = match &options.lake {
        Some(url) => of_lake(url, &options.topic).await?,
        None => Default::default(),
    };
    if let Some(broker) = &options.broker {
        print::line(&format!("# listening to {broker} for {} s", options.seconds))?;
        let mut listener = Listener::new(broker, &options.login, options.topic.clone())?;
        let until = Instant::now() + Duration::from_secs(options.seconds);
        while samples.len() < SAMPLES_MAX {
            match tokio::time::timeout_at(until, listener.next()).await {
                Ok(heard) => {
                    let Heard { topic, payload } = heard?;
                    samples.push(Sample { topic, payload });
                }
                Err(_) => break,
            }
        }
    }
    // Of topics that were seen as they are, the rows say less.
    let seen: HashSet<&str> = samples.iter().map(|sample| sample.topic.as_str()).collect();
    unmapped.retain(|sample| !seen.contains(sample.topic.as_str()));
    let (suggestions, of_rows) = (suggest::suggest(&samples), suggest::suggest(&unmapped));
    for suggestion in &suggestions {
        print::line(&suggestion.toml)?;
    }
    if !of_rows.is_empty() {
        print::line(OF_ROWS)?;
    }
    for suggestion in &of_rows {
        print::line(&suggestion.toml)?;
    }
    let some = !(suggestions.is_empty() && of_rows.is_empty());
    if !some {
        print::line("# no messages: nothing to suggest")?;
    }
    Ok(some)
}

/// Before the rules that rows suggest.
const OF_ROWS: &str = "\
# From readings that no rule of the configuration is for (flag `unmapped`). Rows do not have the topic: it is put together
# from site, device and metric. `tidemark tap` shows what is published.
";

/// Dead letters and kept messages, and what readings that no rule is for say of theirs.
async fn of_lake(url: &str, topic: &str) -> anyhow::Result<(Vec<Sample>, Vec<Sample>)> {
    let lake = config::open_lake(&LakeOption { lake: Some(url.to_owned()), config: None }).await?;
    let mut samples = Vec::new();
    for kept in [Kept::DeadLetters, Kept::Messages] {
        let wanted = Wanted { topic: Some(topic.to_owned()), ..Wanted::default() };
        let mut letters = replay::letters(&lake, kept, wanted).await?;
        while let Some(letters) = letters.try_next().await?
            && samples.len() < SAMPLES_MAX
        {
            let own = letters.into_iter().filter(|letter| !letter.topic.is_empty());
            samples.extend(own.map(|own| Sample { topic: own.topic, payload: own.payload }));
        }
    }
    let unmapped = suggest::unmapped(&lake, topic).await?;
    Ok((samples, unmapped))
}

/// True when the message becomes rows, and no dead letter.
fn tried(options: &Try) -> anyhow::Result<bool> {
    let payload = match (&options.payload, &options.file) {
        (Some(payload), _) => payload.clone().into_bytes(),
        (None, Some(file)) => {
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        (None, None) => anyhow::bail!("give --payload or --file"),
    };
    let everything = config::load(options.config.as_deref())?;
    let layout = Arc::new(Layout::of(&everything.catalog()?));
    let (topic, publisher) = (&options.topic, &options.publisher);
    let now_us = Clock::default().now_us();
    let explained =
        explain::explain(&everything.ingest, layout, topic, publisher, &payload, now_us)?;
    match options.format {
        Format::Json => print::json(&Shown::of(&explained))?,
        Format::Text => show(&explained)?,
    }
    Ok(explained.rows.iter().all(|row| row.table != DEAD))
}

#[derive(Serialize)]
struct Shown<'a> {
    rule: Option<&'a str>,
    rows: Vec<ShownRow<'a>>,
}

#[derive(Serialize)]
struct ShownRow<'a> {
    table: &'a str,
    columns: std::collections::BTreeMap<&'a str, &'a str>,
}

impl<'a> Shown<'a> {
    fn of(explained: &'a Explained) -> Self {
        let rows = explained.rows.iter().map(|row| ShownRow {
            table: &row.table,
            columns: row.columns.iter().map(|(name, value)| (&**name, &**value)).collect(),
        });
        Self { rule: explained.rule.as_deref(), rows: rows.collect() }
    }
}

fn show(explained: &Explained) -> anyhow::Result<()> {
    let rule = explained.rule.as_deref().unwrap_or("no rule takes this topic");
    print::line(&format!("by {rule}"))?;
    for ExplainedRow { table, columns } in &explained.rows {
        print::line("")?;
        print::line(table)?;
        let width = columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in columns {
            print::line(&format!("  {name:width$}  {value}"))?;
        }
        let flags = columns.iter().find(|(name, _)| name == "flags").map(|(_, flags)| flags);
        for flag in flags.map(|flags| flags.split(',')).into_iter().flatten() {
            let known = ingest::batch::FLAGS.iter().find(|known| known.name == flag);
            if let Some(Flag { about, remedy, .. }) = known {
                print::line(&format!("  {:width$}  {flag}: {about} {remedy}", ""))?;
            }
        }
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(crate) struct Profiles {
    /// Shows one of them, with the topics that it is for.
    pub(crate) name: Option<String>,
}

/// Lists the profiles, or shows one.
pub(crate) fn list(options: &Profiles) -> anyhow::Result<()> {
    let Some(name) = &options.name else {
        for profile in profiles() {
            print::line(&format!("{:28}{}", profile.name, profile.about))?;
        }
        print::line("")?;
        print::line(
            "A rule of the configuration names one; everything of it can be said otherwise:",
        )?;
        return Ok(print::line(&pasted("zigbee2mqtt"))?);
    };
    let found = profiles().iter().find(|profile| profile.name == *name);
    let names = || profiles().iter().map(|own| own.name.as_str()).collect::<Vec<_>>().join(", ");
    let Profile { about, docs, rules, .. } =
        found.with_context(|| format!("`{name}` is not a profile: there are {}", names()))?;
    print::line(about)?;
    print::line(docs)?;
    print::line("")?;
    let rows = rules.iter().map(|rule| {
        let site = rule.site.clone().unwrap_or_else(|| name.clone());
        vec![rule.filter.clone(), site, rule.device.clone()]
    });
    print::columns(&["topics", "site", "device"], &rows.collect::<Vec<_>>())?;
    print::line("")?;
    Ok(print::line(&pasted(name))?)
}

fn pasted(profile: &str) -> String {
    format!("[[ingest.topics]]\nprofile = \"{profile}\"\nsite = \"home\"")
}
