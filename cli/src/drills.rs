//! `tidemark drill`: one drill, or all of them.

use anyhow::{Context, ensure};
use clap::Args;
use drill::{DRILLS, Options, Report};

use crate::options::Format;
use crate::print;

#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Which drill, or all; without it the drills are listed.
    pub(crate) name: Option<String>,
    /// The same seed repeats the plan of a drill; by default another one each time.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Play on this lake, s3://bucket/prefix, with the usual AWS_* variables; each drill takes a folder of its own in it.
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// A twentieth of the messages where there are millions.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Keep the folder of each drill, with logs, spools and lake; that of a failed one is always kept.
    #[arg(long)]
    pub(crate) keep: bool,
    /// How reports are printed: a line for each drill, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Plays the drills; true when all passed.
pub(crate) async fn run(options: &Drill) -> anyhow::Result<bool> {
    let Some(name) = &options.name else {
        list()?;
        return Ok(true);
    };
    let drills = drill::named(name).with_context(|| {
        format!("there is no drill `{name}`: `tidemark drill` lists them, `all` plays all")
    })?;
    if let Some(lake) = &options.lake {
        ensure!(
            lake.starts_with("s3://"),
            "--lake is s3://bucket/prefix; folders are made by the drills themselves"
        );
    }
    let play = Options {
        program: std::env::current_exe().context("which program is this?")?,
        // 53 bits: every reader of JSON can repeat it.
        seed: options.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 11),
        lake: options.lake.clone(),
        quick: options.quick,
        keep: options.keep,
    };
    if options.format == Format::Text {
        print::line(&format!("seed {}", play.seed))?;
    }
    let (mut passed, total) = (0, drills.len());
    for drill in drills {
        let report = drill::play(drill, &play).await;
        passed += usize::from(report.passed);
        show(&report, options.format)?;
    }
    if options.format == Format::Text && total > 1 {
        print::line(&format!("{passed} of {total} drills passed; seed {}", play.seed))?;
    }
    Ok(passed == total)
}

fn show(report: &Report, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Text => print::line(&report.to_string())?,
        Format::Json => print::line(&serde_json::to_string(report)?)?,
    }
    Ok(())
}

fn list() -> std::io::Result<()> {
    let rows: Vec<Vec<String>> =
        DRILLS.iter().map(|drill| vec![drill.name.into(), drill.fault.into()]).collect();
    print::columns(&["drill", "what goes wrong"], &rows)
}
