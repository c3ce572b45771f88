//! The command line.

use clap::{Parser, Subcommand};

use crate::alerts::Alerts;
use crate::audit::Audit;
use crate::certs::Certs;
use crate::check::Check;
use crate::completions::{Completions, ManPages};
use crate::dead_letters::{DeadLetters, Reprocess};
use crate::demo::Demo;
use crate::drills::Drill;
use crate::erase::EraseOptions;
use crate::identity::Identity;
use crate::maintain::Maintain;
use crate::map::{Map, Profiles};
use crate::policy::Policy;
use crate::sealed::Sealed;
use crate::services::Service;
use crate::session::Session;
use crate::simulate::Simulate;
use crate::source::Source;
use crate::status::Status;
use crate::tables::{Files, Tables};
use crate::tap::Tap;
use crate::top::Top;
use crate::wait::Wait;

/// Telemetry from device to data lake, with a receipt.
///
/// Exit codes: 0 yes, 1 no (an audit or a check that failed, a wait that timed out), 2 the command could not do its work.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole path at work: a simulated ward, gateway, ingest, a lake in a folder, and the audit.
    Demo(Demo),
    /// Runs gateway and ingest in one process until Ctrl-C.
    Up(Service),
    /// Runs the gateway: an MQTT server that stores telemetry before it acknowledges it.
    Gateway(Service),
    /// Runs ingest: takes frames from a gateway and lands them in the lake.
    Ingest(Service),
    /// Runs the edge agent: stores messages where the network is bad and forwards them.
    Agent(Service),
    /// Plays devices and an EHR system, or publishes recorded data, and keeps a journal of it.
    Simulate(Box<Simulate>),
    /// Compares a journal with the lake: what was lost, doubled or altered? Exits with 1 if anything was.
    Audit(Audit),
    /// Breaks a Tidemark of its own on purpose and audits what is left: the proof to ask for before trusting it with data.
    Drill(Drill),
    /// Lists the tables of a lake: rows, files, bytes, newest data.
    Tables(Tables),
    /// Lists the files that a table consists of right now, for tools that do not read Delta.
    Files(Files),
    /// Looks after a lake once: views, small files, old rows, logs; ingest does it by itself.
    Maintain(Maintain),
    /// Takes all that is known of one patient out of a lake, and proves it. Exits with 1 if something is left.
    Erase(EraseOptions),
    /// Looks whether all is well here (configuration, certificates, spool, store, clock, ports), or with --lake whether a lake is one whole. Exits
    /// with 1 if something is wrong.
    Check(Check),
    /// Shows what a message becomes: for writing topic rules.
    Map(Map),
    /// Lists the ready-made rules for well-known families of devices.
    Profiles(Profiles),
    /// Lists messages that could not become rows, shows one, or tries them again.
    DeadLetters(DeadLetters),
    /// Decodes kept messages again by the rules of today; those that have no rows yet are landed, each once.
    Reprocess(Reprocess),
    /// Shows how far sources are: appended, synced, sent, landed, lag.
    Status(Status),
    /// Shows a running service, live in the terminal: what is wrong, sources, devices, topics, alerts, dead letters, limits.
    Top(Top),
    /// Prints what is published at a running gateway, as it comes, and on request what it becomes.
    Tap(Box<Tap>),
    /// Says whether an hour of a site is complete, or waits until it is. Exits with 1 if it is not.
    Sealed(Sealed),
    /// Waits until a message is readable in the lake.
    Wait(Wait),
    /// Says who may connect to the gateway: keeps the file of identities.
    Identity(Identity),
    /// Lists the sessions of MQTT clients at a running gateway, or ends one.
    Session(Session),
    /// Makes certificates for trying things out.
    Certs(Certs),
    /// Says what the gateway's rules allow.
    Policy(Policy),
    /// Changes a source's spool. The gateway or agent that uses it must be stopped.
    Source(Source),
    /// Checks alert rules, and plays the rows of a lake through them.
    Alerts(Alerts),
    /// Prints what a shell reads to complete this command line.
    Completions(Completions),
    /// Prints the manual page, or writes one for each command.
    Man(ManPages),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
