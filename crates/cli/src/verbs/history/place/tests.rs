use std::os::unix::fs::symlink;

use trivium_runtime::Kind;

use super::*;

#[test]
fn a_training_set_replaces_only_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    // What is beside it is the test's own, too.
    let root = folder.path().canonicalize().unwrap().join("root");
    fs::create_dir(&root).unwrap();
    let path = |name: &str| root.join(name);
    let frame = path("frame.parquet");
    for file in ["frame.parquet", "old.parquet", "notes.txt"] {
        fs::write(path(file), "x").unwrap();
    }
    fs::create_dir(path("folder.parquet")).unwrap();
    fs::hard_link(&frame, path("same.parquet")).unwrap();
    symlink(&frame, path("link.parquet")).unwrap();
    symlink(path("old.parquet"), path("good.parquet")).unwrap();
    symlink(path("notes.txt"), path("text.parquet")).unwrap();
    symlink("/dev/null", path("device.parquet")).unwrap();
    symlink(path("none.parquet"), path("dangling.parquet")).unwrap();

    let place = |out: &str| of_training_set(&path(out), &frame);
    assert_eq!(place("new.parquet").unwrap(), path("new.parquet"));
    assert_eq!(place("old.parquet").unwrap(), path("old.parquet"));
    assert_eq!(place("good.parquet").unwrap(), path("old.parquet"));
    let check = |out: &str, kind: Kind, expected: &str| {
        let failure = place(out).expect_err(out);
        assert_eq!(failure.error.kind, kind, "{out}: {}", failure.error);
        let text = failure.error.to_string();
        assert!(text.contains(expected), "{out}: {text}");
        assert!(!failure.error.help.is_empty() || kind == Kind::NotFound, "{out}");
    };
    check("frame.parquet", Kind::InvalidArgument, "the entity frame itself");
    check("../x/../frame.parquet", Kind::NotFound, "");
    check("folder.parquet/../frame.parquet", Kind::InvalidArgument, "the entity frame itself");
    check("link.parquet", Kind::InvalidArgument, "the entity frame itself");
    check("same.parquet", Kind::InvalidArgument, "the entity frame itself");
    check("folder.parquet", Kind::InvalidArgument, "a folder");
    check("device.parquet", Kind::InvalidArgument, "does not end in .parquet");
    check("text.parquet", Kind::InvalidArgument, "does not end in .parquet");
    check("dangling.parquet", Kind::NotFound, "a link");
    check("training.csv", Kind::InvalidArgument, ".parquet");
    check("training", Kind::InvalidArgument, ".parquet");
    check("none/training.parquet", Kind::NotFound, "none");
    check("notes.txt/training.parquet", Kind::InvalidArgument, "no folder");
    let failure = of_training_set(&path("new.parquet"), &root).expect_err("a folder");
    assert_eq!(failure.error.field, "--entities");
}
