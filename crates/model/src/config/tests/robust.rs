//! Whatever the bytes are, reading them ends with a value or with errors.

use proptest::prelude::*;

use super::{SERVICE, SERVICE_PATH, VIEW, VIEW_PATH};
use crate::Diagnostic;
use crate::config::{parse_service_with_warnings, parse_view_with_warnings};

fn read(path: &str, text: &str) {
    let (view, found) = parse_view_with_warnings(path, text);
    assert_eq!(view.is_none(), found.iter().any(Diagnostic::is_error));
    let (service, found) = parse_service_with_warnings(path, text);
    assert_eq!(service.is_none(), found.iter().any(Diagnostic::is_error));
    for diagnostic in &found {
        assert!(!diagnostic.to_string().contains('\n'), "{diagnostic}");
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
    }
}

/// Texts that mean something to the reader, to be put anywhere.
const FRAGMENTS: &[&str] = &[
    "",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "0",
    "-1",
    "1e99",
    "0.1",
    "\"x\"",
    "{}",
    "[]",
    "\\",
    "\u{0}",
    "\u{feff}",
    "é",
    "\"list\"",
    "\"decimal\"",
    "\"1d\"",
    "\"99999999w\"",
    "\"flights\"",
    "{\"mean\": null}",
    "{\"list\": {}}",
    "//",
    "/*",
    "'",
    "\n",
    "NaN",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>(), path in any::<String>()) {
        read(&path, &text);
    }

    #[test]
    fn any_json_like_text(text in "[\\[\\]{}:,\"'/*0-9a-z.+\\- \n\\\\]{0,60}") {
        read(VIEW_PATH, &text);
    }

    #[test]
    fn samples_with_a_piece_replaced(
        is_view in any::<bool>(),
        from in any::<prop::sample::Index>(),
        length in 0usize..40,
        fragment in prop::sample::select(FRAGMENTS),
    ) {
        let (path, sample) = if is_view { (VIEW_PATH, VIEW) } else { (SERVICE_PATH, SERVICE) };
        let from = from.index(sample.len());
        let to = (from + length).min(sample.len());
        read(path, &format!("{}{fragment}{}", &sample[..from], &sample[to..]));
    }

    /// Each value of the sample replaced by each fragment that is JSON: form errors only.
    #[test]
    fn samples_with_a_value_replaced(at in any::<prop::sample::Index>(), fragment in prop::sample::select(FRAGMENTS)) {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(fragment) else { return Ok(()) };
        let mut sample: serde_json::Value = serde_json::from_str(VIEW).unwrap();
        let mut pointers = Vec::new();
        super::generated::pointers(&sample, String::new(), &mut pointers);
        *sample.pointer_mut(&pointers[at.index(pointers.len())]).unwrap() = value;
        read(VIEW_PATH, &sample.to_string());
    }
}

#[test]
fn deep_and_large_texts() {
    read(VIEW_PATH, &"[".repeat(100_000));
    read(VIEW_PATH, &"{\"a\":".repeat(100_000));
    read(VIEW_PATH, &format!("{}{}", "[".repeat(300), "]".repeat(300)));
    read(VIEW_PATH, &" ".repeat(2 << 20));
    let fields: Vec<String> = (0..60_000).map(|index| format!("\"f{index}\":1")).collect();
    read(VIEW_PATH, &format!("{{{}}}", fields.join(",")));
    let features = format!("\"features\": [{}\"\"", "1,".repeat(100_000));
    read(VIEW_PATH, &VIEW.replace("\"features\": [\n", &features));
}
