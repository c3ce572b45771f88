//! Whether a lake is one whole.

use lake::check::{self, Checked, Depth};
use serde::Serialize;

use crate::options::{Format, LakeOption};
use crate::{config, print};

#[derive(Serialize)]
struct Shown<'a> {
    whole: bool,
    files: u64,
    rows: u64,
    findings: Vec<Problem<'a>>,
}

#[derive(Serialize)]
struct Problem<'a> {
    table: &'a str,
    problem: &'a str,
    remedy: &'a str,
}

/// True when the lake is one whole.
pub(super) async fn run(option: &LakeOption, quick: bool, format: Format) -> anyhow::Result<bool> {
    let lake = config::open_lake(option).await?;
    let depth = if quick { Depth::Files } else { Depth::Rows };
    let Checked { files, rows, findings } = check::run_to(&lake, depth).await?;
    let whole = findings.is_empty();
    if format == Format::Json {
        let findings = findings.iter();
        let findings = findings.map(|found| {
            let (table, problem, remedy) = (&found.table, &found.problem, found.remedy);
            Problem { table, problem, remedy }
        });
        print::json(&Shown { whole, files, rows, findings: findings.collect() })?;
        return Ok(whole);
    }
    for found in &findings {
        print::line(&format!("{}: {}", found.table, found.problem))?;
        print::line(&format!("    {}", found.remedy))?;
    }
    let (files, rows) = (print::grouped(files), print::grouped(rows));
    print::line(&match whole {
        true => {
            format!("the lake is one whole: {rows} rows in {files} files, as the ledger has it")
        }
        false => "the lake is NOT one whole: docs/operations.md, Backup and restore".to_owned(),
    })?;
    Ok(whole)
}
