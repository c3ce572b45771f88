//! `tidemark check`: whether all is well, of this machine's part or of a lake.

mod addresses;
mod finding;
mod lake;
mod limits;
mod mqtt;
mod proofs;
mod spools;
mod store;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use service_runtime::Clock;

use crate::config::{self, Everything};
use crate::options::{Format, LakeOption};
use finding::Finding;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// With --lake: whether that lake is one whole, by its ledger, tables and every row. Without: configuration, certificates, spool, store,
    /// clock, ports and limits of this machine, each with its remedy.
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Look at logs, plans and files only, not at every row.
    #[arg(long, requires = "lake")]
    pub(crate) quick: bool,
    /// What is to run here.
    #[arg(long, value_enum, default_value_t = Service::Up, conflicts_with = "lake")]
    pub(crate) service: Service,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What is to run on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// Gateway and ingest in one process.
    Up,
    /// The gateway.
    Gateway,
    /// Ingest.
    Ingest,
    /// The edge agent.
    Agent,
}

impl Service {
    fn runs_gateway(self) -> bool {
        matches!(self, Self::Up | Self::Gateway)
    }

    fn runs_ingest(self) -> bool {
        matches!(self, Self::Up | Self::Ingest)
    }
}

/// True when nothing is wrong.
pub(crate) async fn run(options: &Check) -> anyhow::Result<bool> {
    if options.lake.lake.is_some() {
        return lake::run(&options.lake, options.quick, options.format).await;
    }
    let findings = look(options.lake.config.as_ref(), options.service).await;
    finding::print(&findings, options.format)?;
    Ok(!findings.iter().any(Finding::is_bad))
}

/// Looks at everything; a configuration that cannot be read is all there is to say.
async fn look(path: Option<&PathBuf>, service: Service) -> Vec<Finding> {
    let everything = match config::load(path.map(PathBuf::as_path)) {
        Ok(everything) => everything,
        Err(error) => {
            let remedy = "config.example.toml explains every setting";
            return vec![Finding::bad("configuration", format!("{error:#}"), remedy)];
        }
    };
    let said = match path {
        Some(path) => format!("{} is read", path.display()),
        None => "the defaults; --config FILE names a file".to_owned(),
    };
    let mut findings = vec![Finding::ok("configuration", said)];
    of_service(&everything, service, &mut findings).await;
    findings
}

async fn of_service(everything: &Everything, service: Service, findings: &mut Vec<Finding>) {
    let clock = Clock::default();
    let lake = match service.runs_ingest() {
        true => store::look(&everything.lake, clock, findings).await,
        false => None,
    };
    if service.runs_ingest() {
        proofs::rules(&everything.alerts, findings);
    }
    if service.runs_gateway() {
        let gateway = &everything.gateway;
        proofs::gateway(gateway, clock, findings);
        spools::look(&gateway.source_id, &gateway.spool, lake.as_deref(), findings);
    }
    if service == Service::Agent {
        let agent = &everything.agent;
        spools::look(&agent.source_id, &agent.spool, None, findings);
        proofs::broker("gateway", &agent.gateway, clock, findings).await;
        if let Some(input) = &agent.inputs.mqtt {
            proofs::broker("mqtt input", &input.broker, clock, findings).await;
        }
    }
    if service == Service::Ingest {
        match everything.ingest.link() {
            Ok(broker) => proofs::broker("gateway", &broker, clock, findings).await,
            Err(error) => {
                findings.push(Finding::bad("gateway", error.to_string(), "mend [ingest]"));
            }
        }
    }
    addresses::look(everything, service, findings).await;
    if service.runs_gateway() {
        limits::look(&everything.gateway, findings);
    }
}
