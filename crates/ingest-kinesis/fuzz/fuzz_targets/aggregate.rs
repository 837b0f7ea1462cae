//! Arbitrary bytes as aggregates of the Kinesis Producer Library: taken apart or refused, never a panic. The
//! check itself, and a bounded run of it in the ordinary tests, are the crate's own.
//!
//! The decoder's two files alone: nobody waits for AWS' clients to be built with a sanitizer.
#![no_main]

#[path = "../../src/aggregate.rs"]
mod aggregate;
#[path = "../../src/aggregate/fuzzing.rs"]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzzing::check(input);
});
