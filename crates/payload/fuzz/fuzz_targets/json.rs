//! Arbitrary bytes as messages: an event or poison, never a panic. The check itself, and a bounded run of
//! it in the ordinary tests, are the crate's own.
#![no_main]

use trivium_model::PayloadFormat;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    trivium_payload::fuzzing::check(PayloadFormat::Json, input);
});
