//! The plan of a landing: what was decided, written before the decision, so that anybody can finish it.
//!
//! One JSON object at `_tidemark/landings/{landing}.json`, written once and never changed:
//!
//! ```text
//! version   1
//! landing   its id, a UUID; also the name of the object and part of the name of each file
//! worker    who wrote it (for people)
//! lanes     {"lane": counter BEFORE this landing}
//! sources   [{source_id, epoch, lane, from, to, chain}]   offsets [from, to); chain after `to - 1`, 16 hex digits
//! tables    {"table": [add, …]}                           the exact Delta `add` actions, ready to commit
//! ```
//!
//! Redoing a plan needs nothing else: no decoder, no config, no memory of the worker that made it. Offsets and counters
//! are below 2^63, epochs are 63 bits. A reader refuses a version that it doesn't know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::delta::AddFile;
use crate::error::LakeError;

/// The version that this code writes. It reads every version up to this one.
const VERSION: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    version: u32,
    /// Landing id.
    pub landing: Uuid,
    /// Who wrote it.
    pub worker: String,
    /// Lane → its counter before this landing.
    pub lanes: BTreeMap<u8, i64>,
    /// What each source advances.
    pub sources: Vec<PlannedSource>,
    /// Table → its new files.
    pub tables: BTreeMap<String, Vec<AddFile>>,
}

/// The range of one source that a landing covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedSource {
    /// Source id.
    pub source_id: String,
    /// Epoch, 63 bits.
    pub epoch: u64,
    /// The source's lane.
    pub lane: u8,
    /// First offset.
    pub from: u64,
    /// One beyond the last offset.
    pub to: u64,
    /// The chained checksum after the last offset.
    #[serde(with = "hex")]
    pub chain: u64,
}

impl Plan {
    /// A plan of the current version.
    #[must_use]
    pub fn new(
        landing: Uuid,
        worker: String,
        lanes: BTreeMap<u8, i64>,
        sources: Vec<PlannedSource>,
        tables: BTreeMap<String, Vec<AddFile>>,
    ) -> Self {
        Self { version: VERSION, landing, worker, lanes, sources, tables }
    }

    /// Where plans are, relative to the lake.
    pub const FOLDER: &'static str = "_tidemark/landings";

    /// Where the plan of `landing` is, relative to the lake.
    #[must_use]
    pub fn path(landing: Uuid) -> String {
        format!("{}/{landing}.json", Self::FOLDER)
    }

    /// The object's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan has only string keys and finite numbers")
    }

    /// Reads the object at `path`.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] if it is cut off, of an unknown version, or no plan.
    pub fn decode(path: &str, bytes: &[u8]) -> Result<Self, LakeError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |error: serde_json::Error| LakeError::damaged(path, error);
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(LakeError::damaged(
                path,
                format!("version {version} is newer than {VERSION}"),
            ));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

mod hex {
    //! A 64-bit value as 16 hex digits: JSON numbers lose bits beyond 2^53 in many readers.
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn golden() -> Plan {
        let add = AddFile {
            path: "event_date=2026-08-01/00000000-0000-0000-0000-00000000000a-0.parquet".into(),
            partition_values: [("event_date".to_owned(), Some("2026-08-01".to_owned()))].into(),
            size: 1234,
            modification_time: 1_785_542_400_000,
            data_change: true,
            stats: Some(r#"{"numRecords":5}"#.into()),
        };
        let source = PlannedSource {
            source_id: "gw-1".into(),
            epoch: 0x7fff_ffff_ffff_ffff,
            lane: 3,
            from: 10,
            to: 15,
            chain: 0x0123_4567_89ab_cdef,
        };
        Plan::new(
            Uuid::from_u128(10),
            "ingest-1".into(),
            [(3, 7)].into(),
            vec![source],
            [("readings".to_owned(), vec![add])].into(),
        )
    }

    const GOLDEN: &str = r#"{"version":1,"landing":"00000000-0000-0000-0000-00000000000a","worker":"ingest-1","lanes":{"3":7},"sources":[{"source_id":"gw-1","epoch":9223372036854775807,"lane":3,"from":10,"to":15,"chain":"0123456789abcdef"}],"tables":{"readings":[{"path":"event_date=2026-08-01/00000000-0000-0000-0000-00000000000a-0.parquet","partitionValues":{"event_date":"2026-08-01"},"size":1234,"modificationTime":1785542400000,"dataChange":true,"stats":"{\"numRecords\":5}"}]}}"#;

    #[test]
    fn golden_bytes_of_version_1() {
        assert_eq!(String::from_utf8(golden().encode()).unwrap(), GOLDEN);
        assert_eq!(Plan::decode("p", GOLDEN.as_bytes()).unwrap(), golden());
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let newer = GOLDEN.replace(r#""version":1"#, r#""version":2"#);
        let error = Plan::decode("p.json", newer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("p.json") && error.contains("version 2"), "{error}");
    }

    proptest! {
        #[test]
        fn a_plan_round_trips_and_a_torn_one_is_refused(
            from in 0..1u64 << 62, count in 0..1u64 << 62, chain: u64, epoch in 0..1u64 << 63, cut in 0.0..1.0f64,
        ) {
            let mut plan = golden();
            plan.sources[0] = PlannedSource { from, to: from + count, chain, epoch, ..plan.sources[0].clone() };
            let bytes = plan.encode();
            prop_assert_eq!(&Plan::decode("p", &bytes).unwrap(), &plan);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                reason = "a position inside a short buffer")]
            let cut = (bytes.len() as f64 * cut) as usize;
            prop_assert!(Plan::decode("p", &bytes[..cut]).is_err());
        }
    }
}
