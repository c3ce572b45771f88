//! `tidemark dead-letters` and `tidemark reprocess`: what could not become rows, and another try.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use futures::TryStreamExt;
use ingest::replay::{self, Kept, Letter, Replayed, Wanted};
use lake::{Lake, LakeConfig, OpenMode};
use serde::Serialize;
use service_runtime::Clock;
use service_runtime::config::expand_home;

use crate::options::{Format, path};
use crate::tables::instant;
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Counts them by reason and topic.
    List(List),
    /// Shows one of them with its payload.
    Show(Show),
    /// Decodes them by the rules of today; those that become rows are landed, each once.
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only with this reason code.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only of topics that this filter matches.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Only those received on this day (UTC) or later: YYYY-MM-DD.
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// The lake: a folder, file:///… or s3://bucket/prefix [default: [lake] url].
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// TOML file with the lake and the rules.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Which: SOURCE/EPOCH/OFFSET, as `list` shows an example of each.
    pub(crate) position: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only says what would become of them.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reprocess {
    /// The table to read from.
    #[arg(long, value_enum)]
    pub(crate) from: From,
    #[command(flatten)]
    pub(crate) replay: Replay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// Messages as they came, of rules with raw = true.
    Messages,
    /// Messages that could not become rows.
    DeadLetters,
}

/// Groups that are listed at most.
const GROUPS_MAX: usize = 1000;
/// Bytes of a payload that are shown at most.
const SHOWN_MAX: usize = 64 << 10;

pub(crate) async fn run(options: &DeadLetters) -> anyhow::Result<()> {
    match &options.command {
        DeadLettersCommand::List(options) => list(options).await,
        DeadLettersCommand::Show(options) => show(options).await,
        DeadLettersCommand::Replay(options) => again(Kept::DeadLetters, options).await,
    }
}

pub(crate) async fn reprocess(options: &Reprocess) -> anyhow::Result<()> {
    let kept = match options.from {
        From::Messages => Kept::Messages,
        From::DeadLetters => Kept::DeadLetters,
    };
    again(kept, &options.replay).await
}

impl Which {
    fn wanted(&self) -> anyhow::Result<Wanted> {
        let since = self.since.as_deref().map(|text| {
            let date = lake::date::date_parse(text);
            date.with_context(|| format!("--since {text} is no day: write it as 2026-11-30"))
        });
        let since_us = since.transpose()?.map(|date| i64::from(date) * 86_400_000_000);
        if let Some(filter) = &self.topic {
            telemetry_core::topic::validate_filter(filter)
                .with_context(|| format!("--topic {filter} is not a topic filter"))?;
        }
        Ok(Wanted { reason: self.reason.clone(), topic: self.topic.clone(), since_us })
    }

    async fn open(&self, mode: OpenMode) -> anyhow::Result<(Lake, ingest::Config)> {
        let everything = config::load(self.config.as_deref())?;
        let url = self.lake.as_deref().map(|url| LakeConfig::at(&expand_home(url)));
        let lake = url.unwrap_or_else(|| everything.lake.clone());
        Ok((config::open(&lake, mode, &everything.catalog()?).await?, everything.ingest))
    }
}

#[derive(Debug, Serialize)]
struct Group {
    reason: String,
    topic: String,
    messages: u64,
    replayed: u64,
    last: String,
    example: String,
    #[serde(skip)]
    last_us: i64,
}

fn position(letter: &Letter) -> String {
    let (source, epoch, offset) = &letter.place;
    format!("{source}/{epoch:016x}/{offset}")
}

async fn list(options: &List) -> anyhow::Result<()> {
    let (lake, _) = options.which.open(OpenMode::Read).await?;
    let replayed = replay::replayed(&lake).await?;
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let mut beyond = 0_u64;
    let mut letters = replay::letters(&lake, Kept::DeadLetters, options.which.wanted()?).await?;
    while let Some(letters) = letters.try_next().await? {
        for letter in letters {
            let reason = letter.reason_code.clone().unwrap_or_default();
            let key = (reason.clone(), letter.topic.clone());
            if groups.len() >= GROUPS_MAX && !groups.contains_key(&key) {
                beyond += 1;
                continue;
            }
            let group = groups.entry(key).or_insert_with(|| Group {
                reason,
                topic: letter.topic.clone(),
                messages: 0,
                replayed: 0,
                last: String::new(),
                example: String::new(),
                last_us: i64::MIN,
            });
            group.messages += 1;
            group.replayed += u64::from(replayed.contains(&letter.place));
            if letter.received_us > group.last_us {
                group.last_us = letter.received_us;
                group.last = instant(letter.received_us);
                group.example = position(&letter);
            }
        }
    }
    let groups: Vec<Group> = groups.into_values().collect();
    if options.format == Format::Json {
        return Ok(print::json(&groups)?);
    }
    let rows = groups.into_iter().map(|group| {
        let (messages, replayed) = (print::grouped(group.messages), print::grouped(group.replayed));
        vec![group.reason, group.topic, messages, replayed, group.last, group.example]
    });
    let head = ["reason", "topic", "messages", "replayed", "last", "example"];
    print::columns(&head, &rows.collect::<Vec<_>>())?;
    if beyond > 0 {
        print::line(&format!("… and {} of other topics: give --topic", print::grouped(beyond)))?;
    }
    Ok(())
}

async fn show(options: &Show) -> anyhow::Result<()> {
    let (lake, _) = options.which.open(OpenMode::Read).await?;
    let mut letters = replay::letters(&lake, Kept::DeadLetters, options.which.wanted()?).await?;
    while let Some(letters) = letters.try_next().await? {
        let Some(letter) = letters.into_iter().find(|letter| position(letter) == options.position)
        else {
            continue;
        };
        let replayed = replay::replayed(&lake).await?.contains(&letter.place);
        for (name, value) in [
            ("topic", letter.topic.as_str()),
            ("publisher", &letter.publisher),
            ("received", &instant(letter.received_us)),
            ("reason", letter.reason_code.as_deref().unwrap_or_default()),
            ("", letter.reason.as_deref().unwrap_or_default()),
            ("replayed", if replayed { "yes" } else { "no" }),
            ("bytes", &letter.payload.len().to_string()),
        ] {
            print::line(&format!("{name:10} {value}"))?;
        }
        let shown = &letter.payload[..letter.payload.len().min(SHOWN_MAX)];
        let text = match std::str::from_utf8(shown) {
            Ok(text) => text.to_owned(),
            Err(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        return Ok(print::line(&text)?);
    }
    anyhow::bail!(
        "no dead letter is at {}: `tidemark dead-letters list` shows some",
        options.position
    )
}

async fn again(kept: Kept, options: &Replay) -> anyhow::Result<()> {
    let mode = if options.dry_run { OpenMode::Read } else { OpenMode::Create };
    let (lake, config) = options.which.open(mode).await?;
    let clock = Clock::default();
    let wanted = options.which.wanted()?;
    let done =
        replay::replay(&lake, &config, kept, &wanted, options.dry_run, || clock.now_us()).await?;
    let Replayed { wanted, landed, before, refused, partly } = done;
    let verb = if options.dry_run { "would become rows" } else { "became rows" };
    let lines = [
        (wanted, format!("messages in {} that were asked for", kept.table())),
        (landed, verb.to_owned()),
        (before, "had been replayed before".to_owned()),
        (refused, "still cannot be decoded".to_owned()),
        (partly, "have rows of a part of them, and stay as they are".to_owned()),
    ];
    for (number, what) in lines {
        print::line(&format!("{:>12}  {what}", print::grouped(number)))?;
    }
    Ok(())
}
