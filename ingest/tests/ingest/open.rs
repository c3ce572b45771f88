//! A table and a decoder that nobody knows but this file go the whole way: made, written, planned, counted, checked, checkpointed,
//! listed, and found by who comes later without them.

use ingest::batch::{Layout, Row, Rows};
use ingest::columns;
use ingest::config::TopicRule;
use ingest::decode::reject::Reject;
use ingest::decode::{DECODERS, Decoder, Message, Settings, Spec};
use lake::table::{Column, IDENTITY, Kind, Parts, Table};
use lake::{Catalog, CatalogError, Lake, OpenMode, check, maintain};

use super::kit::{Lakeside, Source, fields};

const NAME: &str = "tides";

fn tides() -> Table {
    let columns = [
        Column::required("event_ts", Kind::Timestamp, "When."),
        Column::required("received_ts", Kind::Timestamp, "When it was received."),
        Column::required("station", Kind::Text, "Where."),
        Column::optional("height", Kind::Double, "How high."),
        Column::optional("rising", Kind::Bool, "Whether it rises."),
        Column::optional("moon", Kind::Date, "Date of the last new moon."),
    ];
    let parts = Parts { sort: &["station"], stats: &["event_ts"], time: "event_ts", bloom: &[] };
    Table::new(NAME, "Water levels.", columns.into_iter().chain(IDENTITY), parts)
}

columns! {
    struct Columns of NAME {
        event_ts: Time,
        station: Text,
        height: Double,
        rising: Bool,
        moon: Date,
    }
}

/// `station height`, a line each.
#[derive(Debug)]
struct Lines(Columns);

impl Decoder for Lines {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        for line in message.text()?.lines() {
            let (station, height) = line.split_once(' ').unwrap_or((line, ""));
            let mut row = Row::new(&self.0.table, rows.origin().received_us);
            row.set(self.0.event_ts, rows.origin().received_us)
                .set(self.0.station, station)
                .set(self.0.height, height.parse::<f64>().ok())
                .set(self.0.rising, !height.starts_with('-'))
                .set(self.0.moon, 20_000);
            rows.add(row)?;
        }
        Ok(())
    }
}

const LINES: Spec = Spec {
    name: "lines",
    about: "a station and its level in each line",
    build: |_, layout| Ok(Box::new(Lines(Columns::of(layout)?))),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_and_a_new_decoder_go_the_whole_way() {
    let catalog = Catalog::builtin().with(tides()).unwrap();
    let lakeside = Lakeside::of(&catalog).await;
    let decoders = [DECODERS, &[LINES]].concat();
    let mut ingest = lakeside
        .ingest_with(&decoders, |config| {
            config.topics.push(TopicRule::new("dt/+/+/tides", LINES.name));
        })
        .await;
    let mut source = Source::new("gw");
    ingest.send(source.frame(&[("dt/sea/buoy/tides", "a 1.5\nb -2")])).await;
    ingest.landed(&source).await;
    ingest.stop().await;

    // Who reads it does not know the table: the lake does.
    let rows = lakeside.rows(NAME).await;
    let names = ["station", "height", "rising", "moon", "received_ts", "source_offset", "row_no"];
    let received = "2026-08-01T00:00:00Z";
    assert_eq!(fields(&rows[0], names), ["a", "1.5", "true", "2024-10-04", received, "0", "0"]);
    assert_eq!(fields(&rows[1], names), ["b", "-2.0", "false", "2024-10-04", received, "0", "1"]);
    let counted = lakeside.rows("landings").await;
    assert_eq!(fields(&counted[0], ["table_name", "row_count", "message_count"]), [NAME, "2", "1"]);
    let url = lakeside.folder.path().display().to_string();
    let plain = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
    let listed = plain.tables().await.unwrap();
    assert_eq!(listed.iter().find(|table| table.name == NAME).unwrap().rows, 2);
    let checked = check::run(&plain).await.unwrap();
    assert_eq!(checked.findings, []);
    let kept = maintain::run_once(&plain, 1, i64::MAX / 4).await.unwrap();
    assert!(kept.iter().any(|done| done.table == NAME), "{kept:?}");
    assert_eq!(plain.catalog().get(NAME).unwrap().columns, tides().columns);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_for_a_table_that_there_is_not_is_refused_at_start() {
    let mistake = (LINES.build)(&Settings::new(), &Layout::default()).unwrap_err();
    assert!(mistake.to_string().contains("`tides` is no table"), "{mistake}");
    let taken = Catalog::builtin().with(tides()).unwrap().with(tides());
    assert!(matches!(taken, Err(CatalogError::Taken { .. })));
}
