//! The first command of the README.

use crate::harness::{text, tidemark};

#[test]
fn inv5_the_demo_ends_with_an_audit_that_passes_twice_on_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        let output = tidemark()
            .args(["demo", "--seconds", "4", "--seed", seed, "--data"])
            .arg(folder.path())
            .output()
            .unwrap();
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("audit PASSED: nothing lost, doubled or altered"), "{said}");
        assert!(said.contains("dead_letters"), "{said}");
        assert!(said.contains("delta_scan("), "{said}");
    }
}
