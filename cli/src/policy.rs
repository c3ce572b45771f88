//! `tidemark policy test`: what the rules say, and which one decides.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use gateway::access::config::AccessConfig;
use gateway::access::{self, Action, Identities, Identity, Names};

use crate::options::path;
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Tells whether an identity may publish to a topic or subscribe to a filter, and which rule decides. Exits with 1 if it
    /// may not.
    Test(PolicyTest),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// What it wants to do.
    #[arg(value_enum)]
    pub(crate) action: ActionArgument,
    /// The topic, or the topic filter.
    pub(crate) topic: String,
    /// Its name; `anonymous` for a client that proves nothing.
    #[arg(long)]
    pub(crate) identity: String,
    /// Its roles, instead of those in the file of identities. May be given several times.
    #[arg(long = "role")]
    pub(crate) roles: Vec<String>,
    /// Its site, instead of the one in the file.
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// Its client id [default: its name].
    #[arg(long)]
    pub(crate) client_id: Option<String>,
    /// TOML file with the configuration.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActionArgument {
    /// Send messages to a topic.
    Publish,
    /// Receive the messages of a filter.
    Subscribe,
}

/// True when it is allowed.
pub(crate) fn run(options: &Policy) -> anyhow::Result<bool> {
    let PolicyCommand::Test(options) = &options.command;
    let gateway = config::load(options.config.as_deref())?.gateway;
    let names = Names::new(&gateway.check()?, gateway.source_id.as_str());
    let policy = access::Policy::load(gateway.access.policy_file.as_deref(), &names)?;
    let identity = identity(options, &gateway.access)?;
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

/// Clients without a proof: they have no entry in any file.
const ANONYMOUS: &str = "anonymous";

fn identity(options: &PolicyTest, access: &AccessConfig) -> anyhow::Result<Identity> {
    let PolicyTest { identity: name, roles, site, .. } = options;
    if !roles.is_empty() {
        return Ok(Identity::supposed(name, roles, site.as_deref()));
    }
    if name == ANONYMOUS {
        anyhow::ensure!(
            access.takes_anonymous(),
            "anonymous clients may not even connect: anonymous_on_loopback is off"
        );
        return Ok(Identity::supposed(name, &[ANONYMOUS.to_owned()], site.as_deref()));
    }
    let file = access.identities_file.as_deref().context(
        "which roles? say --role, or --config with identities_file set in [gateway.access]",
    )?;
    let identities = Identities::load(file)?;
    let entry = identities.get(name);
    let entry = entry.with_context(|| format!("there is no identity `{name}`: say --role"))?;
    anyhow::ensure!(!entry.revoked, "identity `{name}` is revoked: it may not even connect");
    Ok(Identity::supposed(name, &entry.roles, site.as_deref().or(entry.site.as_deref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, roles: &[&str]) -> PolicyTest {
        PolicyTest {
            action: ActionArgument::Publish,
            topic: "dt/a/b".into(),
            identity: name.into(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            site: None,
            client_id: None,
            config: None,
        }
    }

    #[test]
    fn anonymous_clients_are_known_without_a_file_of_identities() {
        let mut access = AccessConfig::default();
        let found = identity(&options("anonymous", &[]), &access).unwrap();
        assert_eq!(found.roles(), ["anonymous"]);
        assert!(identity(&options("mon-1", &[]), &access).is_err(), "which roles?");
        assert_eq!(identity(&options("mon-1", &["device"]), &access).unwrap().roles(), ["device"]);
        access.anonymous_on_loopback = Some(false);
        assert!(identity(&options("anonymous", &[]), &access).is_err());
    }
}
