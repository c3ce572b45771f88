//! Every drill by name.

use std::future::Future;
use std::pin::Pin;

use crate::drills::{
    alerts, churn, clock, disk, families, kills, lakes, network, outage, rogues, store, upkeep,
    workers,
};
use crate::scene::Scene;

type Played<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// One drill.
#[derive(Clone, Copy)]
pub struct Drill {
    /// What the command line calls it.
    pub name: &'static str,
    /// What goes wrong.
    pub fault: &'static str,
    pub(crate) play: for<'a> fn(&'a mut Scene) -> Played<'a>,
}

impl std::fmt::Debug for Drill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drill").field("name", &self.name).finish_non_exhaustive()
    }
}

macro_rules! drill {
    ($name:literal, $fault:literal, $play:path) => {
        Drill { name: $name, fault: $fault, play: |scene| Box::pin($play(scene)) }
    };
}

/// All drills, in the order in which `all` plays them.
pub static DRILLS: [Drill; 33] = [
    drill!("kill-gateway", "kill -9 of the gateway", kills::gateway),
    drill!("kill-ingest", "kill -9 of ingest", kills::ingest),
    drill!("kill-agent", "kill -9 of the agent", kills::agent),
    drill!("kill-all", "kill -9 of gateway, ingest and agent at once", kills::all),
    drill!("rolling-restart", "every service restarted in turn", kills::rolling_restart),
    drill!("resend-storm", "devices lose connections and send again", kills::resend_storm),
    drill!("network-cut", "networks cut, silent, unanswering", network::cut),
    drill!("slow-network", "networks late and narrow", network::slow),
    drill!("corrupt-network", "bits flip between agent, gateway and ingest", network::corrupt),
    drill!("store-down", "object store away, busy, read-only, full", store::down),
    drill!("store-lies", "object store says failed and did it", store::lies),
    drill!("slow-landing", "a landing passes its deadline", store::slow_landing),
    drill!("disk-full", "spool disks full", disk::full),
    drill!("torn-spool", "half a record at the end of spools", disk::torn),
    drill!("bit-rot", "a bit flips in a spool", disk::rot),
    drill!("zombie-ingest", "a paused worker wakes beside its successor", workers::zombie),
    drill!("lane-handover", "lanes move between two workers", workers::lane_handover),
    drill!("idle-cleanup", "log cleaned past an idle worker", workers::idle_cleanup),
    drill!("kill-maintain", "kill -9 of a maintainer beside landings", upkeep::killed),
    drill!("two-maintainers", "two maintainers merge beside two workers", upkeep::two),
    drill!(
        "foreign-optimize",
        "another program rewrites, checkpoints and vacuums beside ours",
        upkeep::foreign
    ),
    drill!("churn", "workers and maintainers die at random beside a reader", churn::all),
    drill!("exactly-once", "kills while devices publish by QoS 2", rogues::exactly_once),
    drill!("forged-records", "payloads full of records, and kills", rogues::forged_records_flood),
    drill!("poison", "messages that nobody can take or read", rogues::poison),
    drill!(
        "alert-through-kill",
        "kills and a store away while alerts come and go",
        alerts::through_kill
    ),
    drill!(
        "open-payloads",
        "kills while devices of all families say what nobody knows, and tables grow",
        families::open_payloads
    ),
    drill!("clock-jump", "clocks jump by a day, both ways", clock::jump),
    drill!("wrong-lake", "an ingest with another lake answers", lakes::wrong),
    drill!("lake-replaced", "an empty lake in place of the old one", lakes::replaced),
    drill!("lake-restored", "a lake restored from a backup, first in part", lakes::restored),
    drill!("cloned-spool", "the agent's disk restored from an old copy", lakes::cloned_spool),
    drill!("long-outage", "two million messages behind an outage", outage::long),
];

/// The drills that `name` means: one, or `all`.
#[must_use]
pub fn named(name: &str) -> Option<Vec<&'static Drill>> {
    if name == "all" {
        return Some(DRILLS.iter().collect());
    }
    DRILLS.iter().find(|drill| drill.name == name).map(|drill| vec![drill])
}
