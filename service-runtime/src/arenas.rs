//! Two arenas for the C library's allocator: what a thread has freed stays in its arena, and there would be one for nearly each thread.

use std::path::Path;

/// What glibc reads when a program starts (mallopt(3)); afterwards only `unsafe` code could say it (docs/decisions/0020).
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");
/// The other place where somebody may have said it.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Begins this program again in its own place, as the same process with the same arguments, with two arenas; unless whoever started
/// it said how many. To be called before there is anything that could be lost. Does nothing where there is no glibc.
pub fn limit() {
    if cfg!(not(all(target_os = "linux", target_env = "gnu"))) {
        return;
    }
    let tunables = std::env::var_os(TUNABLES).unwrap_or_default();
    let is_said =
        std::env::var_os(ARENAS.0).is_some() || tunables.to_string_lossy().contains("arena_max");
    if !is_said {
        again();
    }
}

#[cfg(unix)]
fn again() {
    use std::os::unix::process::CommandExt;

    let mut given = std::env::args_os();
    let (Some(name), Ok(program)) = (given.next(), std::env::current_exe()) else { return };
    if is_loader(&program) {
        return;
    }
    let mut command = std::process::Command::new(program);
    // It comes back only with an error; then the program goes on, and takes more memory.
    let _error = command.arg0(name).args(given).env(ARENAS.0, ARENAS.1).exec();
}

#[cfg(not(unix))]
fn again() {}

/// Whether the running file is the dynamic loader, which was told to run ours: begun again without that it would take an argument for
/// a program.
fn is_loader(program: &Path) -> bool {
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("ld-") || name.starts_with("ld.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_is_not_begun_again_in_place_of_what_it_runs() {
        for loader in
            ["/lib64/ld-linux-x86-64.so.2", "/usr/lib/ld-linux-aarch64.so.1", "/lib/ld.so"]
        {
            assert!(is_loader(Path::new(loader)), "{loader}");
        }
        for program in ["/usr/bin/tidemark", "/opt/ld-tools/gateway", "/tmp/ldap-bridge"] {
            assert!(!is_loader(Path::new(program)), "{program}");
        }
    }
}
