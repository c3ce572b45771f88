//! Tables of one's own that grow: declared with one column, filled, declared with more, and looked at.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use service_runtime::http::{self, Method, StatusCode};
use toml::toml;

use crate::scene::{PATIENCE, Scene};

/// Messages of each table before it grows, and as many after that.
const MESSAGES: u64 = 20;
/// The tables.
const TABLES: [&str; 2] = ["orders", "returns"];
/// How long the agent may take to answer.
const ASK_PATIENCE: Duration = Duration::from_secs(10);

/// Declares the tables with their first column, or with all, and keeps the topic rules that there are.
fn declared(scene: &mut Scene, columns: &[&str]) {
    for worker in &mut scene.ingest {
        for name in TABLES {
            let id = toml! { type = "bigint" required = true about = "Number." };
            let mut own = toml::Table::from_iter([("id".to_owned(), id.into())]);
            own.extend(columns.iter().map(|name| ((*name).to_owned(), "string".into())));
            let mut table = toml! { about = "One a row." };
            table.insert("columns".to_owned(), own.into());
            worker.set("tables", name, table);
        }
    }
}

/// The rules for the tables' topics.
pub(crate) fn rules() -> Vec<toml::Value> {
    let rule = |table: &str| {
        let filter = format!("shop/+/{table}");
        toml! {
            filter = filter
            decoder = "json"
            site = "{1}"
            device = "web"
            settings = { table = table }
        }
        .into()
    };
    TABLES.map(rule).to_vec()
}

/// Declares the tables as they are at first.
pub(crate) fn declared_first(scene: &mut Scene) {
    declared(scene, &[]);
}

/// Starts everything with small tables, a load, and messages that say more than the tables have columns for.
pub(crate) async fn before(scene: &mut Scene) -> anyhow::Result<()> {
    declared_first(scene);
    scene.ingest[0].set("ingest", "topics", rules());
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    publish(scene, 0).await?;
    scene.recovered().await
}

/// From the next start on the tables have more columns.
pub(crate) fn declare(scene: &mut Scene) {
    declared(scene, &["note", "size"]);
}

/// The tables have grown: each column is there once, and so is each row, with the new columns where they can be.
pub(crate) async fn after(scene: &mut Scene) -> anyhow::Result<()> {
    publish(scene, MESSAGES).await?;
    scene.loads_end().await?;
    scene.settled(PATIENCE).await?;
    let lake = scene.lake.clone();
    let tables = scene.tidemark(&["tables", "--lake", &lake, "--format", "json"]).await?;
    let tables: Vec<serde_json::Value> = serde_json::from_str(&tables)?;
    for name in TABLES {
        let table = tables.iter().find(|table| table["table"] == name);
        let rows = table.and_then(|table| table["rows"].as_u64());
        ensure!(rows == Some(2 * MESSAGES), "{name} has {rows:?} rows, not {}", 2 * MESSAGES);
    }
    scene.tidemark(&["check", "--lake", &lake]).await?;
    let Some(folder) = store_folder(scene) else {
        scene.note("the lake is not on this machine: its logs were not looked at");
        return Ok(());
    };
    for name in TABLES {
        let columns = columns(&folder.join(name).join("_delta_log"))?;
        for column in ["id", "extra", "note", "size"] {
            let times = columns.iter().filter(|own| *own == column).count();
            ensure!(times == 1, "{name} has {column} {times} times: {columns:?}");
        }
    }
    Ok(())
}

/// Where the lake's objects are files.
fn store_folder(scene: &Scene) -> Option<PathBuf> {
    let on_server = scene.lake.strip_prefix("s3://").map(|path| scene.folder.join("s3").join(path));
    let folder = on_server.unwrap_or_else(|| PathBuf::from(&scene.lake));
    folder.is_dir().then_some(folder)
}

/// The columns of a table, by the newest entry of its log that says them.
fn columns(log: &Path) -> anyhow::Result<Vec<String>> {
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(log)? {
        let path = entry?.path();
        entries.extend(path.extension().is_some_and(|end| end == "json").then_some(path));
    }
    entries.sort_unstable();
    for entry in entries.iter().rev() {
        for line in std::fs::read_to_string(entry)?.lines() {
            let action: serde_json::Value = serde_json::from_str(line)?;
            let Some(schema) = action["metaData"]["schemaString"].as_str() else { continue };
            let schema: serde_json::Value = serde_json::from_str(schema)?;
            let fields = schema["fields"].as_array().context("a schema without fields")?;
            let names = fields.iter().filter_map(|field| field["name"].as_str());
            return Ok(names.map(str::to_owned).collect());
        }
    }
    bail!("no entry in {} says columns", log.display())
}

/// Gives the agent messages of both tables, numbered from `first`.
pub(crate) async fn publish(scene: &Scene, first: u64) -> anyhow::Result<()> {
    let mut body = Vec::new();
    for n in first..first + MESSAGES {
        for table in TABLES {
            let payload = serde_json::json!({ "id": n, "note": "fragile", "size": "m", "n": [n] });
            let message =
                serde_json::json!({ "topic": format!("shop/vienna/{table}"), "payload": payload });
            body.extend(serde_json::to_vec(&message)?);
            body.push(b'\n');
        }
    }
    let answer =
        http::call(scene.http, Method::POST, "/v1/messages", Bytes::from(body), ASK_PATIENCE).await;
    let (status, text) = answer.context("the agent does not answer")?;
    ensure!(status == StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&text));
    Ok(())
}
