//! An S3 bucket as an object store, configured by the usual `AWS_*` variables.

use std::collections::HashMap;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};

use crate::error::LakeError;

/// Builds the client for `bucket`. Every variable of `env` that starts with `AWS_` and that `object_store` knows is used:
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …
pub(super) fn bucket(bucket: &str, env: &HashMap<String, String>) -> Result<AmazonS3, LakeError> {
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket);
    for (name, value) in env {
        let known = name
            .starts_with("AWS_")
            .then(|| name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>());
        if let Some(Ok(key)) = known {
            builder = builder.with_config(key, value);
        }
    }
    // Commits rest on put-if-absent, whatever the environment says; the self-test proves that the store honours it.
    builder.with_conditional_put(S3ConditionalPut::ETagMatch).build().map_err(|error| {
        LakeError::Store {
            action: "configure the client for",
            path: format!("s3://{bucket}"),
            source: Box::new(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_variables_configure_the_client_and_others_are_ignored() {
        let env = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_PAGER", "less"),
            ("PATH", "/bin"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert!(bucket("lake", &env).is_ok());
    }

    #[test]
    fn an_error_names_the_bucket_but_no_secret() {
        let env = [("AWS_ALLOW_HTTP", "perhaps"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let error = bucket("lake", &env).unwrap_err();
        let text = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(text.contains("s3://lake") && !text.contains("hunter2"), "{text}");
    }
}
