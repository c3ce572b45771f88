//! The console: the page that shows a running pipeline, embedded, and the headers that it is served with.
//!
//! The page has no build step and asks nobody but the API beside it. Whoever serves it answers `GET /` and below with [`asset`],
//! sets [`HEADERS`] on each answer, and answers 304 where `If-None-Match` has the asset's `etag`. Assets need no credentials: the
//! page asks for them, and keeps them in memory.
#![warn(missing_docs)]

mod assets;

pub use assets::{Asset, asset, paths};

/// What every answer carries: the page runs its own files only, makes no HTML of text, is in nobody's frame, and tells nobody
/// where it was.
pub const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    // Asked for each time, and answered by the etag: a page is never of two versions.
    ("cache-control", "no-cache"),
];

#[cfg(test)]
mod tests;
