//! Notifications by HTTP: a webhook, or Prometheus' Alertmanager (API v2).
//!
//! A webhook gets the notice as JSON by POST, with `Idempotency-Key` (the notice's id) and, if it has a secret,
//! `Tidemark-Signature: t=UNIX_SECONDS,v1=HEX`: HMAC-SHA-256 of `{t}.{body}`. Whoever checks it refuses old times too.
//!
//! Alertmanager takes an alert to be over if it does not hear of it again: it is told of each that is there every minute.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde_json::json;
use sha2::Sha256;

use super::notice::Notice;

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long Alertmanager believes that an alert is there.
const BELIEVED: Duration = Duration::from_secs(300);

/// Why a notice could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    /// It may work later.
    #[error("{0}")]
    Later(String),
    /// It is refused.
    #[error("refused with {0}")]
    Refused(StatusCode),
}

/// Makes requests.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client,
    url: Url,
    secret: Option<Vec<u8>>,
}

impl Http {
    /// A way to a URL.
    ///
    /// # Errors
    /// If there can't be one.
    pub(crate) fn new(url: Url, secret: Option<Vec<u8>>) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(ANSWER_MAX).user_agent("tidemark").build()?;
        Ok(Self { client, url, secret })
    }

    /// Tells a webhook.
    ///
    /// # Errors
    /// [`NotTold`].
    pub(crate) async fn hook(&self, notice: &Notice, now_s: i64) -> Result<(), NotTold> {
        let body = notice.to_json();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("Idempotency-Key", &notice.id);
        if let Some(secret) = &self.secret {
            request = request.header("Tidemark-Signature", signature(secret, now_s, &body));
        }
        answered(request.body(body).send().await)
    }

    /// Tells Alertmanager of alerts as they are at a time, Unix milliseconds.
    ///
    /// # Errors
    /// [`NotTold`].
    pub(crate) async fn alertmanager<'a>(
        &self,
        notices: impl IntoIterator<Item = &'a Notice>,
        now_ms: i64,
    ) -> Result<(), NotTold> {
        let alerts: Vec<_> = notices.into_iter().map(|notice| alert(notice, now_ms)).collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v2", "alerts"]);
        }
        let body = serde_json::to_vec(&alerts).unwrap_or_default();
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json");
        answered(request.body(body).send().await)
    }
}

fn answered(answer: Result<reqwest::Response, reqwest::Error>) -> Result<(), NotTold> {
    // The URL may have a secret in it.
    let answer = answer.map_err(|error| NotTold::Later(error.without_url().to_string()))?;
    let status = answer.status();
    let later = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    match status.is_success() {
        true => Ok(()),
        false if later => Err(NotTold::Later(format!("answered with {status}"))),
        false => Err(NotTold::Refused(status)),
    }
}

/// The value of the signature's header.
fn signature(secret: &[u8], now_s: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{now_s}.").as_bytes());
    mac.update(body);
    let hex: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now_s},v1={hex}")
}

/// An alert as Alertmanager takes it.
fn alert(notice: &Notice, now_ms: i64) -> serde_json::Value {
    let time = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default()
    };
    let believed = i64::try_from(BELIEVED.as_millis()).unwrap_or(i64::MAX);
    let ends = if notice.is_open() { now_ms.saturating_add(believed) } else { now_ms };
    json!({
        "labels": {
            "alertname": notice.rule,
            "severity": notice.severity,
            "site": notice.site,
            "device": notice.device,
            "metric": notice.metric,
            "source": notice.source,
            "alert_id": notice.alert,
        },
        "annotations": {
            "summary": format!("{}: {}", notice.rule, notice.measured),
            "threshold": notice.threshold,
            "state": notice.state,
        },
        "startsAt": notice.at,
        "endsAt": time(ends),
    })
}

#[cfg(test)]
mod tests {
    use super::super::notice::tests::notice;
    use super::*;

    /// By `printf '%s' '1700000000.{}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn golden_signature() {
        assert_eq!(
            signature(b"secret", 1_700_000_000, b"{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
        );
    }

    #[test]
    fn alertmanager_is_told_until_when_to_believe_it() {
        let now_ms = 1_700_000_000_000;
        let firing = alert(&notice("a", "firing"), now_ms);
        assert_eq!(firing["labels"]["alertname"], "fast");
        assert_eq!(firing["startsAt"], "2026-11-26T12:00:00Z");
        assert_eq!(firing["endsAt"], "2023-11-14T22:18:20Z");
        assert_eq!(alert(&notice("a", "resolved"), now_ms)["endsAt"], "2023-11-14T22:13:20Z");
    }
}
