//! One request to a Kafka at a time: enough to see from outside that it serves.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};

use crate::process::connect;

/// Far more than is ever asked for: whatever says more is no Kafka.
const ANSWER_MAX: usize = 1 << 20;
const CORRELATION: [u8; 4] = *b"trvm";
/// A text that is null: this client says no name.
const NO_NAME: [u8; 2] = [0xff, 0xff];

/// Sends a request on a connection of its own, in a version from before tagged fields; the answer's body.
pub(crate) fn request(port: u16, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let head = [api.to_be_bytes(), version.to_be_bytes()].concat();
    let message = [&head, &CORRELATION[..], &NO_NAME, body].concat();
    let length = u32::try_from(message.len()).map_err(|_| invalid("a request too long"))?;
    let mut stream = connect(port)?;
    stream.write_all(&[&length.to_be_bytes(), &message[..]].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_MAX {
        return Err(invalid("not Kafka's protocol"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    let body = answer.strip_prefix(&CORRELATION).ok_or_else(|| invalid("another's answer"))?;
    Ok(body.to_vec())
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}
