//! `tidemark tables` and `tidemark files`: what is in a lake.

use clap::Args;
use lake::TableSummary;
use serde::Serialize;

use crate::options::{Format, LakeOption};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Tables {
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Prints what each table and column means, in Markdown, instead of numbers.
    #[arg(long, conflicts_with = "format")]
    pub(crate) describe: bool,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The table, for example readings. Files of its archive, if it has one, are listed too.
    pub(crate) table: String,
    #[command(flatten)]
    pub(crate) lake: LakeOption,
}

#[derive(Serialize)]
struct Shown<'a> {
    table: &'a str,
    rows: u64,
    files: u64,
    bytes: u64,
    bytes_per_row: f64,
    newest: Option<String>,
    version: u64,
}

fn shown(table: &TableSummary) -> Shown<'_> {
    #[expect(clippy::cast_precision_loss, reason = "an average for people")]
    let bytes_per_row = if table.rows == 0 { 0.0 } else { table.bytes as f64 / table.rows as f64 };
    Shown {
        table: &table.name,
        rows: table.rows,
        files: table.files,
        bytes: table.bytes,
        bytes_per_row,
        newest: table.newest.map(instant),
        version: table.version,
    }
}

/// Writes microseconds since the Unix epoch as RFC 3339, UTC, to the second.
pub(crate) fn instant(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        lake::date::date_text(date(days)),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn date(days: i64) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// Lists the tables.
pub(crate) async fn tables(options: &Tables) -> anyhow::Result<()> {
    let lake = config::open_lake(&options.lake).await?;
    if options.describe {
        return Ok(print::line(ingest::describe::describe(lake.catalog()).trim_end())?);
    }
    let mut tables = lake.tables().await?;
    tables.extend(lake.views().await?);
    tables.extend(lake.archives().await?);
    let tables: Vec<Shown<'_>> = tables.iter().map(shown).collect();
    if options.format == Format::Json {
        return Ok(print::json(&tables)?);
    }
    let rows: Vec<Vec<String>> = tables
        .into_iter()
        .map(|table| {
            vec![
                table.table.to_owned(),
                print::grouped(table.rows),
                print::grouped(table.files),
                print::grouped(table.bytes),
                format!("{:.1}", table.bytes_per_row),
                table.newest.unwrap_or_else(|| "-".into()),
            ]
        })
        .collect();
    Ok(print::columns(&["table", "rows", "files", "bytes", "bytes/row", "newest"], &rows)?)
}

/// Lists a table's files, one a line.
pub(crate) async fn files(options: &Files) -> anyhow::Result<()> {
    let lake = config::open_lake(&options.lake).await?;
    for file in lake.files(&options.table).await? {
        print::line(&file.address)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_rfc_3339() {
        assert_eq!(instant(1_790_000_000_000_000), "2026-09-21T14:13:20Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59Z");
    }
}
