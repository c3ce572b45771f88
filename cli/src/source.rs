//! `tidemark source`: changes to a spool that is not in use.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::options::path;
use crate::print;

#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(subcommand)]
    pub(crate) command: SourceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Forgets the lake that a spool is bound to: the next receipt binds it to the lake that sent it.
    Rebind {
        /// The spool's folder.
        #[arg(value_parser = path)]
        spool: PathBuf,
    },
}

/// Does what was asked.
pub(crate) fn run(options: &Source) -> anyhow::Result<()> {
    let SourceCommand::Rebind { spool } = &options.command;
    let before = store_forward::rebind(spool)
        .with_context(|| format!("cannot rebind {}", spool.display()))?;
    let said = match before {
        Some(lake) => format!("no longer bound to lake {lake}: the next receipt binds it anew"),
        None => "was not bound to a lake".into(),
    };
    Ok(print::line(&said)?)
}
