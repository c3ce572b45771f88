//! What each table, column and flag means, as Markdown: `docs/tables.md`, and `tidemark tables --describe` for a lake's own.

use std::fmt::Write as _;

use lake::Catalog;
use lake::table::{Kind, Table};

use crate::batch::{FLAGS, Flag, QUALITIES};
use crate::decode::DECODERS;
use crate::decode::reject::CODES;

/// Describes the tables of a catalog.
#[must_use]
pub fn describe(catalog: &Catalog) -> String {
    let mut text = String::from(
        "# Tables\n\nMade by `tidemark tables --describe`; a declared table is described there, too. Every table is partitioned by `event_date` (UTC). Rows of all \
         tables but `landings` are told apart by `source_id`, `epoch`, `source_offset` and `row_no`: no two rows of a table share them. Tables get new columns with new \
         versions, nullable ones only; rows of older files are NULL there.\n",
    );
    for table in catalog.tables() {
        write(&mut text, table);
    }
    text.push_str(
        "\n# Views\n\nTables that `maintain` makes of the others. They can be thrown away (remove their folder): the next run makes them anew, with the same rows. The \
         application version `view/true_up_to` in their log is the version of the ledger up to which they are true.\n",
    );
    for view in catalog.views() {
        match catalog.tables().find(|table| table.columns == view.columns) {
            Some(same) => {
                let like =
                    format!("\n## {}\n\n{} Columns as in `{}`.", view.name, view.about, same.name);
                line(&mut text, &like);
            }
            None => write(&mut text, view),
        }
    }
    let archives = catalog.archives().iter().map(|archive| format!("`{}`", archive.name));
    let archives = archives.collect::<Vec<_>>().join(", ");
    line(
        &mut text,
        &format!(
            "\n# Archives\n\nWhere `[maintain.archive_days]` says so, rows of old dates are in a table of their own, with the same columns, and no more in their table: {archives}. Who wants all of them asks both."
        ),
    );
    text.push_str("\n# Values\n\n## Quality\n\n");
    for (name, about) in QUALITIES_ABOUT {
        list(&mut text, name, about);
    }
    text.push_str(
        "\n## Flags\n\nThe column `flags` has their names, sorted, joined by commas.\n\n| flag | means | what to do |\n|---|---|---|\n",
    );
    for Flag { name, about, remedy } in FLAGS {
        line(&mut text, &format!("| `{name}` | {about} | {remedy} |"));
    }
    text.push_str("\n## Dead letters\n\nThe column `reason_code` of `dead_letters`, where it was refused, and what to do.\n\n");
    text.push_str("| code | stage | what to do |\n|---|---|---|\n");
    for code in CODES {
        line(&mut text, &format!("| `{}` | {} | {} |", code.as_str(), code.stage(), code.remedy()));
    }
    text.push_str("\n## Decoders\n\nWhat a topic rule may name (`tidemark map try` shows what they make of a message).\n\n");
    for decoder in DECODERS {
        list(&mut text, decoder.name, decoder.about);
    }
    text
}

const QUALITIES_ABOUT: [(&str, &str); 4] = [
    (
        QUALITIES[0],
        "There is no value that could be used: nothing was sent, or a code for \"no value\", or something that no column takes.",
    ),
    (
        QUALITIES[1],
        "The value was understood, is in the catalogue's unit (as it came, or converted) and inside the metric's range, and nothing says otherwise.",
    ),
    (
        QUALITIES[2],
        "There is a value, and something is known against it: it is outside what is plausible, its unit is not the metric's, its time can't be right, its status or its method says so.",
    ),
    (
        QUALITIES[3],
        "There is a value, and nothing is known to check it by: the metric has no entry in the catalogue, or the entry no range.",
    ),
];

fn write(text: &mut String, table: &Table) {
    line(text, &format!("\n## {}\n\n{}", table.name, table.about));
    let sorted = table.sort.join(", ");
    if !sorted.is_empty() {
        line(text, &format!("\nSorted by {sorted} within a file."));
    }
    text.push_str("\n| column | type | |\n|---|---|---|\n");
    for column in &table.columns {
        let null = if column.nullable { "" } else { ", never NULL" };
        let shown =
            format!("| `{}` | {}{null} | {} |", column.name, sql(column.kind), column.about);
        line(text, &shown);
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a text does not fail.
    let _written = writeln!(text, "{line}");
}

fn list(text: &mut String, name: &str, about: &str) {
    line(text, &format!("- `{name}`: {about}"));
}

/// The name of a type in Spark's and Delta's SQL.
fn sql(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Double => "double",
        Kind::Long => "bigint",
        Kind::Int => "int",
        Kind::Bool => "boolean",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
        Kind::Binary => "binary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-11: what a flag means, what to do, and of which quality its row is stands in the documents.
    #[test]
    fn inv11_every_flag_is_documented_with_what_to_do() {
        let quality = include_str!("../../docs/quality.md");
        let tables = include_str!("../../docs/tables.md");
        for Flag { name, about, remedy } in FLAGS {
            assert!(tables.contains(&format!("\n| `{name}` | {about} | {remedy} |\n")), "{name}");
            assert!(quality.contains(&format!("`{name}`")), "docs/quality.md does not name {name}");
            for text in [about, remedy] {
                let sentence = text.len() > 15
                    && text.starts_with(|first: char| first.is_ascii_uppercase())
                    && text.ends_with('.');
                assert!(sentence && !text.contains('|'), "{name}: {text}");
            }
            assert_ne!(about, remedy);
        }
        // Nor is one named that there is not.
        let rows = tables.split("## Flags").nth(1).unwrap().split("##").next().unwrap();
        let named = rows.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(named, FLAGS.len());
    }

    /// With `TIDEMARK_WRITE_DOCS` set, it is written anew.
    #[test]
    fn docs_tables_md_is_true() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tables.md");
        let described = describe(&Catalog::builtin());
        if std::env::var_os("TIDEMARK_WRITE_DOCS").is_some() {
            std::fs::write(path, &described).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written, described, "run this test once with TIDEMARK_WRITE_DOCS=1");
    }
}
