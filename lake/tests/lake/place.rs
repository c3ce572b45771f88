//! Where the tests' lakes are: in memory, or on S3 — a server in this process, or one that the environment names.
//!
//! With `TIDEMARK_TEST_S3_ENDPOINT` set, everything that runs on S3 runs there instead, in the bucket
//! `TIDEMARK_TEST_S3_BUCKET` (which must exist), with the credentials of the usual `AWS_*` variables.

use std::collections::HashMap;
use std::sync::Arc;

use lake::{Lake, LakeError, OpenMode, Store};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use s3_server::{Creation, S3Server};
use service_runtime::Stop;
use url::Url;

pub(crate) const BUCKET: &str = "tidemark-test";

/// An address for one lake.
#[derive(Clone)]
pub(crate) struct Place {
    store: Store,
    /// A server of our own.
    served: Option<Arc<Served>>,
}

impl Place {
    pub(crate) fn memory() -> Self {
        let url = Url::parse("memory:///a/lake").unwrap();
        Self { store: Store::on(Arc::new(InMemory::new()), url).unwrap(), served: None }
    }

    /// On S3, at a prefix that needs quoting wherever something can be quoted.
    pub(crate) async fn s3() -> Self {
        let (bucket, env, served) = server().await;
        let url = format!("s3://{bucket}/{}/a lake+ü=%25", short_name());
        Self { store: Store::open(&url, &env).unwrap(), served }
    }

    /// Another empty place in the same store, below this one.
    pub(crate) fn beside(&self) -> Self {
        let store = self.store.child(&short_name());
        Self { store, served: self.served.clone() }
    }

    /// Another place in the same store, with all that is here.
    pub(crate) async fn copied(&self) -> Self {
        let url = self.store.url().join(&format!("../{}/", short_name())).unwrap();
        let store = Store::on(self.store.root(), url).unwrap();
        for object in self.store.list("").await.unwrap() {
            let bytes = self.store.get(&object.path).await.unwrap().unwrap();
            store.put(&object.path, bytes).await.unwrap();
        }
        Self { store, served: self.served.clone() }
    }

    pub(crate) fn store(&self) -> Store {
        self.store.clone()
    }

    /// The same place, as seen through `root`.
    pub(crate) async fn through(&self, root: Arc<dyn ObjectStore>) -> Result<Lake, LakeError> {
        let store = Store::on(root, self.store.url().clone()).unwrap();
        Lake::open_on(store, OpenMode::Read).await
    }

    pub(crate) async fn create(&self) -> Lake {
        Lake::open_on(self.store(), OpenMode::Create).await.unwrap()
    }

    pub(crate) async fn open(&self) -> Lake {
        Lake::open_on(self.store(), OpenMode::Read).await.unwrap()
    }
}

/// New each time; short, because s3s-fs makes file names of 255 bytes at most out of whole keys.
fn short_name() -> String {
    format!("{:08x}", uuid::Uuid::new_v4().as_fields().0)
}

/// Bucket and environment of a server, and its files if it is ours.
pub(crate) async fn server() -> (String, HashMap<String, String>, Option<Arc<Served>>) {
    if let Some(endpoint) = variable("TIDEMARK_TEST_S3_ENDPOINT") {
        let mut env: HashMap<String, String> =
            std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
        env.insert("AWS_ENDPOINT_URL".into(), endpoint);
        env.insert("AWS_ALLOW_HTTP".into(), "true".into());
        let bucket = variable("TIDEMARK_TEST_S3_BUCKET").unwrap_or_else(|| BUCKET.into());
        return (bucket, env, None);
    }
    let (env, served) = own_server(Creation::Atomic).await;
    (BUCKET.into(), env, Some(served))
}

/// A server and its files; it ends with the last who holds it.
pub(crate) struct Served {
    stop: Stop,
    _folder: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A server in this process, on a thread of its own: libraries that block a thread of the test's runtime must not keep it from
/// answering them.
pub(crate) async fn own_server(creation: Creation) -> (HashMap<String, String>, Arc<Served>) {
    let (folder, stop) = (tempfile::tempdir().unwrap(), Stop::new());
    let (path, stopped) = (folder.path().to_owned(), stop.clone());
    let (sender, bound) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let address = ([127, 0, 0, 1], 0).into();
            let server = S3Server::bind(address, &path, BUCKET, creation).await.unwrap();
            let env = server.environment().map(|(name, value)| (name.to_owned(), value));
            sender.send(env.into()).unwrap();
            server.run(stopped).await.unwrap();
        });
    });
    (bound.await.unwrap(), Arc::new(Served { stop, _folder: folder }))
}

#[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Each test once in memory and once on S3.
macro_rules! on_memory_and_s3 {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::place::Place::memory()).await;
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::place::Place::s3().await).await;
            })*
        }
    };
}
pub(crate) use on_memory_and_s3;
