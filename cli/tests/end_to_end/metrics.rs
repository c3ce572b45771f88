//! What services say of themselves in `/metrics` is what docs/metrics.md lists: names, types, help texts and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::harness::{Site, get, post, wait_for};

/// Metrics that are there only in some states: TLS, a receipt that came, devices that were counted, something that happened once.
const SOMETIMES: [&str; 17] = [
    "gateway_access_reloads",
    "gateway_connects_refused",
    "gateway_disconnects",
    "gateway_expiry_seconds_left",
    "gateway_login_proof_seconds_left",
    "ingest_notifications",
    "ingest_watch_rows",
    "agent_clock_offset_seconds",
    "agent_expiry_seconds_left",
    "agent_uplink_window_bytes",
    "gateway_clock_offset_seconds",
    "gateway_uplink_window_bytes",
    "ingest_clock_offset_seconds",
    "ingest_expiry_seconds_left",
    "tidemark_alerts",
    "tidemark_devices",
    "tidemark_api_",
];
/// Labels whose values would be many, or somebody's business.
const FORBIDDEN: [&str; 6] = ["device", "device_id", "patient", "topic", "client", "client_id"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

type Families = BTreeMap<String, Family>;

/// Reads OpenMetrics text. Labels of a family are those of its samples, if it has any.
fn read(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            let help = help.strip_suffix('.').unwrap_or(help);
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_once(['{', ' ']).unwrap();
            let family = ["", "_total", "_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| {
                    let name = name.strip_suffix(suffix)?;
                    families.contains_key(name).then(|| name.to_owned())
                })
                .unwrap_or_else(|| panic!("a sample of no family: {line}"));
            let labels = match line.contains('{') {
                true => rest.split_once('}').unwrap().0,
                false => "",
            };
            let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
            let names = names.filter(|name| *name != "le").map(str::to_owned);
            families.get_mut(&family).unwrap().labels.extend(names);
        }
    }
    families
}

/// Reads the tables of docs/metrics.md.
fn listed() -> Families {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let bare = |cell: &str| cell.trim_matches('`').to_owned();
        let labels = cells[2].split(", ").filter(|label| !label.is_empty()).map(bare).collect();
        let family = Family { kind: cells[1].to_owned(), help: cells[3].to_owned(), labels };
        (bare(cells[0]), family)
    })
    .collect()
}

fn row(name: &str, family: &Family) -> String {
    let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{name}` | {} | {} | {} |", family.kind, labels.join(", "), family.help)
}

/// Holds what a process says against the list, as far as it begins with one of `prefixes`.
fn compare(live: &Families, listed: &Families, prefixes: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, family) in live {
        let wanted = listed.get(name);
        let same = wanted.is_some_and(|wanted| {
            let labels = family.labels.is_empty() || family.labels == wanted.labels;
            (&family.kind, &family.help) == (&wanted.kind, &wanted.help) && labels
        });
        if !same {
            problems.push(format!("docs/metrics.md should have: {}", row(name, family)));
        }
        for label in &family.labels {
            if FORBIDDEN.contains(&label.as_str()) {
                problems.push(format!("{name} must not have the label {label}"));
            }
        }
    }
    for name in listed.keys().filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    {
        let optional = SOMETIMES.iter().any(|some| name.starts_with(some));
        if !live.contains_key(name) && !optional {
            problems.push(format!("docs/metrics.md lists {name}, which no process has"));
        }
    }
    problems
}

#[test]
fn inv13_the_metrics_of_every_service_are_those_that_are_documented() {
    let (site, admin, input) = Site::with_agent("");
    let up = site.up();
    let agent = site.start("agent", admin);
    let good = r#"{"topic":"dt/w/dev/readings","payload":{"metric":"spo2","value":97}}"#;
    let bad = r#"{"topic":"dt/w/dev/readings","payload":"not a reading"}"#;
    post(input, "/v1/messages", &format!("{good}\n{bad}\n")).expect("accepted");
    let metrics = |port| read(&String::from_utf8(get(port, "/metrics").unwrap()).unwrap());
    wait_for("the messages to land, and upkeep to begin", || {
        let of_up = metrics(site.admin);
        let names = ["ingest_dead_letters", "ingest_upkeep_runs"];
        names.iter().all(|name| of_up.contains_key(*name))
    });
    let listed = listed();
    let common = ["process_", "admin_", "tidemark_build", "tidemark_part", "tidemark_incidents"];
    let of_up = [&common[..], &["gateway_", "ingest_", "tidemark_"]].concat();
    let of_agent = [&common[..], &["agent_"]].concat();
    let mut problems = compare(&metrics(site.admin), &listed, &of_up);
    problems.extend(compare(&metrics(admin), &listed, &of_agent));
    problems.dedup();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    agent.stop();
    up.stop();
}
