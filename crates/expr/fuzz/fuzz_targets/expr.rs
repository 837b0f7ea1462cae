//! Arbitrary texts as expressions: a value of the expression's type or a problem at its place, never a panic. The check
//! itself, and a bounded run of it in the ordinary tests, are the crate's own.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    trivium_expr::fuzzing::check(input);
});
