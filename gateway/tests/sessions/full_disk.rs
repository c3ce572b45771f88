//! A disk that is really full: a small file system of its own, which somebody else has filled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::PubAckReason;
use rumqttc::{Packet, QoS};
use tokio::time::timeout;

use crate::harness::{Client, PATIENCE, TestGateway};
use crate::v5;

/// Names the small file system to the copy of this test that runs on it.
const FOLDER: &str = "TIDEMARK_TEST_SMALL_DISK";

/// Runs this test again in a namespace with a small file system; tells whether that was possible.
#[expect(clippy::print_stdout, reason = "who runs the tests must know what they did not test")]
fn on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=4m tmpfs \"$0\" || exit 77; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("1 passed"), "{text}");
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr))
        }
        other => println!("skipped: this machine does not let a test mount a tmpfs ({other:?})"),
    }
}

#[test]
fn inv3_a_full_disk_refuses_loses_nothing_and_recovers() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return on_a_small_disk("full_disk::inv3_a_full_disk_refuses_loses_nothing_and_recovers");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fill_and_recover(&folder));
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    use std::io::Write;
    let mut ballast = std::fs::File::create(path).unwrap();
    while ballast.write_all(&[1; 4096]).is_ok() {}
}

async fn fill_and_recover(folder: &Path) {
    let (spool, ballast) = (folder.join("spool"), folder.join("ballast"));
    let gateway = TestGateway::with(|config| config.spool.dir = spool.clone()).await;
    let mut device = Client::with(&gateway, "mon-1", |options| {
        options.set_keep_alive(Duration::from_secs(5));
    })
    .await;
    device.publish("dt/w/mon-1/readings", &"x".repeat(100_000)).await;
    fill(&ballast);
    // Too much for what the last segment's page has left. MQTT 3.1.1 has no word for it: the acknowledgement is withheld.
    let large = "x".repeat(100_000);
    device.mqtt.publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, large).await.unwrap();
    let small = "y".repeat(10_000);
    let refused = async {
        loop {
            // One that comes before the gateway has noticed waits with the first; the next is told.
            let told = v5::publish_once(&gateway, "dt/w/mon-2/readings", &small);
            match timeout(Duration::from_secs(3), told).await {
                Ok(PubAckReason::QuotaExceeded) => return,
                Ok(reason) => panic!("accepted on a full disk: {reason:?}"),
                Err(_) => {}
            }
        }
    };
    timeout(PATIENCE, refused).await.expect("MQTT 5 hears that there is no room");
    assert_eq!(gateway.spool.status().synced, 1, "nothing is acknowledged that is not stored");
    device.wait(|packet| matches!(packet, Packet::PingResp).then_some(())).await;
    std::fs::remove_file(&ballast).unwrap();
    device.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    device.publish("dt/w/mon-1/readings", "and on it goes").await;
    let synced = gateway.spool.progress().borrow().synced;
    gateway.stop().await;
    let gateway = TestGateway::with(|config| config.spool.dir = spool).await;
    assert!(gateway.spool.status().appended >= synced && synced >= 3);
    gateway.stop().await;
}
