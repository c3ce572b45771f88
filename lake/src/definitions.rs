//! Tables that a configuration declared, as the lake keeps them: whoever reads, maintains or finishes a landing needs no configuration.
//!
//! One JSON object at `_tidemark/tables/{table}.json`: `{"version": 1, "table": {…}}`. It grows by columns only.

use serde::{Deserialize, Serialize};

use crate::catalog::{self, Catalog};
use crate::error::LakeError;
use crate::store::Store;
use crate::table::Table;

/// The version that this code writes and reads.
const VERSION: u32 = 1;
const FOLDER: &str = "_tidemark/tables";

#[derive(Serialize, Deserialize)]
struct Definition {
    version: u32,
    table: Table,
}

fn path(table: &str) -> String {
    format!("{FOLDER}/{table}.json")
}

/// `catalog` and the tables that are declared in the lake only.
///
/// # Errors
/// [`LakeError::Damaged`] if a definition can't be understood, [`LakeError::Store`].
pub(crate) async fn all(lake: &Store, catalog: &Catalog) -> Result<Catalog, LakeError> {
    let mut all = catalog.clone();
    for object in lake.list(FOLDER).await? {
        // Other files may stand there, such as one that is being written.
        let Some(name) = object.path.rsplit('/').next().and_then(|name| name.strip_suffix(".json"))
        else {
            continue;
        };
        if all.get(name).is_some() {
            continue;
        }
        if let Some(table) = declared(lake, name).await? {
            let damaged = |error| LakeError::damaged(lake.address(&object.path), error);
            all = all.with(table).map_err(damaged)?;
        }
    }
    Ok(all)
}

/// The table of that name as the lake keeps it.
///
/// # Errors
/// As [`all`].
pub(crate) async fn declared(lake: &Store, name: &str) -> Result<Option<Table>, LakeError> {
    let path = path(name);
    let Some(bytes) = lake.get(&path).await? else { return Ok(None) };
    let definition: Definition = serde_json::from_slice(&bytes)
        .map_err(|error| LakeError::damaged(lake.address(&path), error))?;
    let Definition { version, table } = definition;
    if version != VERSION || table.name != name {
        let reason = format!("version {version}, table `{}`: not what stands there", table.name);
        return Err(LakeError::damaged(lake.address(&path), reason));
    }
    catalog::check(&table).map_err(|error| LakeError::damaged(lake.address(&path), error))?;
    Ok(Some(table))
}

/// Keeps the declared tables of `catalog` in the lake. What another worker knows more of stays as it is.
///
/// # Errors
/// As [`all`].
pub(crate) async fn keep(lake: &Store, catalog: &Catalog) -> Result<(), LakeError> {
    let builtin = Catalog::builtin();
    for table in catalog.tables().filter(|table| builtin.get(&table.name).is_none()) {
        if let Some(kept) = declared(lake, &table.name).await? {
            let more = kept.columns.iter().any(|column| table.column(&column.name).is_none());
            if more || kept == **table {
                continue;
            }
        }
        let definition = Definition { version: VERSION, table: Table::clone(table) };
        let bytes = serde_json::to_vec(&definition).expect("a definition is plain data");
        lake.put(&path(&table.name), bytes.into()).await?;
    }
    Ok(())
}
