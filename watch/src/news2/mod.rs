//! The National Early Warning Score (NEWS) 2 of the Royal College of Physicians (2017): the chart, and what is known at a bedside.
//!
//! For adults of 16 and more who are not pregnant. The chart is reproduced with acknowledgement to the Royal College of
//! Physicians: National Early Warning Score (NEWS) 2, London, 2017. This is no medical device: it tells what the published table
//! says of the numbers that devices sent.

mod bedside;
mod chart;

pub(crate) use bedside::{Ages, Assumed, Bedside, Parameter, Settings};
pub use chart::{Consciousness, Observations, PARAMETERS, Scale, Score, score};
