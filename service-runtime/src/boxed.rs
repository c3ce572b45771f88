//! Work that is compiled where it is written.

use std::future::Future;
use std::pin::Pin;

/// What a long piece of work returns that many programs await. An `async fn` is compiled in each program that awaits it, with all that it
/// awaits in turn; this once, where it is written, for an allocation at its start.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
