//! Arbitrary bytes as rows and keys: read or refused, never a panic. The check itself, and a bounded
//! run of it in the ordinary tests, are the codec's own.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| trivium_codec::fuzzing::check(input));
