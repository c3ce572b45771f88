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
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use service_runtime::arenas;
use service_runtime::config::ConfigFile;
use service_runtime::runtime::{self, Workers};

/// Exit code when a command worked and its answer is no: an audit that failed, a wait that timed out.
const NO: u8 = 1;
/// Exit code when a command could not do its work.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arenas::limit();
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
    work(command).await
}

/// What a command does, each by itself: together they would be one function with the states of all.
fn work(command: Command) -> LocalBoxFuture<'static, anyhow::Result<bool>> {
    match command {
        Command::Demo(options) => demo::run(options).boxed_local(),
        Command::Up(options) => done(async move { services::up(&options).await }),
        Command::Gateway(options) => done(async move { services::gateway(&options).await }),
        Command::Ingest(options) => done(async move { services::ingest(&options).await }),
        Command::Agent(options) => done(async move { services::agent(&options).await }),
        Command::Simulate(options) => simulate::run(*options).boxed_local(),
        Command::Audit(options) => async move { audit::run(&options).await }.boxed_local(),
        Command::Erase(options) => async move { erase::run(&options).await }.boxed_local(),
        Command::Check(options) => async move { check::run(&options).await }.boxed_local(),
        Command::Drill(options) => async move { drills::run(&options).await }.boxed_local(),
        Command::Tables(options) => done(async move { tables::tables(&options).await }),
        Command::Files(options) => done(async move { tables::files(&options).await }),
        Command::Maintain(options) => done(async move { maintain::run(&options).await }),
        Command::Map(options) => async move { map::run(&options).await }.boxed_local(),
        Command::Profiles(options) => done(async move { map::list(&options) }),
        Command::DeadLetters(options) => done(async move { dead_letters::run(&options).await }),
        Command::Reprocess(options) => done(async move { dead_letters::reprocess(&options).await }),
        Command::Status(options) => done(async move { status::run(&options).await }),
        Command::Top(options) => async move { top::run(&options).await }.boxed_local(),
        Command::Tap(options) => tap::run(*options).boxed_local(),
        Command::Sealed(options) => async move { sealed::run(&options).await }.boxed_local(),
        Command::Wait(options) => async move { wait::run(&options).await }.boxed_local(),
        Command::Identity(options) => async move { identity::run(&options).await }.boxed_local(),
        Command::Session(options) => async move { session::run(&options).await }.boxed_local(),
        Command::Certs(options) => done(async move { certs::run(&options) }),
        Command::Policy(options) => async move { policy::run(&options) }.boxed_local(),
        Command::Source(options) => done(async move { source::run(&options) }),
        Command::Alerts(options) => async move { alerts::run(&options).await }.boxed_local(),
        Command::Completions(options) => {
            done(async move { completions::complete(&options, Arguments::command()) })
        }
        Command::Man(options) => {
            done(async move { completions::man(&options, Arguments::command()) })
        }
    }
}

/// A command without an answer: that it worked is one.
fn done<E: Into<anyhow::Error>>(
    work: impl Future<Output = Result<(), E>> + 'static,
) -> LocalBoxFuture<'static, anyhow::Result<bool>> {
    work.map(|result| result.map(|()| true).map_err(Into::into)).boxed_local()
}
