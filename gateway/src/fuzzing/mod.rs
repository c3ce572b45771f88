//! Entry points for the fuzz targets in `gateway/fuzz`: each takes any bytes, and panics when a promise is broken.

mod codec;
mod exchange;
mod matching;

pub use codec::codec;
pub use exchange::exchange;
pub use matching::matching;

/// What is left of an input; it is all zeros behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Returns a number below a limit.
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }
}
