//! What fuzzing checks, shared by the `cargo fuzz` target, which takes this file as its own, and the
//! ordinary test over its corpus. Not for anybody else.

use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::aggregate::{MAGIC, MESSAGES_MAX, Part, parts};

/// Arbitrary bytes: taken apart, no aggregate, or refused; never a panic. Behind a first byte of zero stands
/// a record as it comes, behind any other an aggregate's message, which gets its frame here: no fuzzer finds
/// an MD5. Tells whether it was taken apart.
pub(crate) fn check(input: &[u8]) -> bool {
    let Some((kind, rest)) = input.split_first() else { return false };
    let is_framed = *kind != 0;
    let record = if is_framed { framed(rest) } else { Bytes::copy_from_slice(rest) };
    let found = match parts(&record) {
        Ok(Some(found)) => found,
        Ok(None) => {
            assert!(!is_framed, "a whole frame is taken for none");
            return false;
        }
        Err(why) => {
            assert!(record.starts_with(&MAGIC) && !why.is_empty());
            return false;
        }
    };
    assert!(!found.is_empty() && found.len() <= MESSAGES_MAX, "{} messages", found.len());
    // Each byte of data stands in the record once: no few bytes become many. Keys are shared.
    let data: usize = found.iter().map(|part| part.data.len()).sum();
    assert!(data <= record.len() && found.iter().all(|part| part.key.len() <= record.len()));
    // What was understood is all that there is to say. Long keys that many share would be written out here.
    if !found.iter().any(|part| part.key.len() > 1_000) {
        assert_eq!(parts(&framed(&message(&found))), Ok(Some(found)));
    }
    true
}

/// An aggregate's record.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    [&MAGIC, message, &Md5::digest(message)[..]].concat().into()
}

/// The message of an aggregate of these, each with its own entry in the table of keys.
pub(crate) fn message(parts: &[Part]) -> Vec<u8> {
    let mut message = Vec::new();
    for part in parts {
        field(&mut message, 1, &part.key);
    }
    for (index, part) in parts.iter().enumerate() {
        let mut record = vec![1 << 3];
        varint(&mut record, index);
        field(&mut record, 3, &part.data);
        field(&mut message, 3, &record);
    }
    message
}

fn field(into: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    into.push(number << 3 | 2);
    varint(into, bytes.len());
    into.extend_from_slice(bytes);
}

fn varint(into: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
