//! Evaluating allocates nothing but the new texts that it makes.

use allocation_counter::measure;
use trivium_expr::Datum;
use trivium_expr::{Expression, fuzzing};

#[test]
fn evaluating_allocates_nothing_but_new_texts() {
    let (columns, row) = (fuzzing::columns(), fuzzing::row());
    let allocations = |text: &str| {
        let Ok(expression) = Expression::parse(text, &columns) else { unreachable!("{text}") };
        measure(|| drop(expression.evaluate(&|column| Datum::of(&row[column])))).count_total
    };
    for text in [
        "CASE WHEN carrier.delay > 1.5 THEN d / nullif(i, 0) ELSE coalesce(f, l) END",
        "s LIKE 'Kir%_nd%' AND s IN ('x', 'y') OR startswith(substring(s, 2, 3), 'ir')",
        "timestampdiff(HOUR, day, at) BETWEEN hour(at) AND 2.5e0 * greatest(i, l)",
        "CASE trim(left(s, 6)) WHEN 'Kiruna' THEN 'north' ELSE right(s, 3) END",
        "p > 12 AND pow(sqrt(d), 2) <=> d",
    ] {
        assert_eq!(allocations(text), 0, "{text}");
    }
    // So that the counter is known to count.
    assert!(allocations("upper(s)") > 0);
}
