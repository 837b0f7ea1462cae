//! Files that hold something else than their format says are told from files that cannot be read.

use super::*;

fn refused(file: &str, bytes: &[u8]) -> (String, Option<u64>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    let paths = vec![path.clone()];
    let source = match file.ends_with(".csv") {
        true => Source::Csv { paths, null: None },
        false => Source::Parquet(paths),
    };
    match Sources::new(1 << 20).provider(&source, None).unwrap_err() {
        Error::Malformed { path: told, line, message } => {
            assert_eq!(told, path.display().to_string());
            (file.to_owned(), line, message)
        }
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn what_a_file_holds_is_told_with_its_line() {
    for (file, bytes, at, said) in [
        ("ragged.csv", &b"a,b\n1,2\n1,2,3\n"[..], Some(3), "expected 2"),
        ("short.csv", b"a,b\n1,2\n1,2\n1\n", Some(4), "expected 2"),
        ("latin.csv", b"a,b\n1,2\n1,\xe9\n", Some(3), "UTF-8"),
        ("twice.csv", b"a,A\n1,2\n", Some(1), "`a` is there twice"),
        ("empty.csv", b"", None, "no header line"),
        ("text.parquet", b"a,b\n1,2\n", None, "Parquet"),
        ("cut.parquet", b"PAR1", None, "too small"),
    ] {
        let (file, line, message) = refused(file, bytes);
        assert!(message.contains(said), "{file}: {message}");
        assert_eq!(line, at, "{file}: {message}");
    }
}

#[test]
fn a_line_far_down_is_told_too() {
    let mut text = String::from("a,b\n");
    for _ in 0..20_000 {
        text.push_str("1,2\n");
    }
    text.push_str("1\n");
    assert_eq!(refused("long.csv", text.as_bytes()).1, Some(20_002));
}

#[test]
fn a_file_that_is_not_there_is_no_malformed_one() {
    let paths = vec![PathBuf::from("/nowhere/a.csv")];
    for source in [Source::Csv { paths: paths.clone(), null: None }, Source::Parquet(paths)] {
        let error = Sources::new(0).provider(&source, None).unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{error:?}");
    }
}
