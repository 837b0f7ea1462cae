//! Changes of configs: pairs and how far they reach. The first is the old one.

mod allowed;
mod refused;
mod services;

use expect_test::Expect;

use super::view;
use crate::config::{Difference, classify_view};

fn lines(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("{difference}\n")).collect()
}

fn check(old: &[(&str, &str)], new: &[(&str, &str)], expected: Expect) {
    let (old, new) = (view(old), view(new));
    expected.assert_eq(&lines(&classify_view(&old, &new)));
    assert_eq!(classify_view(&new, &new), []);
}

#[test]
fn not_a_number_is_no_change() {
    let with_nan = &[
        ("\"default\": 0", "\"default\": null"),
        (
            "\"description\": \"Sum of delays, minutes.\"",
            "\"description\": \"Sum.\", \"default\": \"NaN\"",
        ),
        (
            "\"column\": \"origin\", \"values\": [\"JFK\", \"LGA\", \"EWR\"]",
            "\"column\": \"delay_sum\", \"values\": [\"NaN\", 1]",
        ),
    ];
    assert_eq!(classify_view(&view(with_nan), &view(with_nan)), []);
}
