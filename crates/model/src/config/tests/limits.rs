//! Limits of sizes.

use expect_test::expect;

use super::{check, check_view_text};
use crate::config::limits::*;

fn features(count: usize, feature: &str) -> String {
    let many: Vec<String> =
        (0..count).map(|index| feature.replace('#', &index.to_string())).collect();
    format!("\"features\": [\n{},\n", many.join(",\n"))
}

const FEATURE: &str = "{ \"name\": \"f#\", \"type\": \"int64\", \"description\": \"n\" }";

#[test]
fn too_large() {
    check_view_text(
        &" ".repeat(CONFIG_BYTES_MAX + 1),
        expect![[r#"
        1:1: error[too-large]: the file has 1048577 bytes, keep it below 1048576
    "#]],
    );
    let text = format!("\"default\": \"{}\"", "x".repeat(DEFAULT_BYTES_MAX));
    check(
        &[("\"default\": 0", &text)],
        expect![[r#"
        19:84: error[too-large]: the default has 65538 bytes, keep it below 65536
    "#]],
    );
    let text = format!("\"description\": \"{}\"", "é".repeat(DESCRIPTION_CHARACTERS_MAX + 1));
    check(
        &[("\"description\": \"Departures.\"", &text)],
        expect![[r#"
        19:58: error[too-long]: `description` has 4001 characters, at most 4000
    "#]],
    );
    let text = format!("\"description\": \"{}\"", "é".repeat(DESCRIPTION_CHARACTERS_MAX));
    check(&[("\"description\": \"Departures.\"", &text)], expect![[""]]);
}

#[test]
fn too_many() {
    check(
        &[("\"features\": [\n", &features(FEATURES_MAX, FEATURE))],
        expect![[r#"
        18:15: error[too-many]: `features` has 2007 items, at most 2000
        2030:13: error[too-many]: the rollup makes 2011 features of the view, at most 2000
    "#]],
    );
    check(
        &[("\"features\": [\n", &features(FEATURES_MAX - 10, FEATURE))],
        expect![[r#"
        2020:13: error[too-many]: the rollup makes 2001 features of the view, at most 2000
    "#]],
    );
    let tags: Vec<String> = (0..=TAGS_MAX).map(|index| format!("\"t{index}\"")).collect();
    check(
        &[("\"tags\": [\"punctuality\"]", &format!("\"tags\": [{}]", tags.join(",")))],
        expect![[r#"
            44:11: error[too-many]: `tags` has 51 items, at most 50
        "#]],
    );
}
