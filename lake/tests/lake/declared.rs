//! Tables that a configuration declares: the lake knows them itself.

use arrow::array::RecordBatch;
use lake::date::date_of;
use lake::table::{Column, IDENTITY, Kind, Parts, Table};
use lake::{
    Catalog, Lake, LakeError, LandOutcome, Lander, OpenMode, SourceAdvance, Staged, TableRows,
};

use super::kit::{Fragile, LANE, NOW, key, offsets, readings};
use super::place::{Place, on_memory_and_s3};

on_memory_and_s3! {
    inv7_a_worker_finishes_a_landing_in_a_table_that_it_did_not_know
    inv10_a_declared_table_grows_by_columns_and_who_knows_fewer_takes_none_away
}

fn tides(more: Option<Column>) -> Table {
    let time = Column::required("event_ts", Kind::Timestamp, "When.");
    let parts = Parts { sort: &[], stats: &[], time: "event_ts", bloom: &[] };
    let columns = std::iter::once(time).chain(more).chain(IDENTITY);
    Table::new("tides", "Water levels.", columns, parts)
}

async fn with(place: &Place, table: Table) -> Result<Lake, LakeError> {
    let catalog = Catalog::builtin().with(table).unwrap();
    Lake::open_on_with(place.store(), OpenMode::Create, &catalog).await
}

/// The files of a landing of `[0, to)` in the table only.
async fn stage(lake: &Lake, to: u64) -> Staged {
    let table = lake.catalog().get("tides").unwrap().clone();
    let rows = readings("gw", 0, to);
    let columns = table.file_columns().map(|column| rows.column_by_name(&column.name).unwrap());
    let columns = columns.cloned().collect();
    let rows = RecordBatch::try_new(table.file_arrow(), columns).unwrap();
    let staging = lake.stage(NOW);
    let file = staging.write(table, date_of(NOW), [rows]).await.unwrap();
    let counts = TableRows { rows: to, time: Some((NOW, NOW)) };
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from: 0,
        to,
        chain: to,
        appended: to,
        received_us: None,
        gaps: vec![],
        tables: [("tides".into(), counts)].into(),
    };
    staging.finish(file.into_iter().collect(), vec![advance])
}

async fn inv7_a_worker_finishes_a_landing_in_a_table_that_it_did_not_know(place: Place) {
    let before = place.create().await;
    let mut knows_not = Lander::open(&before, "w1", [LANE], NOW).await.unwrap();
    with(&place, tides(None)).await.unwrap();
    // Data file, plan, ledger file and ledger entry are written; the table's entry is not.
    let doomed = place.through(Fragile::over(&place, 4, false)).await.unwrap();
    let mut dies = Lander::open(&doomed, "w2", [LANE], NOW).await.unwrap();
    dies.land(&stage(&doomed, 3).await, NOW).await.unwrap_err();
    let lake = place.open().await;
    assert_eq!(lake.sources().await.unwrap()[&key("gw")].landed, 3, "decided");
    assert!(offsets(&lake, "tides", "gw").await.is_empty(), "and not applied");

    knows_not.recover(NOW).await.unwrap();
    assert_eq!(offsets(&lake, "tides", "gw").await, [0, 1, 2]);
}

async fn inv10_a_declared_table_grows_by_columns_and_who_knows_fewer_takes_none_away(place: Place) {
    let height = Column::optional("height", Kind::Double, "How high.");
    with(&place, tides(None)).await.unwrap();
    with(&place, tides(Some(height.clone()))).await.unwrap();
    // An older worker starts beside it, and lands.
    let older = with(&place, tides(None)).await.unwrap();
    let mut lander = Lander::open(&older, "w1", [LANE], NOW).await.unwrap();
    let landed = lander.land(&stage(&older, 2).await, NOW).await.unwrap();
    assert!(matches!(landed, LandOutcome::Landed { .. }));
    let lake = place.open().await;
    assert_eq!(lake.catalog().get("tides").unwrap().column("height"), Some(&height));
    assert_eq!(lake::count(lake.scan("tides", &["height"]).await.unwrap()).await.unwrap(), 2);
    let text = Column::optional("height", Kind::Text, "How high.");
    let refused = with(&place, tides(Some(text))).await.unwrap_err().to_string();
    assert!(refused.contains("`tides`: column `height` is `double`"), "{refused}");
}
