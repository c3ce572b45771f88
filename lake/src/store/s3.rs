//! An S3 bucket as an object store, configured by the usual `AWS_*` variables, and what to check when it can't be used.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, Error, ObjectStore, RetryConfig};

use crate::error::{Cause, LakeError};

/// Retries of one request end after this long: whoever asked decides what to do, and can say that the lake is unreachable.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// The longest that one request may take (`AWS_TIMEOUT` overrides it); enough for a large file on a slow line.
const REQUEST: Duration = Duration::from_secs(30);
/// The longest that a connection may take to be made (`AWS_CONNECT_TIMEOUT` overrides it).
const CONNECT: Duration = Duration::from_secs(3);
/// What the first request of all may take.
const FIRST_LOOK: Duration = Duration::from_secs(8);

/// Builds the client for `bucket`. Every variable of `env` that starts with `AWS_` and that `object_store` knows is used:
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …
pub(super) fn bucket(bucket: &str, env: &HashMap<String, String>) -> Result<AmazonS3, LakeError> {
    let retries = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() },
        max_retries: 10,
        retry_timeout: RETRY_FOR,
    };
    build(bucket, env, retries)
}

fn build(
    bucket: &str,
    env: &HashMap<String, String>,
    retries: RetryConfig,
) -> Result<AmazonS3, LakeError> {
    let options = ClientOptions::default().with_timeout(REQUEST).with_connect_timeout(CONNECT);
    let mut builder = AmazonS3Builder::new().with_client_options(options).with_retry(retries);
    // Sorted, so that of two names for one thing always the same wins.
    for (name, value) in env.iter().collect::<BTreeMap<_, _>>() {
        let known = name
            .starts_with("AWS_")
            .then(|| name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>());
        if let Some(Ok(key)) = known {
            builder = builder.with_config(key, value);
        }
    }
    // The lake's url names the bucket. Commits rest on put-if-absent; the self-test proves that the store honours it.
    builder
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()
        .map_err(|error| LakeError::Store {
            action: "configure the client for",
            path: format!("s3://{bucket}"),
            source: Box::new(error),
        })
}

/// Looks into `folder` once, without patience, to tell at start what is wrong with endpoint, credentials or bucket.
///
/// # Errors
/// [`LakeError::Unreachable`], within ten seconds.
pub(super) async fn look(
    name: &str,
    folder: &Path,
    env: &HashMap<String, String>,
) -> Result<(), LakeError> {
    let unreachable = |check: &'static str, source: Cause| LakeError::Unreachable {
        bucket: name.to_owned(),
        endpoint: endpoint(env),
        check,
        source,
    };
    let bucket = build(name, env, RetryConfig { max_retries: 0, ..RetryConfig::default() })?;
    let mut listing = bucket.list(Some(folder));
    match tokio::time::timeout(FIRST_LOOK, listing.next()).await {
        Ok(None | Some(Ok(_))) => Ok(()),
        Ok(Some(Err(error))) => Err(unreachable(check(&error), Box::new(error))),
        Err(elapsed) => {
            // Without keys the client asks the cloud for some, which outside of it takes longer than we wait.
            let check = if env.contains_key("AWS_ACCESS_KEY_ID") { ENDPOINT } else { KEYS };
            Err(unreachable(check, Box::new(elapsed)))
        }
    }
}

const ENDPOINT: &str = "nobody answers there: check AWS_ENDPOINT_URL and the network";
const KEYS: &str = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where the cloud has some";

/// What to check, by what the store said.
fn check(error: &Error) -> &'static str {
    let said = said(error);
    let has = |word: &str| said.contains(word);
    if has("NoSuchBucket") {
        "there is no such bucket: check the lake's url, AWS_ENDPOINT_URL and AWS_REGION"
    } else if has("region") || has("PermanentRedirect") {
        "it is in another region: check AWS_REGION"
    } else if has("RequestTimeTooSkewed") {
        "this machine's clock is wrong"
    } else if has("metadata") || has("169.254") {
        KEYS
    } else if has("status code: 403") || has("status code: 401") {
        "it refuses the credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and what they may do \
         with this bucket"
    } else if has("URL scheme is not allowed") {
        "the endpoint has no TLS: set AWS_ALLOW_HTTP=true if that is meant"
    } else if has("status code: 404") {
        "this is no S3 endpoint, or there is no such bucket: check AWS_ENDPOINT_URL and the lake's url"
    } else if has("status code:") {
        "it answers with an error: check AWS_ENDPOINT_URL"
    } else {
        ENDPOINT
    }
}

/// An error's own words and those of its causes.
fn said(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

fn endpoint(env: &HashMap<String, String>) -> String {
    let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    named.iter().find_map(|name| env.get(*name)).map_or("AWS", String::as_str).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn the_usual_variables_configure_the_client_and_others_are_ignored() {
        let env = environment([
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_PAGER", "less"),
            ("PATH", "/bin"),
        ]);
        assert!(bucket("lake", &env).is_ok());
    }

    #[test]
    fn the_lakes_url_names_the_bucket_whatever_the_environment_says() {
        let env = environment([("AWS_BUCKET", "other"), ("AWS_CONDITIONAL_PUT", "disabled")]);
        let shown = bucket("lake", &env).unwrap().to_string();
        assert_eq!(shown, "AmazonS3(lake)");
    }

    #[test]
    fn an_error_names_the_bucket_but_no_secret() {
        let env =
            environment([("AWS_ALLOW_HTTP", "perhaps"), ("AWS_SECRET_ACCESS_KEY", "hunter2")]);
        let error = bucket("lake", &env).unwrap_err();
        let text = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(text.contains("s3://lake") && !text.contains("hunter2"), "{text}");
    }
}
