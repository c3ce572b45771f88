//! The books of a lake, also of one that was made before its ledger recorded what sources had accepted.

use deltalake_core::DeltaTableBuilder;
use deltalake_core::kernel::{DataType, PrimitiveType, StructField};
use lake::{
    Gap, Lake, LakeError, LandOutcome, Lander, OpenMode, SourceAdvance, SourceBooks, SourceKey,
};
use std::path::Path;

use super::kit::{LANE, NOW, key, land, offsets, stage};
use super::place::Place;

fn books(key: SourceKey, landed: u64, dropped: u64, appended: Option<u64>) -> SourceBooks {
    SourceBooks { key, landed, dropped, dead_letters: 0, appended, landed_at_us: Some(NOW) }
}

async fn land_gap(lander: &mut Lander, lake: &Lake, key: SourceKey, [from, to]: [u64; 2]) {
    let gaps = vec![Gap { first: from, count: to - from, reason: "dropped".into() }];
    let (chain, appended, tables) = (to * 1000, to + 100, [].into());
    let advance = SourceAdvance {
        key,
        lane: LANE,
        from,
        to,
        chain,
        appended,
        received_us: None,
        gaps,
        tables,
    };
    let staged = lake.stage(NOW).finish(vec![], vec![advance]);
    assert!(matches!(lander.land(&staged, NOW).await.unwrap(), LandOutcome::Landed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_the_ledger_alone_says_what_is_landed_dropped_and_was_accepted() {
    let place = Place::memory();
    let lake = place.create().await;
    assert_eq!(lake.books().await.unwrap(), []);
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    // Each of these landings has a row in the ledger for each of two tables.
    land(&mut lander, &lake, "gw", 0, 3).await;
    land_gap(&mut lander, &lake, key("gw"), [3, 10]).await;
    land(&mut lander, &lake, "gw", 10, 12).await;
    let next_epoch = SourceKey { epoch: 43, ..key("gw") };
    land_gap(&mut lander, &lake, next_epoch.clone(), [0, 1]).await;
    land(&mut lander, &lake, "agent", 0, 1).await;

    let reader = place.open().await;
    let expected = [
        books(key("agent"), 1, 0, Some(6)),
        books(key("gw"), 12, 7, Some(17)),
        books(next_epoch, 1, 1, Some(101)),
    ];
    assert_eq!(reader.books().await.unwrap(), expected);
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A lake whose ledger was made without the column `appended`: source `gw` is landed to 10, of which 7 are a gap.
async fn made_before() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    // Its other tables are as they are today.
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 3).await;
    std::fs::remove_dir_all(folder.path().join("landings")).unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lake-without-appended");
    copy(&old, folder.path());
    (folder, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_was_made_before_is_read_as_it_is_and_gets_the_column_from_ingest() {
    let (folder, url) = made_before().await;
    let env = [].into();
    let before = Lake::open(&url, &env, OpenMode::Read).await.unwrap();
    assert_eq!(before.books().await.unwrap(), [books(key("gw"), 10, 7, None)]);

    let lake = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    assert_eq!(lake.id(), before.id());
    assert_eq!(lake.books().await.unwrap(), [books(key("gw"), 10, 7, None)]);
    let mut lander = Lander::open(&lake, "w2", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 10, 12).await;
    assert_eq!(before.books().await.unwrap(), [books(key("gw"), 12, 7, Some(17))]);

    // Others see a table with one more column, and it is added once.
    let again = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    let ledger = again.tables().await.unwrap().pop().unwrap();
    assert_eq!(
        (ledger.name.as_str(), ledger.version),
        ("landings", 4),
        "2 landings, column, landing"
    );
    let url = url::Url::from_directory_path(folder.path().join("landings")).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    assert!(table.snapshot().unwrap().schema().field("appended").unwrap().is_nullable());
}

/// An upgrade while workers run: the column is added under one that is about to land.
#[tokio::test(flavor = "multi_thread")]
async fn inv5_a_worker_under_which_the_ledger_gets_a_column_reads_it_again_and_goes_on() {
    let (_folder, url) = made_before().await;
    let env = [].into();
    let complete = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    let mut first = Lander::open(&complete, "w1", [LANE], NOW).await.unwrap();
    land(&mut first, &complete, "gw", 10, 12).await;
    let staged = stage(&complete, "gw", LANE, 12, 14).await.unwrap();
    // As an upgrade to a version with yet another column would do.
    let url = url::Url::parse(complete.url()).unwrap().join("landings/").unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    let column = StructField::new("later", DataType::Primitive(PrimitiveType::Long), true);
    table.add_columns().with_fields([column]).await.unwrap();

    let error = first.land(&staged, NOW).await.unwrap_err();
    assert!(matches!(error, LakeError::Changed { .. }), "{error}");
    first.recover(NOW).await.unwrap();
    assert_eq!(first.positions()[&key("gw")].landed, 12);
    land(&mut first, &complete, "gw", 12, 14).await;
    assert_eq!(offsets(&complete, "readings", "gw").await, [0, 1, 2, 10, 11, 12, 13]);
    assert_eq!(complete.books().await.unwrap(), [books(key("gw"), 14, 7, Some(19))]);
}
