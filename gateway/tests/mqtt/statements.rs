//! docs/mqtt.md: every statement of MQTT 5.0 has a row, and every test that it names exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mqtt.md");
    std::fs::read_to_string(path).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Cells of the tables' rows that begin with the number of a statement.
fn rows(document: &str) -> Vec<Vec<&str>> {
    document
        .lines()
        .filter(|line| {
            line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(char::is_numeric))
        })
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn every_test_that_the_document_names_exists() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let exists = |name: &str| {
        let (file, test) = name.split_once("::").unwrap();
        let (file, test) = (format!("{file}.rs"), format!("fn {test}("));
        files.iter().any(|(path, text)| {
            path.file_name().is_some_and(|name| *name == *file) && text.contains(&test)
        })
    };
    let document = document();
    let mut missing = Vec::new();
    let mut named = 0;
    for row in rows(&document) {
        for name in row[4].split('`').filter(|name| name.contains("::")) {
            named += 1;
            if !exists(name) {
                missing.push(name);
            }
        }
    }
    assert!(named > 250);
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_statement_of_mqtt_5_has_a_row_and_what_is_not_a_clients_a_test() {
    let document = document();
    let (of_5, _) = document.split_once("\n## 3.1.1").unwrap();
    let mut chapters = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for row in rows(of_5) {
        let (statement, here, test) = (row[1], row[3], row[4]);
        assert!(seen.insert(statement), "{statement} is there twice");
        *chapters.entry(statement.split('.').next().unwrap()).or_insert(0) += 1;
        assert!(
            !here.is_empty() && (!test.is_empty() || here.starts_with("client's")),
            "{statement}"
        );
    }
    // As many as appendix B of the standard has.
    let expected = [("1", 5), ("2", 7), ("3", 175), ("4", 60), ("6", 4)];
    assert_eq!(chapters, expected.into());
}
