//! Every crash point: real processes under load, one of them dies there, is started again, and the audit finds nothing
//! lost, doubled or altered.

use std::collections::BTreeSet;

use crash_point::Point;
use drill::{Death, Options, Victim};

use crate::crash_upkeep::{ARCHIVE, ERASURE, RETENTION};

/// Who dies at a point, and the how-manieth time it gets there: late enough to be in the middle of things.
fn deaths(point: Point) -> &'static [(Victim, u32)] {
    match point {
        Point::SpoolWritten | Point::SpoolSynced => &[(Victim::Gateway, 40), (Victim::Agent, 20)],
        Point::PubackSent => &[(Victim::Gateway, 60)],
        // The first one is made at the start.
        Point::SegmentCreated => &[(Victim::Gateway, 2), (Victim::Agent, 2)],
        Point::StateSaved => &[(Victim::Gateway, 3), (Victim::Agent, 2)],
        Point::SegmentDeleted => &[(Victim::Gateway, 1)],
        Point::FrameSent => &[(Victim::Gateway, 12), (Victim::Agent, 8)],
        Point::ReceiptTaken => &[(Victim::Gateway, 4), (Victim::Agent, 3)],
        // A start that adds columns to two tables.
        Point::ColumnsWanted | Point::ColumnsAdded => &[(Victim::Ingest, 1), (Victim::Ingest, 2)],
        Point::FileWritten => &[(Victim::Ingest, 7)],
        Point::PlanWritten | Point::LandingDecided | Point::LandingApplied => {
            &[(Victim::Ingest, 3)]
        }
        // In the middle of a landing that touches several tables.
        Point::TableApplied => &[(Victim::Ingest, 6)],
        Point::ReceiptSent => &[(Victim::Ingest, 5)],
        Point::ObjectSwept => &[(Victim::Maintain, 2)],
        // The merge of the second table.
        Point::MergedWritten
        | Point::MergedProven
        | Point::MergedCommitted
        | Point::CheckpointWritten
        | Point::LogCleaned
        | Point::ViewWritten
        | Point::ViewCommitted => &[(Victim::Maintain, 2)],
        // A lake of a few rows is enough: see `crash_upkeep`.
        Point::RetireDue
        | Point::RetireCommitted
        | Point::ArchiveWritten
        | Point::ArchivePlanned
        | Point::ArchiveDecided
        | Point::ArchiveApplied
        | Point::KeptWritten
        | Point::EraseCommitted
        | Point::EraseSwept
        | Point::EraseRecorded => &[],
    }
}

fn die(point: Point, s3: bool) {
    let options = Options {
        program: env!("CARGO_BIN_EXE_tidemark").into(),
        seed: 1,
        lake: None,
        quick: true,
        keep: false,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // What the object store adds is seen at one of them.
    let deaths = deaths(point);
    for (victim, time) in &deaths[if s3 { deaths.len() - 1 } else { 0 }..] {
        let death = Death { victim: *victim, point: point.name(), time: *time, s3 };
        let report = runtime.block_on(drill::die(death, &options));
        assert!(report.passed, "{victim:?}: {report}");
        // The load ends with the recovery: the quicker that is, the fewer messages there are.
        assert!(report.messages > 100, "{victim:?}: {report}");
    }
}

/// One test for each point: `name: Point` on local disk, and for those that the lake's store sees also in S3.
macro_rules! dies {
    ($($disk:ident $(and $s3:ident)?: $point:ident),* $(,)?) => {
        const TESTED: &[Point] = &[$(Point::$point),*];
        $(
            #[test]
            fn $disk() {
                die(Point::$point, false);
            }
            $(
                #[test]
                fn $s3() {
                    die(Point::$point, true);
                }
            )?
        )*
    };
}

dies! {
    inv1_at_spool_written: SpoolWritten,
    inv1_at_spool_synced: SpoolSynced,
    inv1_at_puback_sent: PubackSent,
    inv3_at_segment_created: SegmentCreated,
    inv3_at_state_saved: StateSaved,
    inv3_at_segment_deleted: SegmentDeleted,
    inv5_at_frame_sent: FrameSent,
    inv3_at_receipt_taken: ReceiptTaken,
    inv10_at_columns_wanted and inv10_at_columns_wanted_in_s3: ColumnsWanted,
    inv10_at_columns_added and inv10_at_columns_added_in_s3: ColumnsAdded,
    inv5_at_file_written and inv5_at_file_written_in_s3: FileWritten,
    inv5_at_plan_written and inv5_at_plan_written_in_s3: PlanWritten,
    inv5_at_landing_decided and inv5_at_landing_decided_in_s3: LandingDecided,
    inv5_at_table_applied and inv5_at_table_applied_in_s3: TableApplied,
    inv7_at_landing_applied and inv7_at_landing_applied_in_s3: LandingApplied,
    inv7_at_receipt_sent and inv7_at_receipt_sent_in_s3: ReceiptSent,
    inv14_at_merged_written and inv14_at_merged_written_in_s3: MergedWritten,
    inv14_at_merged_proven and inv14_at_merged_proven_in_s3: MergedProven,
    inv14_at_merged_committed and inv14_at_merged_committed_in_s3: MergedCommitted,
    inv14_at_object_swept and inv14_at_object_swept_in_s3: ObjectSwept,
    inv5_at_checkpoint_written and inv5_at_checkpoint_written_in_s3: CheckpointWritten,
    inv5_at_log_cleaned and inv5_at_log_cleaned_in_s3: LogCleaned,
    inv14_at_view_written and inv14_at_view_written_in_s3: ViewWritten,
    inv14_at_view_committed and inv14_at_view_committed_in_s3: ViewCommitted,
}

#[test]
fn every_crash_point_has_its_test() {
    let apart = RETENTION.iter().chain(&ARCHIVE).chain(&ERASURE).map(|(point, _)| point);
    let tested: BTreeSet<_> = TESTED.iter().chain(apart).map(|point| point.name()).collect();
    let all: BTreeSet<_> = Point::ALL.iter().map(|point| point.name()).collect();
    assert_eq!(tested, all);
}
