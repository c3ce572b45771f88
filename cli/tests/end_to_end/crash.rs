//! `kill -9` in the middle: what was acknowledged lands exactly once all the same.

use crate::harness::{Process, Site, wait_for};

#[test]
fn inv1_inv5_everything_killed_under_load_and_restarted_loses_and_doubles_nothing() {
    let site = Site::new("");
    let mut up = site.up();
    let simulator = Process::start(
        site.simulate(&[
            "--seconds",
            "12",
            "--rate",
            "400",
            "--connections",
            "8",
            "--duplicates",
            "0.01",
        ]),
        &site.folder.path().join("simulate.log"),
    );
    for landed in [200, 1500] {
        wait_for("some messages to land", || site.status()["landed"].as_u64().unwrap() >= landed);
        up.kill();
        up = site.up();
    }
    simulator.finish();
    site.wait_landed();
    let log = up.stop();
    assert!(log.contains("drained: everything accepted is readable in the lake"), "{log}");
    let report = site.audit();
    assert!(report["acknowledged"].as_u64().unwrap() > 2000, "{report:#}");
    assert_eq!(
        (&report["lost"], &report["doubled"], &report["altered"]),
        (&0.into(), &0.into(), &0.into())
    );
}

#[test]
fn inv7_ingest_alone_can_be_killed_again_and_again() {
    let site = Site::new("");
    let gateway = site.start("gateway", site.admin);
    let simulator = Process::start(
        site.simulate(&["--seconds", "8", "--rate", "300", "--connections", "4"]),
        &site.folder.path().join("simulate.log"),
    );
    for landed in [100, 600, 1200] {
        let mut command = crate::harness::tidemark();
        command.arg("ingest").arg("--config").arg(site.config());
        let ingest = Process::start(command, &site.folder.path().join("ingest.log"));
        wait_for("some messages to land", || site.status()["landed"].as_u64().unwrap() >= landed);
        ingest.kill();
    }
    simulator.finish();
    let mut command = crate::harness::tidemark();
    command.arg("ingest").arg("--config").arg(site.config());
    let ingest = Process::start(command, &site.folder.path().join("ingest.log"));
    site.wait_landed();
    gateway.stop();
    ingest.stop();
    site.audit();
}
