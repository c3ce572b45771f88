//! What the server answers while others change what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, RetryConfig};
use s3_server::{ACCESS_KEY, Creation, S3Server, SECRET_KEY};
use service_runtime::Stop;
use tokio::task::JoinSet;

const BUCKET: &str = "bucket";
/// Objects that stay.
const STAY: usize = 20;

/// Ends those who change things, also when the test fails.
#[derive(Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_beside_deletions_has_what_stays_and_does_not_fail() {
    let folder = tempfile::tempdir().unwrap();
    let bind = S3Server::bind(([127, 0, 0, 1], 0).into(), folder.path(), BUCKET, Creation::Atomic);
    let (server, stop) = (bind.await.unwrap(), Stop::new());
    let address = server.address();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(stop.clone()));
    let objects = folder.path().join(BUCKET);
    (0..STAY).for_each(|n| std::fs::write(objects.join(format!("stays-{n}")), "it").unwrap());
    let ended = Ended::default();
    let until = ended.0.clone();
    tasks.spawn_blocking(move || {
        while !until.load(Ordering::Relaxed) {
            let goes: Vec<_> = (0..50).map(|n| objects.join(format!("goes-{n}"))).collect();
            goes.iter().for_each(|path| std::fs::write(path, "it").unwrap());
            goes.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        }
        Ok(())
    });
    let store = AmazonS3Builder::new()
        .with_endpoint(format!("http://{address}"))
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .with_bucket_name(BUCKET)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()
        .unwrap();
    for _ in 0..200 {
        let all: Vec<_> = store.list(None).try_collect().await.unwrap();
        let stay = all.iter().filter(|one| one.location.as_ref().starts_with("stays-")).count();
        assert_eq!(stay, STAY);
    }
    drop(ended);
    stop.cancel();
    while let Some(task) = tasks.join_next().await {
        task.unwrap().unwrap();
    }
}
