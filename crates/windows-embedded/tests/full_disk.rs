//! A disk that takes no more: what was applied stays, and the folder says that it cannot be written.
#![expect(clippy::unwrap_used, reason = "a whole file of tests")]

use std::{path::Path, process::Command};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use trivium_windows::State as _;
use trivium_windows_embedded::{Folder, Mark};

/// Where a child finds its folder.
const CHILD: &str = "TRIVIUM_TEST_WINDOWS_FULL";
/// No file is written behind this, once the engine has begun: as a full disk does, it makes a write fail in the
/// middle.
const BYTES_MAX: &str = "--fsize=4000000";
const TEST: &str = "a_folder_that_failed_is_not_written_until_it_is_opened_again";

fn mark(number: i64) -> Mark {
    Mark { changelog: number, at_millis: 0 }
}

/// Applies until that fails.
fn fill(path: &Path) {
    let folder = Folder::open(path).unwrap();
    folder.check().unwrap();
    let shelf = folder.shelf("a").unwrap();
    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, BYTES_MAX]).status().unwrap().success());
    let mut applied = 0;
    let failed = loop {
        let mut value = vec![u8::try_from(applied % 251).unwrap(); 900_000];
        // The engine compresses.
        StdRng::seed_from_u64(1).fill(&mut value[1..]);
        let changes = [(b"key".to_vec(), Some(value))];
        match shelf.apply(&changes.into_iter().collect(), mark(applied)) {
            Ok(()) => applied += 1,
            Err(error) => break error,
        }
        assert!(applied < 1_000, "the limit was never reached");
    };
    assert!(applied > 0, "{failed}");
    assert!(folder.check().is_err(), "after {failed}");
    println!("applied {applied}.");
}

#[test]
fn a_folder_that_failed_is_not_written_until_it_is_opened_again() {
    if let Some(path) = std::env::var_os(CHILD) {
        return fill(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let (_, rest) = said.split_once("applied ").unwrap();
    let applied: i64 = rest.split_once('.').unwrap().0.parse().unwrap();
    let again = Folder::open(folder.path()).unwrap();
    again.check().unwrap();
    let shelf = again.shelf("a").unwrap();
    // Whether the one that failed is there nobody knows.
    let stands = shelf.mark().unwrap().unwrap().changelog;
    assert!(stands == applied - 1 || stands == applied, "{stands} of {applied}");
    let value = shelf.get(b"key").unwrap().unwrap();
    assert_eq!(value[0], u8::try_from(stands % 251).unwrap());
}
