//! The connections of an HTTP endpoint: so many at once, and when all places are taken the one gives way that has stood still
//! longest. Whoever reads nothing, or says nothing, keeps nobody out.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use crate::Stop;

/// A client that takes nothing for this long is given up.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// All places. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    max: usize,
    taken: Arc<Mutex<Vec<Arc<Standing>>>>,
    freed: Arc<Notify>,
}

/// How a connection is doing.
#[derive(Debug)]
struct Standing {
    moved: Mutex<Instant>,
    /// Its request is being answered: that is not its fault.
    answering: AtomicBool,
    leave: Stop,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    standing: Arc<Standing>,
}

/// Says that a request is being answered, until dropped.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Standing>);

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, taken: Arc::default(), freed: Arc::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Arc<Standing>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place. If there is none, the connection that has stood still longest is told to leave; waits while all are being
    /// answered.
    pub(crate) async fn take(&self) -> Place {
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            freed.await;
        }
    }

    fn try_take(&self) -> Option<Place> {
        let mut taken = self.taken();
        if taken.len() < self.max {
            let (moved, answering) = (Mutex::new(Instant::now()), AtomicBool::new(false));
            let standing = Arc::new(Standing { moved, answering, leave: Stop::new() });
            taken.push(standing.clone());
            return Some(Place { places: self.clone(), standing });
        }
        let idle = taken.iter().filter(|standing| !standing.answering.load(Ordering::Acquire));
        // One at a time: while it leaves, nobody else has to.
        if !taken.iter().any(|standing| standing.leave.is_cancelled())
            && let Some(longest) = idle.min_by_key(|standing| *standing.moved())
        {
            longest.leave.cancel();
        }
        None
    }
}

impl Standing {
    fn moved(&self) -> MutexGuard<'_, Instant> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moves(&self) {
        *self.moved() = Instant::now();
    }
}

impl Place {
    /// Waits until the place is needed for another connection.
    pub(crate) fn leave(&self) -> Stop {
        self.standing.leave.clone()
    }

    /// Says that a request of this connection is being answered.
    pub(crate) fn answering(&self) -> Answering {
        self.standing.answering.store(true, Ordering::Release);
        Answering(self.standing.clone())
    }

    /// Wraps the connection's socket: what moves there counts, and what is not taken in time breaks it.
    pub(crate) fn watch<S>(&self, socket: S) -> Watched<S> {
        Watched { socket, standing: self.standing.clone(), waiting: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().retain(|standing| !Arc::ptr_eq(standing, &self.standing));
        self.places.freed.notify_one();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.moves();
        self.0.answering.store(false, Ordering::Release);
    }
}

/// A socket whose progress is seen.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    socket: S,
    standing: Arc<Standing>,
    /// Until when the peer must take something.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    fn moved(&mut self) {
        self.standing.moves();
        self.waiting = None;
    }

    /// Is pending as long as the peer has time.
    fn poll_waiting<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(WRITE_TIME_MAX)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        self.standing.moves();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.socket).poll_write(cx, bytes) {
            Poll::Pending => self.poll_waiting(cx),
            Poll::Ready(written) => {
                self.moved();
                Poll::Ready(written)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Pending => self.poll_waiting(cx),
            ready => ready,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.socket).poll_shutdown(cx) {
            Poll::Pending => self.poll_waiting(cx),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn inv8_a_client_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let place = Places::new(1).take().await;
        let (mut client, server) = duplex(8);
        let mut socket = place.watch(server);
        let slow = async {
            for _ in 0..4 {
                sleep(WRITE_TIME_MAX - Duration::from_secs(1)).await;
                client.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(socket.write_all(&[0; 40]), slow);
        written.unwrap();
        let error = socket.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn inv8_the_place_that_has_stood_still_longest_is_given_up() {
        let places = Places::new(3);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(places.take().await);
            sleep(Duration::from_secs(1)).await;
        }
        taken[0].standing.moves();
        let answering = taken[1].answering();
        let gone = async {
            taken[2].leave().cancelled().await;
            drop(taken.pop());
        };
        let (fourth, ()) = tokio::join!(places.take(), gone);
        // Who is being answered stays, whoever comes.
        assert!(places.try_take().is_none());
        assert!(taken[0].leave().is_cancelled() && !taken[1].leave().is_cancelled());
        drop((fourth, answering));
    }
}
