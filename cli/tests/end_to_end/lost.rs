//! A disk that lost what it had: nothing says of it that it landed, and everything else lands.

use std::fs::OpenOptions;
use std::path::Path;

use crate::harness::{Site, text, tidemark};
use crate::payloads::publish;

fn segment(spool: &Path, epoch: &str) -> std::path::PathBuf {
    let files = std::fs::read_dir(spool.join(epoch)).unwrap();
    files.map(|file| file.unwrap().path()).max().unwrap()
}

#[test]
fn inv4_what_the_disk_lost_is_a_gap_and_wait_says_so() {
    // Nothing lands before the damage.
    let site = Site::new("flush_age_ms = 3600000\n");
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replacen("flush_age_ms = 300\n", "", 1)).unwrap();
    let reading = |n: u32| {
        let payload = format!(r#"{{"metric":"spo2","value":{n},"seq":{n}}}"#);
        ("dt/ward/dev/readings", payload.into_bytes())
    };
    let up = site.up();
    publish(&site, &[reading(1), reading(2)]);
    let epoch = site.status()["epoch"].as_str().unwrap().to_owned();
    let spool = site.folder.path().join("spool");
    let before = std::fs::metadata(segment(&spool, &epoch)).unwrap().len();
    publish(&site, &[reading(3), reading(4)]);
    up.kill();
    // The second half of the segment is gone, and with it the third and fourth message, which were acknowledged.
    let file = OpenOptions::new().write(true).open(segment(&spool, &epoch)).unwrap();
    file.set_len(before + 20).unwrap();
    let config = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), config.replace("3600000", "200")).unwrap();
    let up = site.up();
    publish(&site, &[reading(5)]);
    site.wait_landed();
    let books = site.status();
    assert_eq!(
        (books["accepted"].as_u64(), books["dropped"].as_u64()),
        (Some(5), Some(2)),
        "{books}"
    );
    assert_eq!(site.rows("readings"), 3);
    let wait = |offset: u32, more: &[&str]| {
        let position = format!("gateway/{epoch}/{offset}");
        tidemark()
            .args(["wait", &position, "--timeout", "30", "--config"])
            .arg(site.config())
            .args(more)
            .output()
            .unwrap()
    };
    for (offset, landed) in [(0, true), (1, true), (2, false), (3, false), (4, true)] {
        let output = wait(offset, &[]);
        let said = text(&output);
        assert_eq!(output.status.success(), landed, "{offset}: {said}");
        assert_eq!(said.contains("lost: "), !landed, "{offset}: {said}");
    }
    // Without the lake it says no more than it knows.
    let elsewhere = site.folder.path().join("no-lake").display().to_string();
    let said = text(&wait(2, &["--lake", &elsewhere]));
    assert!(said.contains("name the lake by --lake") && !said.contains("readable"), "{said}");
    let log = up.stop();
    assert!(log.contains("messages that were on stable storage are gone"), "{log}");
}
