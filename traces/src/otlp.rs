//! OTLP by HTTP as JSON: `POST {endpoint}/v1/traces` with an `ExportTraceServiceRequest`
//! ([OTLP 1.7](https://opentelemetry.io/docs/specs/otlp/#otlphttp); ids are hexadecimal, 64-bit numbers are texts).

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde_json::{Value as Json, json};

use crate::config::{TracesConfig, url};
use crate::context::hexed;
use crate::span::{Span, Value};

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;

/// The way to a collector.
#[derive(Debug)]
pub(crate) struct Collector {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    service: &'static str,
    instance: String,
}

impl Collector {
    /// # Errors
    /// If the address is none, or the file cannot be read or holds what no header can.
    pub(crate) fn new(
        config: &TracesConfig,
        endpoint: &str,
        (service, instance): (&'static str, String),
    ) -> anyhow::Result<Self> {
        let url = url(endpoint)?;
        let authorization = config.authorization_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("authorization_file: cannot read {}", path.display()))?;
            let mut value = HeaderValue::from_str(text.trim()).with_context(|| {
                format!("authorization_file: {} is no line of text", path.display())
            })?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        });
        let client = Client::builder().timeout(ANSWER_MAX).user_agent("tidemark").build()?;
        Ok(Self { client, url, authorization: authorization.transpose()?, service, instance })
    }

    /// Tells of spans.
    ///
    /// # Errors
    /// Why they were not taken, without the address: it may have a secret in it.
    pub(crate) async fn tell(&self, spans: &[Span]) -> Result<(), String> {
        let body = request(self.service, &self.instance, spans).to_string();
        let mut request = self.client.post(self.url.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
        let answer = answer.map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("answered with {status}")),
        }
    }
}

fn request(service: &str, instance: &str, spans: &[Span]) -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", service),
            text("service.namespace", "tidemark"),
            text("service.version", version),
            text("service.instance.id", instance),
        ]},
        "scopeSpans": [{"scope": {"name": "tidemark", "version": version}, "spans": spans}],
    }]})
}

fn span(span: &Span) -> Json {
    let nanos = |us: i64| (i128::from(us.max(0)) * 1000).to_string();
    let says = span.says.iter().map(|(key, value)| match value {
        Value::Text(text) => json!({"key": key, "value": {"stringValue": text}}),
        Value::Number(number) => json!({"key": key, "value": {"intValue": number.to_string()}}),
    });
    let mut told = json!({
        "traceId": hexed(&span.context.trace()),
        "spanId": hexed(&span.id),
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(span.begin_us),
        "endTimeUnixNano": nanos(span.end_us),
        "attributes": says.collect::<Vec<_>>(),
        "status": {},
    });
    if let Some(parent) = span.parent {
        told["parentSpanId"] = hexed(&parent).into();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    #[test]
    fn golden_request() {
        let context =
            Context::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let mut store = Span::new(context, "store", (1_000_000, 1_000_250))
            .says("tidemark.source", "gw")
            .says("tidemark.offset", 7);
        store.id = [0xab; 8];
        let whole = Span::first(context, "message", (1_000_000, 2_000_000));
        let version = env!("CARGO_PKG_VERSION");
        let golden = json!({"resourceSpans": [{
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": "tidemark-gateway"}},
                {"key": "service.namespace", "value": {"stringValue": "tidemark"}},
                {"key": "service.version", "value": {"stringValue": version}},
                {"key": "service.instance.id", "value": {"stringValue": "gw"}},
            ]},
            "scopeSpans": [{"scope": {"name": "tidemark", "version": version}, "spans": [
                {
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "spanId": "abababababababab",
                    "parentSpanId": "00f067aa0ba902b7",
                    "name": "store",
                    "kind": 1,
                    "startTimeUnixNano": "1000000000",
                    "endTimeUnixNano": "1000250000",
                    "attributes": [
                        {"key": "tidemark.source", "value": {"stringValue": "gw"}},
                        {"key": "tidemark.offset", "value": {"intValue": "7"}},
                    ],
                    "status": {},
                },
                {
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "spanId": "00f067aa0ba902b7",
                    "name": "message",
                    "kind": 1,
                    "startTimeUnixNano": "1000000000",
                    "endTimeUnixNano": "2000000000",
                    "attributes": [],
                    "status": {},
                },
            ]}],
        }]});
        assert_eq!(request("tidemark-gateway", "gw", &[store, whole]), golden);
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for endpoint in [
            "127.0.0.1:4318",
            "grpc://c:4317",
            "http://",
            "",
            "http:// x",
            "http://u:secret@c:4318",
        ] {
            let refused = Collector::new(&TracesConfig::default(), endpoint, ("s", String::new()));
            let refused = refused.unwrap_err().to_string();
            assert!(refused.starts_with("endpoint: ") && !refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let file = Some("/nowhere/token".into());
        let config = TracesConfig { authorization_file: file, ..TracesConfig::default() };
        let refused = Collector::new(&config, "http://localhost:4318/", ("s", String::new()));
        assert!(refused.unwrap_err().to_string().contains("/nowhere/token"));
    }
}
