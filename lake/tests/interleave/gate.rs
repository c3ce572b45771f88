//! A store that each actor sees through a gate of its own: no operation passes before the scheduler lets it.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What happens to the operation at which a turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing special: the actor is suspended before its next operation.
    None,
    /// The next operation fails without an effect; the actor lives on.
    Refused,
    /// The next operation has its effect, its answer is lost; the actor lives on.
    AnswerLost,
    /// The process dies before its next operation.
    Crash,
}

#[derive(Debug)]
struct State {
    /// Operations that may still pass; where only writes count, reads do always.
    allowed: usize,
    writes_only: bool,
    fault: Fault,
    /// Operations that stand before the gate, and that have passed it and are not done.
    waiting: usize,
    running: usize,
    passed: usize,
    turns: usize,
    finished: bool,
    dead: bool,
}

/// The gate of one actor. It stands open until it is closed for the first time.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    opened: Notify,
    settled: Notify,
}

/// How an operation goes through.
enum Way {
    Free,
    Refused,
    AnswerLost,
}

impl Gate {
    pub(crate) fn open() -> Arc<Self> {
        let state = State {
            allowed: usize::MAX,
            writes_only: false,
            fault: Fault::None,
            waiting: 0,
            running: 0,
            passed: 0,
            turns: 0,
            finished: false,
            dead: false,
        };
        Arc::new(Self { state: Mutex::new(state), opened: Notify::new(), settled: Notify::new() })
    }

    /// From here on the scheduler decides.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap();
        (state.allowed, state.passed) = (0, 0);
    }

    /// Lets `operations` through, then does what `fault` says; returns when the actor stands before the gate again or has
    /// finished. True: it has finished.
    pub(crate) async fn turn(&self, operations: usize, fault: Fault) -> bool {
        {
            let mut state = self.state.lock().unwrap();
            (state.allowed, state.fault) = (operations, fault);
            state.turns += 1;
        }
        self.opened.notify_waiters();
        loop {
            let settled = self.settled.notified();
            {
                let mut state = self.state.lock().unwrap();
                if state.finished {
                    return true;
                }
                let at_gate = state.allowed == 0 && state.waiting > 0 && state.running == 0;
                if at_gate && state.fault == Fault::Crash {
                    (state.dead, state.fault) = (true, Fault::None);
                    drop(state);
                    self.opened.notify_waiters();
                } else if at_gate && state.fault == Fault::None {
                    return false;
                }
            }
            settled.await;
        }
    }

    /// The actor's program has ended.
    pub(crate) fn finish(&self) {
        self.state.lock().unwrap().finished = true;
        self.settled.notify_waiters();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    /// Operations that have passed so far.
    pub(crate) fn passed(&self) -> usize {
        self.state.lock().unwrap().passed
    }

    /// Turns end before writes only from here on.
    pub(crate) fn count_writes(&self) {
        self.state.lock().unwrap().writes_only = true;
    }

    async fn enter(&self, write: bool, counts: bool) -> Result<Way> {
        self.state.lock().unwrap().waiting += 1;
        loop {
            let opened = self.opened.notified();
            {
                let mut state = self.state.lock().unwrap();
                let mut uncounted = false;
                let way = if state.dead {
                    state.waiting -= 1;
                    return Err(failed("the process was killed"));
                } else if ((state.writes_only && !write) || !counts) && state.turns > 0 {
                    uncounted = true;
                    Some(Way::Free)
                } else if state.allowed > 0 {
                    state.allowed -= 1;
                    Some(Way::Free)
                } else if matches!(state.fault, Fault::Refused | Fault::AnswerLost) {
                    let fault = std::mem::replace(&mut state.fault, Fault::None);
                    Some(if fault == Fault::Refused { Way::Refused } else { Way::AnswerLost })
                } else {
                    None
                };
                if let Some(way) = way {
                    state.waiting -= 1;
                    state.running += 1;
                    state.passed += usize::from(!uncounted);
                    return Ok(way);
                }
            }
            self.settled.notify_waiters();
            opened.await;
        }
    }

    /// Does one operation when it is let through.
    async fn pass<T>(
        &self,
        (write, counts): (bool, bool),
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = match self.enter(write, counts).await? {
            Way::Free => operation.await,
            Way::Refused => Err(failed("refused")),
            Way::AnswerLost => {
                drop(operation.await);
                Err(failed("the answer was lost"))
            }
        };
        self.state.lock().unwrap().running -= 1;
        self.settled.notify_waiters();
        result
    }
}

fn failed(why: &'static str) -> Error {
    Error::Generic { store: "gated", source: why.into() }
}

/// The store as one actor sees it.
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) gate: Arc<Gate>,
    /// Only operations on paths with one of these in them are counted; none: all.
    pub(crate) within: &'static [&'static str],
}

impl Gated {
    /// Whether an operation is a write, and whether it counts.
    fn of(&self, write: bool, path: Option<&Path>) -> (bool, bool) {
        let path = path.map_or("", AsRef::as_ref);
        (write, self.within.is_empty() || self.within.iter().any(|part| path.contains(part)))
    }
}

impl fmt::Display for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gated")
    }
}

#[async_trait]
impl ObjectStore for Gated {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.gate.pass(self.of(true, Some(path)), self.inner.put_opts(path, payload, options)).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.gate
            .pass(self.of(true, Some(path)), self.inner.put_multipart_opts(path, options))
            .await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.gate.pass(self.of(false, Some(path)), self.inner.get_opts(path, options)).await
    }
    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.gate.pass(self.of(false, Some(path)), self.inner.get_ranges(path, ranges)).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, gate, within) = (self.inner.clone(), self.gate.clone(), self.within);
        let delete = move |path: Result<Path>| {
            let seen = Self { inner: inner.clone(), gate: gate.clone(), within };
            async move {
                let Self { inner, gate, .. } = &seen;
                let of = seen.of(true, path.as_ref().ok());
                let one = futures::stream::iter([path]).boxed();
                let deleted = async { inner.delete_stream(one).try_collect::<Vec<_>>().await };
                let mut deleted = gate.pass(of, deleted).await?;
                deleted.pop().ok_or_else(|| failed("nothing was deleted"))
            }
        };
        paths.then(delete).boxed()
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, gate, prefix) = (self.inner.clone(), self.gate.clone(), prefix.cloned());
        let of = self.of(false, prefix.as_ref());
        let listed = async move {
            let all = async { inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await };
            Ok::<_, Error>(futures::stream::iter(gate.pass(of, all).await?.into_iter().map(Ok)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }
    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, gate) = (self.inner.clone(), self.gate.clone());
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        let of = self.of(false, prefix.as_ref());
        let listed = async move {
            let all = async {
                inner.list_with_offset(prefix.as_ref(), &offset).try_collect::<Vec<_>>().await
            };
            Ok::<_, Error>(futures::stream::iter(gate.pass(of, all).await?.into_iter().map(Ok)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.gate.pass(self.of(false, prefix), self.inner.list_with_delimiter(prefix)).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.gate.pass(self.of(true, Some(to)), self.inner.copy_opts(from, to, options)).await
    }
}
