//! How many arenas the allocator of a service has: it is begun again in its own place to have few, and stays the same process.

use crate::harness::{Process, Site, tidemark, wait_for};

#[test]
fn a_service_has_two_arenas_unless_somebody_says_how_many() {
    for (name, given, expected) in [
        ("ANYTHING", "else", "MALLOC_ARENA_MAX=2"),
        ("MALLOC_ARENA_MAX", "7", "MALLOC_ARENA_MAX=7"),
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=3", "GLIBC_TUNABLES=glibc.malloc.arena_max=3"),
    ] {
        let site = Site::new("");
        let mut command = tidemark();
        command.env_remove("MALLOC_ARENA_MAX").env_remove("GLIBC_TUNABLES").env(name, given);
        command.arg("up").arg("--config").arg(site.config());
        let process = Process::start(command, &site.folder.path().join("up.log"));
        wait_for("the pair to be ready", || crate::harness::get(site.admin, "/readyz").is_some());
        let said: Vec<String> = process
            .environment()
            .into_iter()
            .filter(|one| one.starts_with("MALLOC_ARENA_MAX") || one.starts_with("GLIBC_TUNABLES"))
            .collect();
        assert_eq!(said, [expected], "the process that was started, and not another");
        let arguments = process.arguments();
        assert_eq!(arguments[1..3], ["up", "--config"], "with what it was given: {arguments:?}");
        process.stop();
    }
}
