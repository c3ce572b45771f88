//! Where messages go to be decoded and printed: a bounded queue and a thread, so that a slow reader holds up neither us nor the
//! gateway. What has no place in it is left out, and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use super::shown::Came;

/// Messages that wait to be printed, at most, …
const WAITING_MAX: usize = 10_000;
/// … and the bytes of their payloads: beyond them there is no place, unless nothing waits.
const BYTES_MAX: usize = 32 << 20;

/// See the module.
pub(crate) struct Outlet {
    queue: Sender<Came>,
    waiting: Arc<AtomicUsize>,
    left_out: u64,
}

impl Outlet {
    /// Starts the thread, which ends with an error when nobody reads any more.
    pub(crate) fn open(
        out: impl Write + Send + 'static,
        show: impl FnMut(&Came) -> String + Send + 'static,
    ) -> (Self, JoinHandle<io::Result<()>>) {
        let (queue, rest) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = waiting.clone();
        let thread = tokio::task::spawn_blocking(move || print(out, rest, &counted, show));
        (Self { queue, waiting, left_out: 0 }, thread)
    }

    /// Takes a message; false if there is no place for it.
    pub(crate) fn take(&mut self, came: Came) -> bool {
        let bytes = came.payload.len();
        let waiting = self.waiting.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(bytes) <= BYTES_MAX;
        // Counted first: the thread must not take away what is not there.
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if fits && self.queue.try_send(came).is_ok() {
            return true;
        }
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.left_out += 1;
        false
    }

    /// Messages that had no place.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

fn print(
    mut out: impl Write,
    mut queue: Receiver<Came>,
    waiting: &AtomicUsize,
    mut show: impl FnMut(&Came) -> String,
) -> io::Result<()> {
    while let Some(came) = queue.blocking_recv() {
        let shown = show(&came);
        waiting.fetch_sub(came.payload.len(), Ordering::Relaxed);
        out.write_all(shown.as_bytes())?;
        if queue.is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    fn came(bytes: usize) -> Came {
        let payload = vec![b'x'; bytes].into();
        Came { at_us: 0, topic: "t".into(), qos: 0, retain: false, payload }
    }

    /// A reader who takes something only when it is asked to.
    struct Slow(SyncSender<usize>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn inv8_what_has_no_place_is_left_out_and_counted() {
        let (slow, reader) = sync_channel(0);
        let show = |came: &Came| "x".repeat(came.payload.len());
        let (mut outlet, thread) = Outlet::open(Slow(slow), show);
        // One is being written, one more waits whatever its size; then bytes are the limit, then messages.
        let large = (0..100).filter(|_| outlet.take(came(10 << 20))).count();
        assert!((3..=5).contains(&large), "{large}");
        let small = (0..20_000).filter(|_| outlet.take(came(1))).count();
        assert!((9_000..=WAITING_MAX).contains(&small), "{small}");
        assert_eq!(outlet.left_out(), 20_100 - (large + small) as u64);
        drop(outlet);
        let read = tokio::task::spawn_blocking(move || reader.iter().count());
        assert_eq!(read.await.unwrap(), large + small);
        thread.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_reader_who_left_ends_it() {
        let (slow, reader) = sync_channel(0);
        let (mut outlet, thread) = Outlet::open(Slow(slow), |_| "x".into());
        drop(reader);
        assert!(outlet.take(came(1)));
        assert_eq!(thread.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
