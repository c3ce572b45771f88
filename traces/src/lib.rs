//! Messages followed from PUBLISH to receipt, told to a collector of OpenTelemetry.
//!
//! A publisher of MQTT 5 asks for it with the user property `traceparent` ([W3C Trace Context](https://www.w3.org/TR/trace-context/)):
//! it is kept in the message's record, so that whoever handles the record, in whichever process, adds its spans to the same trace.
//! Publishers that cannot ask are followed one in so many ([`TracesConfig::sample_every`]).
//!
//! Spans say times, positions, counts and reasons: no topic, client, device or payload.

mod config;
mod context;
mod otlp;
mod span;
mod tracer;

pub use config::TracesConfig;
pub use context::{Context, TRACEPARENT};
pub use span::{Span, Value};
pub use tracer::{Exporter, Tracer, open};
