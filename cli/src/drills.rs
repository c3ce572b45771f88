//! `tidemark drill`: one drill, or all of them.

use anyhow::{Context, ensure};
use drill::{DRILLS, Options, Report};

use crate::args::{self, Format};
use crate::print;

/// Plays the drills; true when all passed.
pub(crate) async fn run(options: &args::Drill) -> anyhow::Result<bool> {
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
