//! Everything that will be sent, merged in the order in which it is due: the ward, devices of families, replayed files, FHIR resources.

mod fhir_files;
mod fhir_keys;
mod replay;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::families::Families;
use crate::left_out::LeftOut;
use crate::message::{DeviceName, Planned, Run};
use crate::world::World;

pub use fhir_files::FhirFiles;
pub use replay::{Recording, Replay, Say, Tables};

/// Why a plan cannot be made or continued.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file to replay that is not a time series.
    #[error("{}: {problem}", path.display())]
    Csv {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Nothing to publish in a folder.
    #[error("there is no `*.json` or `*.ndjson` in {}", path.display())]
    NoFhir {
        /// Which folder.
        path: PathBuf,
    },
}

type Source = Box<dyn Iterator<Item = Result<Planned, PlanError>> + Send>;

/// A merged plan.
pub struct Plan {
    devices: Vec<DeviceName>,
    sources: Vec<(Option<Planned>, Source)>,
}

impl Plan {
    /// Opens everything that `config` asks for; `tables` reads files to replay that are no text.
    ///
    /// # Errors
    /// When a file to replay cannot be opened or is not a time series.
    pub fn open(
        config: &Config,
        run: Run,
        left_out: &Arc<LeftOut>,
        tables: Option<&Arc<dyn Tables>>,
    ) -> Result<Self, PlanError> {
        let mut plan = Self { devices: Vec::new(), sources: Vec::new() };
        if config.plays_ward() {
            let ward = World::ward(config, run, 0);
            plan.devices.extend_from_slice(ward.devices());
            plan.add(Box::new(ward.map(Ok)))?;
        }
        if config.families.play() {
            let families = Families::new(config, run, plan.next_number());
            plan.devices.extend_from_slice(families.devices());
            plan.add(Box::new(families.map(Ok)))?;
        }
        let (form, left_out) = (config.replay_form.clone(), left_out.clone());
        let say = Say { form, left_out, tables: tables.cloned() };
        for path in &config.replay {
            let replay = Replay::open(path, &config.site, run, plan.next_number(), &say)?;
            plan.devices.push(replay.device().clone());
            plan.add(Box::new(replay))?;
        }
        if let Some(folder) = &config.fhir {
            let files = FhirFiles::open(folder, &config.site, run, plan.next_number())?;
            plan.devices.push(files.device().clone());
            plan.add(Box::new(files))?;
        }
        Ok(plan)
    }

    /// Every sender, by number.
    #[must_use]
    pub fn devices(&self) -> &[DeviceName] {
        &self.devices
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.devices.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, mut source: Source) -> Result<(), PlanError> {
        let first = source.next().transpose()?;
        self.sources.push((first, source));
        Ok(())
    }
}

impl Iterator for Plan {
    type Item = Result<Planned, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let due = |head: &Option<Planned>| head.as_ref().map_or(i64::MAX, |planned| planned.due_us);
        let (head, source) = self.sources.iter_mut().min_by_key(|(head, _)| due(head))?;
        let planned = head.take()?;
        match source.next().transpose() {
            Ok(next) => *head = next,
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(planned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_merged_in_the_order_in_which_they_are_due() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("oven.csv");
        std::fs::write(&csv, "timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:00:03,2\n")
            .unwrap();
        let mut config = Config { replay: vec![csv], ..Config::default() };
        config.ward.enabled = Some(true);
        let mut plan = Plan::open(&config, Run::of_boot(1), &Arc::default(), None).unwrap();
        assert_eq!(plan.devices().len(), 62);
        let (mut due_us, mut replayed) = (0, 0);
        for planned in plan.by_ref().take(500) {
            let planned = planned.unwrap();
            assert!(planned.due_us >= due_us);
            due_us = planned.due_us;
            replayed += u32::from(planned.message.device == 61);
        }
        assert_eq!(replayed, 2);
    }

    #[test]
    fn families_come_after_the_ward_and_beside_it() {
        let mut config = Config::default();
        config.families.each = 2;
        let mut plan = Plan::open(&config, Run::of_boot(1), &Arc::default(), None).unwrap();
        assert_eq!(plan.devices().len(), 61 + 24);
        let numbers: Vec<u32> =
            plan.by_ref().take(2_000).map(|planned| planned.unwrap().message.device).collect();
        assert!(numbers.contains(&0) && numbers.contains(&61) && numbers.contains(&84));
    }

    #[test]
    fn a_missing_file_is_named() {
        let config = Config { replay: vec!["/nowhere/x.csv".into()], ..Config::default() };
        let error = Plan::open(&config, Run::of_boot(1), &Arc::default(), None).err().unwrap();
        assert_eq!(error.to_string(), "cannot read /nowhere/x.csv");
    }
}
