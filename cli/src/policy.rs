//! `tidemark policy test`: what the rules say, and which one decides.

use anyhow::Context;
use gateway::access::{Action, Identities, Identity, Names, Policy};

use crate::args_access::{self, ActionArgument, PolicyCommand, PolicyTest};
use crate::{config, print};

/// True when it is allowed.
pub(crate) fn run(options: &args_access::Policy) -> anyhow::Result<bool> {
    let PolicyCommand::Test(options) = &options.command;
    let gateway = config::load(options.config.as_deref())?.gateway;
    let names = Names::new(&gateway.check()?, gateway.source_id.as_str());
    let policy = Policy::load(gateway.access.policy_file.as_deref(), &names)?;
    let identity = identity(options, gateway.access.identities_file.as_deref())?;
    let client_id = options.client_id.as_deref().unwrap_or(&options.identity);
    let action = match options.action {
        ActionArgument::Publish => Action::Publish,
        ActionArgument::Subscribe => Action::Subscribe,
    };
    let decision = policy.explain(&identity, client_id, action, &options.topic);
    let answer = if decision.allowed { "yes" } else { "no" };
    match &decision.rule {
        Some((place, topic)) => print::line(&format!("{answer}: {place}, topic {topic}"))?,
        None => print::line(&format!("{answer}: no rule allows it"))?,
    }
    Ok(decision.allowed)
}

fn identity(
    options: &PolicyTest,
    identities_file: Option<&std::path::Path>,
) -> anyhow::Result<Identity> {
    let PolicyTest { identity: name, roles, site, .. } = options;
    if !roles.is_empty() {
        return Ok(Identity::supposed(name, roles, site.as_deref()));
    }
    let file = identities_file.context(
        "which roles? say --role, or --config with identities_file set in [gateway.access]",
    )?;
    let identities = Identities::load(file)?;
    let entry = identities.get(name);
    let entry = entry.with_context(|| format!("there is no identity `{name}`: say --role"))?;
    anyhow::ensure!(!entry.revoked, "identity `{name}` is revoked: it may not even connect");
    Ok(Identity::supposed(name, &entry.roles, site.as_deref().or(entry.site.as_deref())))
}
