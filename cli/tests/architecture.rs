//! The rules of the architecture that the compiler cannot check: who may depend on whom, how large trees and files get.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "architecture/circles.rs"]
mod circles;

use circles::circles;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the crates in a package's tree of normal dependencies as `name version`, as built for this platform.
fn tree(package: &str) -> BTreeSet<String> {
    tree_with(package, "normal")
}

/// As [`tree`], with dependencies of other kinds.
fn tree_with(package: &str, kinds: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", package, "-e", kinds, "--prefix", "none", "-f", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect()
}

fn names(package: &str) -> BTreeSet<String> {
    tree(package).iter().map(|krate| krate.split(' ').next().unwrap().to_owned()).collect()
}

/// Returns each workspace crate's direct dependencies inside the workspace, tests included.
fn workspace_edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| d["name"].as_str().unwrap());
            let inside = names.filter(|name| members.contains(name)).map(str::to_owned).collect();
            (package["name"].as_str().unwrap().to_owned(), inside)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("telemetry-core", &[][..]),
        ("service-runtime", &[]),
        ("crash-point", &[]),
        ("s3-server", &["service-runtime"]),
        // Its server is for tests only.
        ("lake", &["crash-point", "s3-server", "service-runtime"]),
        ("store-forward", &["crash-point", "service-runtime", "telemetry-core"]),
        ("mqtt-link", &["service-runtime"]),
        ("edge-agent", &["mqtt-link", "service-runtime", "store-forward", "telemetry-core"]),
        (
            "gateway",
            &["crash-point", "service-runtime", "store-forward", "telemetry-core", "traces"],
        ),
        (
            "ingest",
            &[
                "crash-point",
                "lake",
                "mqtt-link",
                "service-runtime",
                "telemetry-core",
                "traces",
                "watch",
            ],
        ),
        ("simulator", &["service-runtime", "telemetry-core"]),
        // It shows what gateway and ingest know, and nobody needs it but the program.
        ("api", &["gateway", "ingest", "lake", "service-runtime", "telemetry-core", "watch"]),
        // Files, embedded: who serves them knows it, it knows nobody.
        ("console", &[]),
        // Who is told of traces does not know what is traced.
        ("traces", &["service-runtime"]),
        // A pure core: it is fed by others.
        ("watch", &["telemetry-core"]),
        ("drill", &["s3-server", "service-runtime", "simulator", "telemetry-core"]),
    ]);
    for (krate, dependencies) in workspace_edges() {
        // Only these see several services at once.
        if krate == "tidemark" || krate == "bench" {
            continue;
        }
        let allowed: BTreeSet<String> = allowed
            .get(krate.as_str())
            .unwrap_or_else(|| panic!("{krate} is new: say here what it may depend on"))
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        let excess: Vec<_> = dependencies.difference(&allowed).collect();
        assert!(excess.is_empty(), "{krate} must not depend on {excess:?}");
    }
}

#[test]
fn the_core_has_no_io() {
    let tree = names("telemetry-core");
    for banned in ["tokio", "tracing", "mio", "rustls", "uuid", "chrono"] {
        assert!(!tree.contains(banned), "telemetry-core pulls in {banned}");
    }
}

#[test]
fn watching_has_no_io() {
    let tree = names("watch");
    for banned in ["tokio", "tracing", "mio", "rustls", "arrow-array", "chrono"] {
        assert!(!tree.contains(banned), "watch pulls in {banned}");
    }
    assert!(tree.len() <= 60, "watch's tree has grown to {} crates: is it worth it?", tree.len());
}

#[test]
fn the_agent_fits_small_boards() {
    let tree = names("edge-agent");
    for banned in [
        "arrow",
        "parquet",
        "object_store",
        "datafusion",
        "deltalake-core",
        "rumqttd",
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl-sys",
        "axum",
        "utoipa",
    ] {
        let found = tree
            .iter()
            .find(|name| name.as_str() == banned || name.starts_with(&format!("{banned}-")));
        assert_eq!(found, None, "edge-agent pulls in {banned}");
    }
    assert!(
        tree.len() <= 125,
        "edge-agent's tree has grown to {} crates: is it worth it?",
        tree.len()
    );
}

#[test]
fn only_the_api_knows_a_framework() {
    for krate in ["service-runtime", "gateway", "ingest"] {
        let tree = names(krate);
        for banned in ["axum", "utoipa"] {
            assert!(!tree.contains(banned), "{krate} pulls in {banned}");
        }
    }
}

#[test]
fn only_the_command_line_draws_on_a_terminal() {
    for krate in ["api", "bench", "drill", "edge-agent", "gateway", "ingest", "lake", "simulator"] {
        let tree = names(krate);
        for banned in ["crossterm", "ratatui", "clap_complete", "clap_mangen"] {
            assert!(!tree.contains(banned), "{krate} pulls in {banned}");
        }
    }
}

#[test]
fn the_tree_has_one_arrow_one_parquet_and_one_object_store() {
    // With what the lake's tests need: their judge reads what ours wrote.
    for tree in [tree("tidemark"), tree_with("lake", "normal,dev")] {
        for name in ["arrow-array", "parquet", "object_store"] {
            let versions: Vec<_> =
                tree.iter().filter(|krate| krate.split(' ').next() == Some(name)).collect();
            assert_eq!(versions.len(), 1, "{versions:?}");
        }
        let heavy = tree.iter().find(|krate| krate.starts_with("datafusion"));
        assert_eq!(heavy, None, "the demo must stay lean");
    }
}

#[test]
fn the_delta_log_is_ours() {
    let tree = tree_with("tidemark", "normal,build");
    for banned in ["deltalake", "buoyant_kernel", "delta_kernel", "sqlparser"] {
        let found = tree.iter().find(|krate| krate.starts_with(banned));
        assert_eq!(
            found, None,
            "deltalake-core is a judge in the lake's tests (docs/decisions/0019)"
        );
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    assert!(files.len() > 50, "the walk finds the sources");
    let mut problems = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if text.lines().count() > 500 {
            problems.push(format!("{shown} has {} lines: is it one thing?", text.lines().count()));
        }
        if !text.starts_with("//!") {
            problems.push(format!("{shown} does not open with a line that says what it is for"));
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if ["utils", "util", "common", "manager", "helpers", "types"].contains(&stem) {
            problems.push(format!("{shown}: name it after what it does"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_technology_is_named_only_in_the_files_that_are_named_after_it() {
    // (crate, word in a `use` or path, files that may have it)
    let rules: [(&str, &str, &[&str]); 14] = [
        ("gateway/src", "rumqttc::", &["mqtt/tests/"]),
        ("gateway/src", "use redb::", &["store/redb.rs"]),
        ("gateway/src", "argon2::", &["access/password.rs"]),
        (
            "gateway/src",
            "tungstenite::",
            &["listener/ws", "listener/handshake.rs", "listener/tests.rs"],
        ),
        ("edge-agent/src", "rumqttc::", &["inputs/mqtt.rs", "uplink_mqtt.rs"]),
        ("store-forward/src", "std::fs", &["disk.rs", "tests/"]),
        ("ingest/src", "rumqttc::", &["mqtt"]),
        // A judge in the lake's tests.
        ("lake/src", "deltalake_core", &[]),
        ("drill/src", "parquet::", &["foreign_delta"]),
        ("simulator/src", "rumqttc::", &["publisher/"]),
        ("watch/src", "cel::", &["rules/expression.rs"]),
        ("cli/src", "rumqttc::", &["check/mqtt.rs", "listen_mqtt.rs", "tap/mqtt.rs"]),
        ("cli/src", "crossterm::", &["top/screen.rs"]),
        ("cli/src", "ratatui::", &["top/"]),
    ];
    let mut problems = Vec::new();
    for (folder, word, allowed) in rules {
        let mut files = Vec::new();
        rust_files(&root().join(folder), &mut files);
        for path in files {
            let shown = path.strip_prefix(root().join(folder)).unwrap().display().to_string();
            let code = std::fs::read_to_string(&path).unwrap();
            let (code, _tests) = code.split_once("#[cfg(test)]").unwrap_or((&code, ""));
            let used = code
                .lines()
                .any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            if used && !allowed.iter().any(|prefix| shown.starts_with(prefix)) {
                problems.push(format!("{folder}/{shown} touches {word}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let mut found = BTreeSet::new();
    for krate in workspace_edges().keys() {
        // The crate of the folder cli has the program's name.
        let folder = root().join(if krate == "tidemark" { "cli" } else { krate }).join("src");
        found.extend(circles(&folder).into_iter().map(|circle| format!("{krate}: {circle}")));
    }
    assert!(found.is_empty(), "give what both need a file of its own: {found:#?}");
}

/// Writes the files of a made-up crate and returns its circles.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    circles(folder.path())
}

#[test]
fn a_circle_is_found_by_whatever_path_it_goes() {
    let with = |a: &str, b: &str| {
        circles_of(&[
            ("lib.rs", "mod a;\nmod b;\npub use b::B;\nmod c;"),
            ("a/mod.rs", "mod inner;\npub(crate) use inner::{Inner, other as Renamed};"),
            ("a/inner.rs", a),
            ("b.rs", b),
            ("c.rs", "use crate::b::B;"),
        ])
    };
    let circle = vec!["a/inner -> b -> a/inner".to_owned()];
    for a in ["use crate::b::B;", "use super::super::b;\nfn f() { b::g() }", "fn f(b: crate::B) {}"]
    {
        for b in [
            "use crate::a::inner::Inner;",
            "use crate::a::{self};\nfn f() -> a::Inner {}",
            "use crate::{c, a::{inner::*, X}};",
            "fn f() { \"crate::a\"; super::a::Renamed() }",
        ] {
            assert_eq!(with(a, b), circle, "{a} and {b}");
        }
    }
}

#[test]
fn what_belongs_to_a_file_and_what_only_tests_use_is_no_circle() {
    let lib = "mod a;\nmod b;\npub use a::A;\npub use b::B;";
    let inner = "use super::A;\nuse crate::b::B;\nimpl A {}";
    let none: Vec<String> = Vec::new();
    for b in [
        "pub struct B;",
        "// crate::a::A\nconst S: &str = \"crate::a::A\"; const C: char = '\"';",
        "#[cfg(test)]\nmod tests { use crate::a::A; fn f() {} }\nfn g() {}",
        "const R: &str = r#\"use crate::a::A;\"#;",
    ] {
        let files = [("lib.rs", lib), ("a.rs", "mod inner;\npub struct A;\nfn f() { inner::g() }")];
        let found = circles_of(&[files[0], files[1], ("a/inner.rs", inner), ("b.rs", b)]);
        assert_eq!(found, none, "{b}");
    }
}

#[test]
fn services_have_short_mains() {
    for service in ["edge-agent", "gateway", "ingest", "simulator"] {
        let lines = std::fs::read_to_string(root().join(service).join("src/main.rs"))
            .unwrap()
            .lines()
            .count();
        assert!(
            lines <= 40,
            "{service}/src/main.rs has {lines} lines: wiring belongs in the library"
        );
    }
}
