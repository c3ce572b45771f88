//! `tidemark wait SOURCE/EPOCH/OFFSET`: until a message is readable in the lake.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use lake::SourceKey;
use telemetry_core::id::{Epoch, Offset, SourceId};
use telemetry_core::receipt::Receipt;
use telemetry_core::topic::ControlTopics;

use crate::listen_mqtt::Listener;
use crate::options::{BrokerLogin, LakeOption, path};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The message's position, SOURCE/EPOCH/OFFSET, as a PUBACK's user properties or the agent's HTTP answer say it.
    pub(crate) position: Position,
    /// Where receipts are published, host:port [default: [gateway] listen].
    #[arg(long, alias = "broker")]
    pub(crate) gateway: Option<String>,
    /// The lake, which says whether the message is one of those that were lost: a folder, file:///… or s3://bucket/prefix [default: [lake] url].
    #[arg(long)]
    pub(crate) lake: Option<String>,
    /// TOML file whose [gateway] section names address and prefix, and whose [lake] section the lake.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) login: BrokerLogin,
    /// Prefix of the control topics [default: [gateway] control_prefix].
    #[arg(long)]
    pub(crate) control_prefix: Option<String>,
    /// Give up after so many seconds, with exit code 1.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
}

/// A message's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    source: SourceId,
    epoch: Epoch,
    offset: Offset,
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(source), Some(epoch), Some(offset), None) => Ok(Self {
                source: source.parse().map_err(|error| format!("{error}"))?,
                epoch: epoch.parse().map_err(|error| format!("{error}"))?,
                offset: offset.parse().map_err(|_| format!("offset {offset:?} is not a number"))?,
            }),
            _ => {
                Err("expected SOURCE/EPOCH/OFFSET, for example gateway/00c0ffee00c0ffee/41".into())
            }
        }
    }
}

/// True once the message is readable; false when the time is up first, or when the message landed as a gap.
pub(crate) async fn run(options: &Wait) -> anyhow::Result<bool> {
    let configured = config::load(options.config.as_deref())?.gateway;
    let gateway = options.gateway.clone().unwrap_or_else(|| configured.listen.to_string());
    let prefix = options.control_prefix.as_ref().unwrap_or(&configured.control_prefix);
    let topics = ControlTopics::new(prefix).context("--control-prefix")?;
    let Position { source, epoch, offset } = &options.position;
    let mut receipts = Listener::new(&gateway, &options.login, topics.receipt(source, *epoch))?;
    let landed = async {
        loop {
            let receipt = Receipt::from_json(&receipts.next().await?.payload)?;
            if receipt.landed > *offset {
                return anyhow::Ok(receipt);
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(options.timeout), landed).await {
        Ok(landed) => told(options, landed?).await,
        Err(_) => {
            print::line(&format!("not landed within {} s", options.timeout))?;
            Ok(false)
        }
    }
}

/// A receipt covers the message. What a disk lost on the way is covered, too: the lake's ledger lists it.
async fn told(options: &Wait, receipt: Receipt) -> anyhow::Result<bool> {
    let landed = receipt.landed;
    let Position { source, epoch, offset } = &options.position;
    let lake = LakeOption { lake: options.lake.clone(), config: options.config.clone() };
    let key = SourceKey { source_id: source.to_string(), epoch: epoch.get() };
    let gap = async {
        let lake = config::open_lake(&lake).await?;
        ensure!(
            lake.id() == receipt.lake_id,
            "{} is another lake than the one that answered",
            lake.url()
        );
        anyhow::Ok(lake.gap_at(&key, *offset).await?)
    };
    match gap.await {
        Ok(None) => {
            print::line(&format!(
                "landed: everything of {source}/{epoch} below {landed} is readable"
            ))?;
            Ok(true)
        }
        Ok(Some(reason)) => {
            print::line(&format!(
                "lost: {source}/{epoch}/{offset} is in one of the source's gaps ({reason}), its rows are not in the lake"
            ))?;
            Ok(false)
        }
        Err(error) => {
            print::line(&format!(
                "landed: {source}/{epoch} is accounted for below {landed}. Whether {offset} is in one of its gaps cannot be seen from here: name \
                 the lake by --lake ({error:#})"
            ))?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_source_epoch_and_offset() {
        let position: Position = "gateway/00c0ffee00c0ffee/41".parse().unwrap();
        assert_eq!((position.source.as_str(), position.offset), ("gateway", 41));
        for bad in [
            "gateway/41",
            "gateway/xyz/41",
            "gateway/00c0ffee00c0ffee/-1",
            "a b/00c0ffee00c0ffee/1",
        ] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
