//! The data lake: Delta tables of Parquet files in S3 or a local folder, written exactly once through a ledger.
//!
//! Reading goes through [`Lake`]. Writing is a landing: files are written with [`Lake::stage`], then decided and applied by
//! [`Lander::land`]; `landing` has the rules and `plan` the format that makes a decision redoable by anybody.
#![warn(missing_docs)]

mod attempts;
mod books;
pub mod catalog;
pub mod check;
mod config;
pub mod date;
mod declared;
mod definitions;
mod delta;
pub mod erase;
mod error;
mod heard;
mod lake;
mod lander;
pub mod landing;
mod ledger;
mod listed;
mod location;
pub mod maintain;
mod memory;
pub mod parquet;
pub mod plan;
mod probe;
mod reader;
mod row_hash;
pub mod sort;
mod stage;
mod store;
pub mod table;
pub mod tables;
pub mod views;
mod watched;
mod whole;

pub use books::SourceBooks;
pub use catalog::{Catalog, CatalogError};
pub use config::LakeConfig;
pub use declared::{ColumnType, DeclaredColumn, DeclaredTable, DeclaredTables, WholeColumn};
pub use delta::{AddFile, FileInfo};
pub use error::{Cause, LakeError};
pub use heard::Heard;
pub use lake::{Lake, OpenMode};
pub use lander::{LandOutcome, Lander};
pub use landing::{
    Gap, Lost, SourceAdvance, SourceKey, SourcePosition, Staged, StagedFile, TableRows, is_own,
};
pub use location::Location;
pub use maintain::MaintainConfig;
pub use reader::{Rows, TableSummary, count};
pub use stage::Staging;
pub use store::{Created, Object, Store, StoreCounts};
pub use table::Table;
