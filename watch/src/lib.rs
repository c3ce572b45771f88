//! Watching: what is known of devices, and the rules by which somebody is told.
//!
//! A pure state machine. Rows, time, what is known of sources and what people do go in, in one order; transitions of alerts come
//! out. The same input gives the same transitions to the byte, however it is cut into batches and however often the state was
//! saved and loaded in between: alerts are a function of the lake (INV-14).
//!
//! **Two clocks.** What is measured is judged by the time of the event: a row that is not after the newest of its series is *late*,
//! is counted, and changes nothing else, so that a backlog overwrites nothing and raises nothing. (A series that had only late
//! rows for 15 minutes of receipts is of a device whose clock was set back: it starts anew.) Silence is judged by the source's
//! time, that of its receipts: a backlog is heard at the time at which it was received, not at which it came here.
//!
//! **Where this differs from a first guess.** [`Watch::act`] returns why an action was not done. [`Watch::load`] has transitions,
//! too: of alerts whose rules are gone. Time comes with rows by itself ([`Watch::reading`]), so that [`Watch::tick`] is needed only
//! while no row comes. Devices have no kind: name them by pattern.
#![warn(missing_docs)]

mod act;
mod action;
mod condition;
mod device;
mod life;
mod limits;
mod many;
mod names;
pub mod news2;
mod numbers;
mod pattern;
mod reading;
mod room;
mod rules;
mod saved;
mod scene;
mod silence;
mod source;
mod span;
mod together;
mod track;
mod transition;
mod view;
mod watch;
mod wire;

pub use action::{ActError, Action};
pub use life::State;
pub use limits::{Counts, Limits};
pub use numbers::{Numbers, Rows};
pub use reading::{Quality, Reading, RowId, RowKey};
pub use rules::{Rule, RuleError, Rules, Severity};
pub use saved::StateError;
pub use source::SourceState;
pub use transition::{AlertId, NoAlertId, Reason, Transition};
pub use view::{AlertView, DeviceView, LastValue, SourceView, Status};
pub use watch::Watch;
