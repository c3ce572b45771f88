//! A lake that is not one whole: copied table by table, restored in part, with pieces that are gone. Nobody lands on top of it.

use std::path::{Path, PathBuf};

use lake::check::{self, Checked};
use lake::{Lake, LakeError, LandOutcome, Lander, OpenMode, SourceKey};

use super::books::copy;
use super::kit::{LANE, NOW, key, land, offsets, stage};

/// A lake in a folder with three landings of `gw`, two rows each in `readings` and `device_status`.
struct Folder(tempfile::TempDir);

impl Folder {
    async fn with_landings() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let lake = folder.open().await.unwrap();
        let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
        for from in [0, 2, 4] {
            land(&mut lander, &lake, "gw", from, from + 2).await;
        }
        folder
    }

    async fn open(&self) -> Result<Lake, LakeError> {
        let url = self.0.path().display().to_string();
        Lake::open(&url, &[].into(), OpenMode::Create).await
    }

    /// What a worker does at its start.
    async fn take_over(&self) -> Result<Lander, LakeError> {
        Lander::open(&self.open().await?, "w2", [LANE], NOW).await
    }

    fn entry(&self, table: &str, version: u64) -> PathBuf {
        self.0.path().join(format!("{table}/_delta_log/{version:020}.json"))
    }

    fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(self.0.path(), folder.path());
        Self(folder)
    }

    /// It is refused by that name, twice, and stays as it is.
    async fn refused(&self, table: &str, reason: &str) {
        let before = files(self.0.path());
        for _ in 0..2 {
            let error = self.take_over().await.unwrap_err().to_string();
            assert!(error.contains(&format!("table `{table}`")), "{error}");
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("one backup") && error.contains("source rebind"), "{error}");
        }
        assert_eq!(files(self.0.path()), before, "nothing was written");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Where the store proves itself.
        if path.ends_with("_tidemark") {
            continue;
        }
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn remove(path: impl AsRef<Path>) {
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_ledger_that_lost_its_last_commits_is_behind_its_tables() {
    let folder = Folder::with_landings().await;
    remove(folder.entry("landings", 3));
    folder.refused("device_status", "has landing 3 of lane 7, the ledger knows of 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_table_that_lost_landings_is_refused_and_the_last_one_is_applied_again() {
    let folder = Folder::with_landings().await;
    remove(folder.entry("readings", 3));
    let mut lander = folder.take_over().await.unwrap();
    let lake = folder.open().await.unwrap();
    assert_eq!(offsets(&lake, "readings", "gw").await, (0..6).collect::<Vec<_>>());
    // A landing that touches another source goes on as if nothing had been.
    let staged = stage(&lake, "other", LANE, 0, 1).await.unwrap();
    assert!(matches!(lander.land(&staged, NOW).await.unwrap(), LandOutcome::Landed { .. }));

    remove(folder.entry("readings", 4));
    remove(folder.entry("readings", 3));
    folder.refused("readings", "landing 3 of lane 7 is in it, it has 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_table_that_is_gone_is_not_made_anew() {
    let folder = Folder::with_landings().await;
    std::fs::remove_dir_all(folder.0.path().join("readings")).unwrap();
    folder.refused("readings", "it is gone").await;
    // One that nothing ever landed in may be: a later version has more tables.
    let folder = Folder::with_landings().await;
    std::fs::remove_dir_all(folder.0.path().join("ehr_events")).unwrap();
    folder.take_over().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_tables_without_their_ledger_are_refused() {
    let folder = Folder::with_landings().await;
    std::fs::remove_dir_all(folder.0.path().join("landings")).unwrap();
    folder.refused("readings", "has landing 3 of lane 7, the ledger knows of 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_an_entry_that_is_gone_from_the_middle_of_a_log_is_noticed() {
    for table in ["landings", "readings", "device_status"] {
        let folder = Folder::with_landings().await;
        remove(folder.entry(table, 2));
        folder.refused(table, "entry 2 of its log is gone").await;
        let folder = Folder::with_landings().await;
        remove(folder.entry(table, 0));
        folder.refused(table, "no beginning").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_lake_that_was_copied_while_it_was_written_is_refused_and_a_whole_copy_is_not() {
    let folder = Folder::with_landings().await;
    let whole = folder.copy();
    let mut lander = folder.take_over().await.unwrap();
    let lake = folder.open().await.unwrap();
    for from in [6, 8, 10] {
        land(&mut lander, &lake, "gw", from, from + 2).await;
    }
    for (table, reason) in
        [("readings", "the ledger knows of 3"), ("landings", "is in it, it has 3")]
    {
        let torn = whole.copy();
        std::fs::remove_dir_all(torn.0.path().join(table)).unwrap();
        copy(&folder.0.path().join(table), &torn.0.path().join(table));
        let plans = "_tidemark/landings";
        copy(&folder.0.path().join(plans), &torn.0.path().join(plans));
        let error = torn.take_over().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{table}: {error}");
    }
    let mut lander = whole.take_over().await.unwrap();
    assert_eq!(lander.positions()[&key("gw")].landed, 6);
    let lake = whole.open().await.unwrap();
    assert!(matches!(land(&mut lander, &lake, "gw", 6, 7).await, LandOutcome::Landed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_of_a_version_that_did_not_note_its_tables_is_taken_over() {
    let folder = Folder::with_landings().await;
    for version in 1..=3 {
        let path = folder.entry("landings", version);
        let text = std::fs::read_to_string(&path).unwrap();
        let old = |line: &&str| !line.contains(r#""table/"#) && !line.contains(r#""before/"#);
        let lines: Vec<&str> = text.lines().filter(old).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let mut lander = folder.take_over().await.unwrap();
    let lake = folder.open().await.unwrap();
    land(&mut lander, &lake, "gw", 6, 8).await;
    folder.take_over().await.unwrap();
    assert_eq!(lake.sources().await.unwrap()[&SourceKey { ..key("gw") }].landed, 8);
    std::fs::remove_dir_all(folder.0.path().join("device_status")).unwrap();
    folder.refused("device_status", "it is gone").await;
}

impl Folder {
    async fn check(&self) -> Vec<String> {
        let url = self.0.path().display().to_string();
        let lake = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
        let Checked { findings, .. } = check::run(&lake).await.unwrap();
        findings.into_iter().map(|found| format!("{}: {}", found.table, found.problem)).collect()
    }

    fn only(&self, folder: &str) -> PathBuf {
        let found = files(&self.0.path().join(folder));
        found
            .into_iter()
            .find(|path| path.extension().is_some_and(|kind| kind == "parquet"))
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_a_check_says_everything_that_is_wrong_with_a_lake_and_nothing_of_a_whole_one() {
    let whole = Folder::with_landings().await;
    assert_eq!(whole.check().await, [""; 0]);
    let url = whole.0.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
    let checked = check::run(&lake).await.unwrap();
    assert_eq!((checked.files, checked.rows), (9, 18), "two tables and the ledger");
    lake::maintain::run_once(&lake, 1, NOW).await.unwrap();
    assert_eq!(whole.check().await, [""; 0], "with checkpoints");

    type Harm = fn(&Folder);
    let harms: [(Harm, &str); 7] = [
        (
            |folder| remove(folder.only("readings")),
            "readings: 1 of 3 data files are not what its log says",
        ),
        (|folder| std::fs::write(folder.only("device_status"), "x").unwrap(), "has another size"),
        (|folder| remove(folder.entry("landings", 3)), "readings: it has landing 3 of lane 7"),
        (
            |folder| remove(folder.entry("readings", 3)),
            "readings: its log has 4 rows, the ledger counts 6",
        ),
        (|folder| remove(folder.entry("readings", 2)), "readings: entry 2 of its log is gone"),
        (
            |folder| std::fs::remove_dir_all(folder.0.path().join("ehr_events")).unwrap(),
            "ehr_events: it is not there",
        ),
        (
            |folder| std::fs::remove_dir_all(folder.0.path().join("_tidemark/landings")).unwrap(),
            "it is gone",
        ),
    ];
    for (harm, expected) in harms {
        let folder = Folder::with_landings().await;
        harm(&folder);
        let findings = folder.check().await;
        let found = findings.iter().any(|finding| finding.contains(expected));
        assert!(found, "{expected}: {findings:?}");
    }
}
