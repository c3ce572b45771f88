//! Which row groups of a file may hold what somebody asks for, by the statistics that a file has: time and device.

use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use crate::table::Table;

const DEVICE: &str = "device_id";

/// What somebody asks for; all of it unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Within {
    /// First and last time, Unix microseconds.
    pub(crate) times: Option<(i64, i64)>,
    /// First and last device, by the bytes of its name.
    pub(crate) devices: Option<(String, String)>,
}

impl Within {
    /// The row groups that may hold some of it.
    pub(super) fn row_groups(&self, table: &Table, file: &ParquetMetaData) -> Vec<usize> {
        let column = |name: &str| {
            let columns = file.file_metadata().schema_descr().columns();
            columns.iter().position(|column| column.name() == name)
        };
        let (time, device) = (column(&table.time), column(DEVICE));
        let groups = file.row_groups().iter().enumerate();
        let may_have = groups.filter(|(_, group)| {
            let of = |column: Option<usize>| column.and_then(|n| group.column(n).statistics());
            self.has_time(of(time)) && self.has_device(of(device))
        });
        may_have.map(|(n, _)| n).collect()
    }

    fn has_time(&self, statistics: Option<&Statistics>) -> bool {
        let Some(((first, last), Statistics::Int64(range))) = self.times.zip(statistics) else {
            return true;
        };
        let known = range.min_opt().zip(range.max_opt());
        known.is_none_or(|(low, high)| *low <= last && *high >= first)
    }

    fn has_device(&self, statistics: Option<&Statistics>) -> bool {
        let Some(((first, last), Statistics::ByteArray(range))) =
            self.devices.as_ref().zip(statistics)
        else {
            return true;
        };
        // A bound that was cut off still bounds.
        let known = range.min_bytes_opt().zip(range.max_bytes_opt());
        known.is_none_or(|(low, high)| low <= last.as_bytes() && high >= first.as_bytes())
    }
}
