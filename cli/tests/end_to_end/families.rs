//! INV-10: what devices of other makers say, and what their firmware says that nobody knows, lands as they mean it; a lake that
//! lost one member of it is found out.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use futures::TryStreamExt;
use lake::{Lake, Lander, OpenMode, SourceAdvance, SourceKey, TableRows};
use serde_json::Value;
use simulator::families::{RULES, rules_toml};

use crate::harness::{Site, text, tidemark};

/// 2026-08-01T00:00:00Z.
const NOW: i64 = 1_785_542_400_000_000;
const ARGUMENTS: [&str; 12] = [
    "--messages",
    "4000",
    "--as-fast-as-acknowledged",
    "--families",
    "3",
    "--beds",
    "6",
    "--unknown-members",
    "0.5",
    "--malformed",
    "0.01",
    "--duplicates=0.01",
];

/// Plays all families and a ward; returns what the audit found.
fn played(site: &Site) -> Value {
    let up = site.up();
    let simulated = site.simulate(&ARGUMENTS).output().unwrap();
    assert!(simulated.status.success(), "{}", text(&simulated));
    site.wait_landed();
    let report = site.audit();
    up.stop();
    report
}

#[test]
fn inv10_what_the_devices_of_every_profile_say_lands_as_they_mean_it() {
    let site = Site::new(&rules_toml());
    let report = played(&site);
    for (count, expected) in [("lost", 0), ("doubled", 0), ("altered", 0), ("unexplained", 0)] {
        assert_eq!(report[count], expected, "{report:#}");
    }
    assert_eq!(report["foreign"], 0, "every message is known by its rows: {report:#}");
    let dead = report["dead_lettered"].as_u64().unwrap();
    assert!((1..100).contains(&dead), "only what was malformed on purpose: {report:#}");
    assert!(report["devices"].as_u64().unwrap() > 3 * RULES.len() as u64, "{report:#}");
    assert!(site.rows("readings") > 5_000);
}

/// Only whose topics look like those of our own devices, and a birth whose topic could be anybody's, need their line.
#[test]
fn inv10_without_rules_the_families_are_told_by_their_topics() {
    let lines = ["profile = \"aws-iot\"\n", "profile = \"esphome\"\nfilter = \"+/status\"\n"];
    let site = Site::new(&lines.map(|line| format!("[[ingest.topics]]\n{line}")).concat());
    let report = played(&site);
    assert_eq!((&report["altered"], &report["foreign"]), (&0.into(), &0.into()), "{report:#}");
}

#[test]
fn inv10_a_lake_whose_extra_misses_a_member_is_altered() {
    let site = Site::new(&rules_toml());
    assert_eq!(played(&site)["altered"], 0);
    let [lake, copy] = ["lake", "copy"].map(|name| site.folder.path().join(name));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (member, altered) in [("\"nobody says this\":1", 0), ("\"fw_spare\":{}", 1)] {
        let changed = runtime.block_on(copied_without(&lake, &copy, member));
        assert_eq!(changed, altered, "rows had the member that is to be lost");
        let mut command = tidemark();
        command.args(["audit", "--format", "json", "--wait", "0", "--lake"]).arg(&copy);
        let audited = command.arg("--journal").arg(site.journal()).output().unwrap();
        let report: Value = serde_json::from_slice(&audited.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&audited)));
        assert_eq!(audited.status.success(), altered == 0, "{report:#}");
        assert_eq!(report["altered"], altered, "{report:#}");
        assert_eq!((&report["lost"], &report["doubled"]), (&0.into(), &0.into()), "{report:#}");
        let examples = report["altered_examples"].to_string();
        assert_eq!(examples.contains("says something else"), altered > 0, "{report:#}");
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

/// Lands all rows of a lake in another one, `extra` without `member` in the first row that has it. Returns how many were changed.
async fn copied_without(from: &Path, to: &Path, member: &str) -> u64 {
    let env = HashMap::new();
    let from = Lake::open(from.to_str().unwrap(), &env, OpenMode::Read).await.unwrap();
    let to = Lake::open(to.to_str().unwrap(), &env, OpenMode::Create).await.unwrap();
    let mut lander = Lander::open(&to, "copy", 0..64, NOW).await.unwrap();
    let staging = lander.begin(NOW);
    let (mut files, mut tables, mut changed) = (Vec::new(), BTreeMap::new(), 0);
    for table in from.catalog().of_rows() {
        let columns: Vec<&str> = table.file_columns().map(|column| &*column.name).collect();
        let extra = columns.iter().position(|name| *name == "extra");
        for file in from.files(&table.name).await.unwrap() {
            let (date, rows) = (file.date.unwrap(), file.rows);
            let batches = from.scan_files(&table.name, vec![file], &columns).unwrap();
            let mut batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
            if let Some(extra) = extra.filter(|_| changed == 0) {
                changed += u64::from(lose(&mut batches, extra, member));
            }
            let schema = table.file_arrow();
            let batches = batches
                .into_iter()
                .map(move |batch| {
                    RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).unwrap()
                })
                .collect::<Vec<_>>();
            files.extend(staging.write(table.clone(), date, batches).await.unwrap());
            let all: &mut TableRows = tables.entry(table.name.clone()).or_default();
            (0..rows).for_each(|_| all.add(NOW));
        }
    }
    let advance = SourceAdvance {
        key: SourceKey { source_id: "gateway".to_owned(), epoch: 1 },
        lane: 0,
        from: 0,
        to: 1,
        chain: 1,
        appended: 1,
        received_us: None,
        gaps: vec![],
        tables,
    };
    lander.land(&staging.finish(files, vec![advance]), NOW).await.unwrap();
    changed
}

/// Takes a member out of the first row that has it.
fn lose(batches: &mut [RecordBatch], extra: usize, member: &str) -> bool {
    for batch in batches {
        let texts = batch.column(extra).as_string::<i32>();
        let has = |row: &usize| texts.is_valid(*row) && texts.value(*row).contains(member);
        let Some(hit) = (0..batch.num_rows()).find(has) else { continue };
        let less = texts.value(hit).replace(member, "\"fw_other\":{}");
        let other = |row: usize| texts.is_valid(row).then(|| texts.value(row));
        let texts: StringArray = (0..batch.num_rows())
            .map(|row| if row == hit { Some(&*less) } else { other(row) })
            .collect();
        let mut columns = batch.columns().to_vec();
        columns[extra] = Arc::new(texts);
        *batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
        return true;
    }
    false
}
