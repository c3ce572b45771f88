//! `tidemark source`: changes to a spool that is not in use.

use anyhow::Context;

use crate::args::{Source, SourceCommand};
use crate::print;

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
