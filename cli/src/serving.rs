//! The API of what a process runs, on the admin port of its gateway or ingest.

use std::sync::Arc;

use api::{Api, Ingest, Page, Parts};
use gateway::Insight;
use ingest::watching::{Watched, Watcher};
use lake::Lake;
use service_runtime::admin::Readiness;
use service_runtime::application::Application;
use service_runtime::{Clock, Metrics};

use crate::config::Everything;

/// What an API is made of, as it comes together.
pub(crate) struct Serving {
    parts: Parts,
    metrics: Metrics,
}

impl Serving {
    /// Of a process with these settings in force.
    pub(crate) fn new(everything: &Everything, metrics: &Metrics, readiness: Readiness) -> Self {
        let parts = Parts {
            config: everything.api.clone(),
            in_force: serde_json::to_value(everything).unwrap_or_default(),
            readiness,
            counts: metrics.counts(),
            clock: Clock::default(),
            gateway: None,
            ingest: None,
        };
        Self { parts, metrics: metrics.clone() }
    }

    /// It runs a gateway.
    pub(crate) fn with_gateway(mut self, gateway: Insight) -> Self {
        self.parts.gateway = Some(gateway);
        self
    }

    /// It runs an ingest, which is to be given the other end.
    pub(crate) fn with_ingest(mut self, config: &ingest::Config, lake: &Lake) -> (Self, Watched) {
        let (watcher, watched) = Watcher::new();
        self.parts.ingest =
            Some(Ingest { config: Arc::new(config.clone()), lake: lake.clone(), watcher });
        (self, watched)
    }

    /// The API, to be run as a task, and what the admin endpoint asks.
    pub(crate) fn open(self) -> (Api, Application) {
        let api = Api::new(self.parts);
        api.register(&self.metrics);
        let application = api::application(&api, api::pages(console_pages(), &console::HEADERS));
        (api, application)
    }
}

/// The console's files, each at the paths that it is asked for by.
fn console_pages() -> impl Iterator<Item = Page> {
    std::iter::once("").chain(console::paths()).filter_map(|path| {
        let path = format!("/{path}");
        let console::Asset { bytes, content_type, etag } = console::asset(&path)?;
        Some(Page { path, bytes, content_type, etag })
    })
}
