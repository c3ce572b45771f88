//! The one place where a process gets its async runtime from, so that every process has the same limits.

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::arenas;

/// Threads for blocking work, at most; what comes beyond them waits its turn. Tokio's own limit is 512, and a burst of small
/// reads and writes would start that many, each with memory of its own that does not come back. A handful are taken for good:
/// the spool's writer, ingest's pipeline, a store of sessions, standard input.
const BLOCKING_THREADS_MAX: usize = 16;
/// How long one of them stays with nothing to do.
const IDLE: Duration = Duration::from_secs(5);
/// What is still blocking at the end of a process gets this long: a read from standard input cannot be interrupted.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Threads that run async tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU.
    PerCpu,
    /// So many.
    Just(usize),
}

/// Runs the main task of a process to its end.
///
/// # Errors
/// When the operating system gives no threads.
pub fn block_on<T>(workers: Workers, main: impl Future<Output = T>) -> io::Result<T> {
    let mut builder = Builder::new_multi_thread();
    if let Workers::Just(count) = workers {
        builder.worker_threads(count);
    }
    builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).thread_keep_alive(IDLE);
    let runtime = builder.build()?;
    let result = runtime.block_on(main);
    runtime.shutdown_timeout(LAST_WAIT);
    Ok(result)
}

/// Runs a service that is a process of its own, with few arenas ([`arenas`]). What it fails with is printed once, with its causes: the
/// log may not have begun yet.
pub fn service(
    name: &str,
    workers: Workers,
    main: impl Future<Output = anyhow::Result<()>>,
) -> ExitCode {
    arenas::limit();
    match block_on(workers, main).map_err(Into::into).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed: there is nobody left to tell.
            drop(writeln!(io::stderr().lock(), "{name}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn inv8_blocking_work_has_so_many_threads_and_the_rest_waits_its_turn() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        // All threads that there may be meet here, so the pool is known to be full once.
        let full = Arc::new(Barrier::new(BLOCKING_THREADS_MAX));
        let done = block_on(Workers::Just(1), async {
            let mut set = tokio::task::JoinSet::new();
            for number in 0..BLOCKING_THREADS_MAX * 8 {
                let (running, most, full) = (running.clone(), most.clone(), full.clone());
                set.spawn_blocking(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    if number < BLOCKING_THREADS_MAX {
                        full.wait();
                    }
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
            set.join_all().await.len()
        });
        assert_eq!(done.unwrap(), BLOCKING_THREADS_MAX * 8, "nothing is refused");
        assert_eq!(most.load(Ordering::SeqCst), BLOCKING_THREADS_MAX);
    }
}
