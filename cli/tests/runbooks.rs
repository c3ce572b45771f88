//! Rules, runbooks, dashboards and the list of metrics fit each other: what an operator is pointed to is there.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::path::Path;

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of rules, in their order, and what each says.
fn rules() -> Vec<(String, String)> {
    let text = file("deploy/prometheus/tidemark.rules.yml");
    let parts = text.split("- alert: ").skip(1);
    let rules: Vec<_> = parts.filter_map(|part| part.split_once('\n')).collect();
    assert!(rules.len() > 30, "the rules are found");
    rules.into_iter().map(|(name, rule)| (name.trim().to_owned(), rule.to_owned())).collect()
}

/// The sections of the runbooks that are about a rule, and the text of each.
fn sections() -> Vec<(String, String)> {
    let text = file("docs/runbooks.md");
    let parts = text.split("\n## Tidemark").skip(1);
    let parts = parts.filter_map(|part| part.split_once('\n'));
    parts.map(|(name, text)| (format!("Tidemark{}", name.trim()), text.to_owned())).collect()
}

/// The metrics that docs/metrics.md lists, as (family, kind).
fn metrics() -> Vec<(String, String)> {
    let text = file("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let metrics: Vec<_> = rows
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().unwrap().trim_matches('`').to_owned();
            (name, cells.next().unwrap().to_owned())
        })
        .collect();
    assert!(metrics.len() > 60, "the metrics are found");
    metrics
}

/// The names by which a family is asked for.
fn series() -> BTreeSet<String> {
    let names = metrics().into_iter().flat_map(|(name, kind)| match kind.as_str() {
        "counter" => vec![format!("{name}_total")],
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
        _ => vec![name],
    });
    names.collect()
}

/// What rules ask for.
fn asked_by_rules() -> String {
    let rules = rules().into_iter();
    let asked = rules.map(|(name, rule)| {
        let expression =
            rule.split_once("expr:").unwrap_or_else(|| panic!("{name} asks nothing")).1;
        expression.split("labels:").next().unwrap().to_owned()
    });
    asked.collect()
}

/// The words of a text that look like one of our metrics.
fn asked(text: &str) -> BTreeSet<String> {
    let prefixes = ["gateway_", "agent_", "ingest_", "tidemark_", "process_", "admin_"];
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let words = words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)));
    words.map(str::to_owned).collect()
}

/// The expressions of a dashboard: of its panels, its variables and its annotations.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if name == "expr" || name == "query" => {
                        found.push(text.to_owned());
                    }
                    _ => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

const DASHBOARDS: [&str; 3] = ["fleet", "delivery", "lake"];

#[test]
fn each_rule_has_a_section_and_each_section_a_rule() {
    let names = |all: Vec<(String, String)>| all.into_iter().map(|(name, _)| name);
    let (rules, sections): (Vec<_>, Vec<_>) =
        (names(rules()).collect(), names(sections()).collect());
    assert_eq!(rules, sections, "in the same order");
}

#[test]
fn each_rule_says_how_bad_it_is_what_it_is_and_where_to_read_on() {
    for (name, rule) in rules() {
        let anchor = format!("runbook_url: docs/runbooks.md#{}\n", name.to_lowercase());
        assert!(format!("{rule}\n").contains(&anchor), "{name} needs {anchor}");
        assert!(rule.contains("severity: "), "{name} needs a severity");
        let texts = ["summary: \"", "description: \""];
        assert!(texts.iter().all(|text| rule.contains(text)), "{name} needs both texts");
    }
}

#[test]
fn each_section_says_what_is_seen_what_to_look_at_what_to_do_and_when_it_is_over() {
    for (name, text) in sections() {
        for part in ["**What it means.**", "**Who notices.**", "**Look.**", "**Do.**", "**Over.**"]
        {
            assert!(text.contains(part), "{name} has no part {part}");
        }
    }
}

#[test]
fn each_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/tests");
    let entries = std::fs::read_dir(folder).unwrap();
    let tests: String =
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    for (name, _) in rules() {
        let quiet = format!("alertname: {name}, exp_alerts: []");
        let fires = format!("alertname: {name}\n        exp_alerts:\n          - exp_labels:");
        // Just below, and when it is over.
        assert!(tests.matches(&quiet).count() >= 2, "{name} is never quiet");
        assert!(tests.contains(&fires), "{name} never fires");
    }
}

#[test]
fn rules_and_dashboards_ask_for_metrics_that_there_are() {
    let known = series();
    let mut texts = vec![("rules".to_owned(), asked_by_rules())];
    for name in DASHBOARDS {
        let dashboard = file(&format!("deploy/grafana/dashboards/{name}.json"));
        let mut found = Vec::new();
        expressions(&serde_json::from_str(&dashboard).unwrap(), &mut found);
        assert!(found.len() > 10, "{name}: the expressions are found");
        texts.push((name.to_owned(), found.join("\n")));
    }
    for (of, text) in texts {
        let unknown: Vec<_> =
            asked(&text).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(
            unknown.is_empty(),
            "{of} asks for {unknown:?}, which docs/metrics.md does not have"
        );
    }
}

#[test]
fn dashboards_point_to_sections_that_there_are() {
    let sections: BTreeSet<_> =
        sections().into_iter().map(|(name, _)| name.to_lowercase()).collect();
    for name in DASHBOARDS {
        let text = file(&format!("deploy/grafana/dashboards/{name}.json"));
        for link in text.split("${runbooks}#").skip(1) {
            let anchor = link.split('"').next().unwrap();
            assert!(sections.contains(anchor), "{name} points to {anchor}");
        }
    }
}

#[test]
fn each_metric_has_a_rule_or_a_reason_for_none() {
    let ruled = asked(&asked_by_rules());
    let runbooks = file("docs/runbooks.md");
    let (_, reasons) = runbooks.split_once("\n## Metrics without a rule").unwrap();
    let excused = asked(reasons);
    for (name, kind) in metrics() {
        let asked_as = if kind == "counter" { format!("{name}_total") } else { name.clone() };
        let has_rule = ruled.contains(&asked_as);
        assert!(
            has_rule || excused.contains(&asked_as) || excused.contains(&name),
            "{name} has no rule: write one, or the reason under `Metrics without a rule`"
        );
    }
}

#[test]
fn each_rule_was_rehearsed() {
    let runbooks = file("docs/runbooks.md");
    let (_, rehearsals) = runbooks.split_once("\n## Rehearsals").unwrap();
    let (rehearsals, _) = rehearsals.split_once("\n## ").unwrap();
    let names = rehearsals.split(|c: char| !c.is_ascii_alphanumeric());
    let names: BTreeSet<&str> = names.collect();
    let missing = rules().into_iter().filter(|(name, _)| !names.contains(name.as_str()));
    let missing: Vec<String> = missing.map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "make the fault for real, and say which it was: {missing:?}");
}

#[test]
fn each_limit_and_refusal_has_a_rule_or_a_reason_for_none() {
    let runbooks = file("docs/runbooks.md");
    let (_, table) = runbooks.split_once("\n## Limits and refusals").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    // The words by which the program counts what it refused, dropped or gave up on.
    for path in ["gateway/src/notices.rs", "gateway/src/mqtt/codes.rs"] {
        let text = file(path);
        let (_, reasons) = text.split_once("&'static str {\n        match self").unwrap();
        let words = text_words(if path.ends_with("codes.rs") { reasons } else { &text });
        assert!(words.len() > 10, "{path}: the reasons are found");
        for word in words {
            assert!(table.contains(&format!("`{word}`")), "{word} of {path} is in no row");
        }
    }
}

/// The words after `=> "` that are reasons: small letters and underscores only.
fn text_words(text: &str) -> BTreeSet<String> {
    let found = text.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    let is_word = |word: &&str| {
        word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    found.filter(is_word).map(str::to_owned).collect()
}
