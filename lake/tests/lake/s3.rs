//! S3 itself: which stores are refused, what the client sends, and what an error at start says.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use lake::{Lake, LakeError, OpenMode, Store};
use s3_server::Creation;
use service_runtime::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::place::{BUCKET, own_server, server};

const OK: &str = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn with(mut env: HashMap<String, String>, pairs: &[(&str, &str)]) -> HashMap<String, String> {
    env.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

fn client_of(listener: &TcpListener) -> HashMap<String, String> {
    s3_server::environment(listener.local_addr().unwrap())
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// Takes one request, answers it, and returns its lines in lower case.
async fn request(listener: &TcpListener, answer: &str) -> Vec<String> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    String::from_utf8(head).unwrap().to_lowercase().lines().map(str::to_owned).collect()
}

/// What arrives when an object is written to `s3://tidemark-test/lake` with these variables set.
async fn written_with(pairs: &[(&str, &str)]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let env = with(client_of(&listener), pairs);
    let store = Store::open(&format!("s3://{BUCKET}/lake"), &env).unwrap();
    let (lines, written) =
        tokio::join!(request(&listener, OK), store.put("x", Bytes::from_static(b"bytes")));
    written.unwrap();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_asked_for_its_clock_and_what_is_asked_of_it_is_counted() {
    let (env, _folder) = own_server(Creation::Atomic).await;
    let lake = Lake::open(&format!("s3://{BUCKET}/lake"), &env, OpenMode::Create).await.unwrap();
    let ahead_ms = lake.clock_ahead_ms("w", Clock::default()).await.unwrap().unwrap();
    // It is this machine's own clock; a busy machine takes its time to write.
    assert!(ahead_ms.abs() < 60_000, "{ahead_ms}");
    let asked: HashMap<_, _> = lake.store_counts().asked().into_iter().collect();
    assert!(asked["create"] > 0 && asked["write"] > 0 && asked["read"] > 0, "{asked:?}");
    let failed: u64 = lake.store_counts().failed().into_iter().map(|(_, _, count)| count).sum();
    assert_eq!((failed, lake.folder()), (0, None), "what is not there is no failure");

    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &HashMap::new(), OpenMode::Create).await.unwrap();
    assert_eq!(lake.clock_ahead_ms("w", Clock::default()).await.unwrap(), None);
    assert_eq!(lake.folder().as_deref(), Some(folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_put_if_absent_can_have_two_winners_is_refused_and_an_atomic_one_is_not() {
    let (env, _folder) = own_server(Creation::Atomic).await;
    Lake::open(&format!("s3://{BUCKET}/lake"), &env, OpenMode::Create).await.unwrap();

    let (env, _folder) = own_server(Creation::Racy).await;
    let error =
        Lake::open(&format!("s3://{BUCKET}/lake"), &env, OpenMode::Create).await.unwrap_err();
    assert!(matches!(error, LakeError::UnsafeStore { winners: 2.., .. }), "{error}");
}

#[tokio::test]
async fn encryption_at_rest_is_asked_for_by_the_usual_variables() {
    let kms = [
        ("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms"),
        ("AWS_SSE_KMS_KEY_ID", "key-1"),
        ("AWS_SSE_BUCKET_KEY_ENABLED", "true"),
    ];
    let lines = written_with(&kms).await;
    for header in [
        "x-amz-server-side-encryption: aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id: key-1",
        "x-amz-server-side-encryption-bucket-key-enabled: true",
    ] {
        assert!(lines.contains(&header.to_owned()), "{header} in {lines:#?}");
    }
    let lines = written_with(&[("AWS_SERVER_SIDE_ENCRYPTION", "AES256")]).await;
    assert!(lines.contains(&"x-amz-server-side-encryption: aes256".to_owned()), "{lines:#?}");
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let customer = [("AWS_SERVER_SIDE_ENCRYPTION", "sse-c"), ("AWS_SSE_CUSTOMER_KEY_BASE64", key)];
    let lines = written_with(&customer).await;
    let algorithm = "x-amz-server-side-encryption-customer-algorithm: aes256";
    assert!(lines.contains(&algorithm.to_owned()), "{lines:#?}");
}

#[tokio::test]
async fn region_token_and_style_of_address_come_from_the_environment() {
    let lines = written_with(&[
        ("AWS_REGION", "eu-north-1"),
        ("AWS_DEFAULT_REGION", "us-west-2"),
        ("AWS_SESSION_TOKEN", "token-1"),
    ])
    .await;
    assert_eq!(lines[0], format!("put /{BUCKET}/lake/x http/1.1"), "path style by default");
    assert!(lines.contains(&"x-amz-security-token: token-1".to_owned()), "{lines:#?}");
    let signed = |line: &String| line.contains("/eu-north-1/s3/aws4_request");
    assert!(lines.iter().any(signed), "{lines:#?}");
    // With it the endpoint is the bucket's own.
    let lines = written_with(&[("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")]).await;
    assert_eq!(lines[0], "put /lake/x http/1.1");
}

/// Opens the lake, which must fail by itself: the look gives up after ten seconds, and a busy machine may hear of it late.
async fn fails(bucket: &str, env: &HashMap<String, String>) -> String {
    let url = format!("s3://{bucket}/lake");
    let open = Lake::open(&url, env, OpenMode::Create);
    let error = tokio::time::timeout(Duration::from_secs(30), open).await.unwrap().unwrap_err();
    assert!(matches!(error, LakeError::Unreachable { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_wrong_endpoint_is_named_within_ten_seconds() {
    // Accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (env, endpoint) = (client_of(&silent), silent.local_addr().unwrap().to_string());
    let error = fails(BUCKET, &env).await;
    assert!(error.contains(&endpoint) && error.contains("check AWS_ENDPOINT_URL"), "{error}");
    // Refuses.
    drop(silent);
    let error = fails(BUCKET, &env).await;
    assert!(error.contains(&endpoint) && error.contains("check AWS_ENDPOINT_URL"), "{error}");
    // Speaks TLS or not.
    let error = fails(BUCKET, &with(env, &[("AWS_ALLOW_HTTP", "false")])).await;
    assert!(error.contains("AWS_ALLOW_HTTP=true"), "{error}");
}

#[tokio::test]
async fn a_wrong_region_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the \
                region 'us-east-1' is wrong; expecting 'eu-central-1'</Message></Error>";
    let refusal =
        format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // As AWS does where it will not even say which region.
    let moved = "HTTP/1.1 301 Moved Permanently\r\ncontent-length: 0\r\n\r\n";
    for answer in [&refusal, moved] {
        let env = client_of(&listener);
        let (_, error) = tokio::join!(request(&listener, answer), fails(BUCKET, &env));
        assert!(error.contains("check AWS_REGION"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_bucket_or_key_is_named() {
    let (bucket, env, _folder) = server().await;
    let error = fails("no-such-bucket", &env).await;
    assert!(error.contains("no-such-bucket") && error.contains("no such bucket"), "{error}");
    for wrong in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let error = fails(&bucket, &with(env.clone(), &[(wrong, "somebody-else")])).await;
        assert!(error.contains("refuses the credentials"), "{error}");
        assert!(!error.contains("somebody-else"), "{error}");
    }
}
