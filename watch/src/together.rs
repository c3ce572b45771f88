//! Rows that may be taken device by device, by number.

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Together {
    pub(crate) first: usize,
    pub(crate) source: u32,
    /// When the newest of them was received, Unix microseconds.
    pub(crate) newest_us: i64,
    pub(crate) rows: Vec<One>,
    /// Device and place in `rows`, in this order.
    pub(crate) order: Vec<u64>,
    /// The rows that transitions are of.
    pub(crate) moved: Vec<u32>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct One {
    pub(crate) device: u32,
    pub(crate) metric: u32,
    pub(crate) unit: u32,
    /// How far its source's time has come with it.
    pub(crate) heard_us: i64,
}
