//! `tidemark erase`: takes all that is known of one patient out of a lake.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use lake::erase::{Erase, Erasure, Subject};
use service_runtime::Clock;

use crate::options::{Format, LakeOption, path};
use crate::tables::instant;
use crate::{config, print};

/// Removes a patient from a lake: all rows of all tables that speak of them, the messages that those came as, the steps of alerts that they
/// caused, what views made of them, and the files that held them, of older versions of the tables, too. Without `--yes` it only says what would go.
///
/// Stop whoever sends more of that patient first: what lands later stays. Copies elsewhere (backups, spools of gateways and agents, a bucket's
/// own versions) are not touched.
#[derive(Debug, Args)]
pub(crate) struct EraseOptions {
    /// The patient's id, as in the column patient_id and behind Patient/ in references. Others on this machine can see it.
    #[arg(
        long,
        value_name = "ID",
        conflicts_with = "patient_file",
        required_unless_present = "patient_file"
    )]
    patient: Option<String>,
    /// A file whose first line is the id.
    #[arg(long, value_name = "FILE", value_parser = path)]
    patient_file: Option<PathBuf>,
    /// What the request is called in your books, for the record that stays in the lake. Must not name the patient.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reference: String,
    /// Do it. It cannot be undone.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    lake: LakeOption,
    /// How what was done is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// True once nothing is left; of a dry run, always.
pub(crate) async fn run(options: &EraseOptions) -> anyhow::Result<bool> {
    let subject = subject(options)?;
    let hold = config::load(options.lake.config.as_deref())?.maintain.legal_hold;
    let lake = config::open_lake(&options.lake).await?;
    let erase = Erase {
        subject: &subject,
        reference: &options.reference,
        dry_run: !options.yes,
        legal_hold: &hold,
    };
    let told = |table: &str| print::aside(&format!("{table} …"));
    let erasure = erase.run(&lake, Clock::default().now_us(), &told).await?;
    if options.format == Format::Json {
        print::json(&erasure)?;
    } else {
        show(&erasure, options.yes)?;
    }
    Ok(erasure.complete || !options.yes)
}

fn subject(options: &EraseOptions) -> anyhow::Result<Subject> {
    let id = match (&options.patient, &options.patient_file) {
        (Some(id), _) => id.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, None) => bail!("say who: --patient or --patient-file"),
    };
    Subject::new(&id).context("--patient")
}

fn show(erasure: &Erasure, done: bool) -> anyhow::Result<()> {
    if erasure.tables.is_empty() {
        return Ok(print::line("no row of any table speaks of that patient")?);
    }
    let header = ["table", "rows", "files", "deleted objects", "rows left", "elsewhere"];
    let rows = erasure.tables.iter().map(|(name, table)| {
        let numbers = [table.rows, table.files, table.deleted, table.left, table.elsewhere];
        std::iter::once(name.clone()).chain(numbers.map(print::grouped)).collect()
    });
    print::columns(&header, &rows.collect::<Vec<Vec<String>>>())?;
    if !done {
        return Ok(print::line("nothing was changed: say --yes to do it")?);
    }
    let young: u64 = erasure.tables.values().map(|table| table.young).sum();
    if young > 0 {
        print::line(&format!(
            "{young} objects belong to no table yet, or any more, and are younger than two hours: run this again then"
        ))?;
    }
    if erasure.tables.values().any(|table| table.elsewhere > 0) {
        print::line(
            "elsewhere: rows in which the id stands without anything that says that it is a patient's; look at them",
        )?;
    }
    let said = if erasure.complete {
        "no object of any table speaks of the patient any more"
    } else {
        "NOT complete"
    };
    Ok(print::line(&format!("{said}; record {} of {}", erasure.id, instant(erasure.at_us)))?)
}
