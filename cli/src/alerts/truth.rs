//! What was true: the scenarios that a simulator played, from its file.

use std::path::Path;

use anyhow::Context;
use simulator::truth::Truth;

/// Reads the file that `tidemark simulate --truth` wrote: a JSON object a line.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Truth>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let truths: Vec<Truth> = lines
        .map(|(number, line)| {
            let at = || format!("{}, line {number}", path.display());
            serde_json::from_str(line).with_context(at)
        })
        .collect::<anyhow::Result<_>>()?;
    // A comparison with nothing would find nothing wrong.
    anyhow::ensure!(
        !truths.is_empty(),
        "{} has no scenario: play longer, or more patients who deteriorate",
        path.display()
    );
    Ok(truths)
}
