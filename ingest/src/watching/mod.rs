//! Watching what is decoded: the state of devices, alerts by rules, and whoever asks.

mod now;
mod still;

pub use now::{
    ALERTS_MAX, AlertNow, DEVICES_MAX, DeviceNow, Devices, DevicesWanted, Moved, NoAnswer,
    ValueNow, Watched, Watcher,
};
pub use still::Still;
