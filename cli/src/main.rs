//! `tidemark`: everything of Tidemark in one program.

mod admin;
mod alerts;
mod args;
mod audit;
mod audit_rows;
mod certs;
mod check;
mod completions;
mod config;
mod dead_letters;
mod demo;
mod drills;
mod erase;
mod harmless;
mod identity;
mod listen_mqtt;
mod maintain;
mod map;
mod options;
mod policy;
mod print;
mod recordings;
mod sealed;
mod services;
mod serving;
mod session;
mod simulate;
mod source;
mod status;
mod tables;
mod tap;
mod top;
mod wait;

use std::process::ExitCode;

use args::{Arguments, Command};
use clap::{CommandFactory, Parser};
use service_runtime::config::ConfigFile;
use service_runtime::runtime::{self, Workers};

/// Exit code when a command worked and its answer is no: an audit that failed, a wait that timed out.
const NO: u8 = 1;
/// Exit code when a command could not do its work.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = runtime::block_on(Workers::PerCpu, run(arguments.command));
    match result.map_err(Into::into).flatten() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        // Whoever read our output has seen enough.
        Err(error) if print::reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider is installed already");
    }
    // Also for commands that read no file: the environment may set the clock.
    ConfigFile::load(None)?;
    match command {
        Command::Demo(options) => return demo::run(options).await,
        Command::Up(options) => services::up(&options).await?,
        Command::Gateway(options) => services::gateway(&options).await?,
        Command::Ingest(options) => services::ingest(&options).await?,
        Command::Agent(options) => services::agent(&options).await?,
        Command::Simulate(options) => return simulate::run(*options).await,
        Command::Audit(options) => return audit::run(&options).await,
        Command::Erase(options) => return erase::run(&options).await,
        Command::Check(options) => return check::run(&options).await,
        Command::Drill(options) => return drills::run(&options).await,
        Command::Tables(options) => tables::tables(&options).await?,
        Command::Files(options) => tables::files(&options).await?,
        Command::Maintain(options) => maintain::run(&options).await?,
        Command::Map(options) => return map::run(&options).await,
        Command::Profiles(options) => map::list(&options)?,
        Command::DeadLetters(options) => dead_letters::run(&options).await?,
        Command::Reprocess(options) => dead_letters::reprocess(&options).await?,
        Command::Status(options) => status::run(&options).await?,
        Command::Top(options) => return top::run(&options).await,
        Command::Tap(options) => return tap::run(*options).await,
        Command::Sealed(options) => return sealed::run(&options).await,
        Command::Wait(options) => return wait::run(&options).await,
        Command::Identity(options) => return identity::run(&options).await,
        Command::Session(options) => return session::run(&options).await,
        Command::Certs(options) => certs::run(&options)?,
        Command::Policy(options) => return policy::run(&options),
        Command::Source(options) => source::run(&options)?,
        Command::Alerts(options) => return alerts::run(&options).await,
        Command::Completions(options) => completions::complete(&options, Arguments::command())?,
        Command::Man(options) => completions::man(&options, Arguments::command())?,
    }
    Ok(true)
}
