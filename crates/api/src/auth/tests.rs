//! Keys are taken from the file, compared, and taken anew.

use std::{path::Path, sync::atomic::AtomicU32};

use axum::http::{HeaderMap, HeaderValue, header};

use super::{ApiKeys, line_of, parse};

fn headers(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
}

/// A file of its own for each test.
fn file() -> std::path::PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    std::env::temp_dir().join(format!("trivium-keys-{}-{number}", std::process::id()))
}

#[test]
fn a_key_names_its_caller_until_it_is_taken_away() {
    let file = file();
    let (one, two) = (line_of("model", "k1").unwrap(), line_of("model", "k2").unwrap());
    std::fs::write(&file, format!("# callers\n\n{one}\n{two}\n")).unwrap();
    let keys = ApiKeys::read(&file).unwrap();
    for value in ["Bearer k1", "bearer k2", "Bearer  k1 "] {
        assert_eq!(&*keys.caller(&headers(value)).unwrap().0, "model", "{value}");
    }
    for value in ["Bearer k3", "Bearer ", "Basic k1", "k1", "Bearer k1 k2"] {
        let error = keys.caller(&headers(value)).unwrap_err();
        assert_eq!(error.kind.code(), "UNAUTHENTICATED", "{value}");
        assert!(!error.to_string().contains("k1"), "no key is told: {error}");
    }
    assert!(keys.caller(&HeaderMap::new()).is_err());
    assert!(!keys.reload().unwrap(), "nothing has changed");
    std::fs::write(&file, &one).unwrap();
    assert!(keys.reload().unwrap());
    assert!(keys.caller(&headers("Bearer k2")).is_err());
    // A file that went wrong locks nobody out.
    std::fs::write(&file, "oops").unwrap();
    assert!(keys.reload().is_err() && keys.problem().is_some());
    assert!(keys.caller(&headers("Bearer k1")).is_ok());
    std::fs::write(&file, &one).unwrap();
    keys.reload().unwrap();
    assert_eq!(keys.problem(), None);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn mistakes_have_their_place() {
    let good = line_of("a", "k").unwrap();
    for (text, place) in [
        (String::new(), "keys"),
        ("# nobody\n".to_owned(), "keys"),
        (format!("{good}\n{good}"), "keys:2"),
        (format!("{good}\na b c"), "keys:2"),
        ("a sha256:12".to_owned(), "keys:1"),
        (format!("ü{}", &good[1..]), "keys:1"),
        (good.replace("sha256:", ""), "keys:1"),
    ] {
        let error = parse(Path::new("keys"), &text).unwrap_err();
        assert_eq!(error.field, place, "{text}: {error}");
    }
}
