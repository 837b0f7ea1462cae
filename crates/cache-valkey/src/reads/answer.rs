//! The answer to an `MGET`, read piece by piece as it arrives: no piece is looked at twice.

use std::ops::Range;

use trivium_store::CacheError;

use crate::failure;

/// Where an answer is, so far, within what has been received.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Where the next line begins.
    at: usize,
    /// Elements still to come; `None`: the head has not come.
    left: Option<usize>,
    /// Where the values are; empty: there is none (no value of ours is without bytes).
    values: Vec<Range<usize>>,
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not all; at least so many bytes are to come.
    Partial(usize),
    /// All of it.
    Whole,
}

impl Answer {
    /// Of this many elements.
    pub(crate) fn of(elements: usize) -> Self {
        Self { values: Vec::with_capacity(elements), ..Self::default() }
    }

    /// Goes on with what has been received by now, from the answer's first byte on.
    pub(crate) fn go_on(&mut self, received: &[u8]) -> Result<Progress, CacheError> {
        let mut left = match self.left {
            Some(left) => left,
            None => {
                let Some((line, next)) = line(received, self.at) else {
                    return Ok(Progress::Partial(1));
                };
                let elements = match line.split_first() {
                    Some((b'*', digits)) => number(digits)?,
                    Some((b'-', text)) => return Err(said(text)),
                    _ => None,
                };
                self.at = next;
                elements.filter(|count| *count > 0).ok_or_else(failure::odd_answer)?
            }
        };
        while left > 0 {
            self.left = Some(left);
            let Some((line, start)) = line(received, self.at) else {
                return Ok(Progress::Partial(1));
            };
            let Some((b'$', digits)) = line.split_first() else {
                return Err(failure::odd_answer());
            };
            match number(digits)? {
                None => {
                    self.values.push(0..0);
                    self.at = start;
                }
                Some(length) => {
                    let next = start + length + 2;
                    if received.len() < next {
                        return Ok(Progress::Partial(next - received.len()));
                    }
                    self.values.push(start..start + length);
                    self.at = next;
                }
            }
            left -= 1;
        }
        self.left = Some(0);
        Ok(Progress::Whole)
    }

    /// Where the values are, once the answer is whole.
    pub(crate) fn values(&self) -> &[Range<usize>] {
        &self.values
    }
    /// Where what comes after it begins.
    pub(crate) const fn end(&self) -> usize {
        self.at
    }
}

/// The line that begins there, without its end; and where the next begins.
pub(crate) fn line(received: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = received.get(at..)?;
    let end = rest.iter().position(|&byte| byte == b'\r')?;
    // The line feed belongs to it.
    (rest.len() > end + 1).then(|| (&rest[..end], at + end + 2))
}

/// A length; `None` is how RESP says that there is nothing, -1.
fn number(digits: &[u8]) -> Result<Option<usize>, CacheError> {
    if digits == b"-1" {
        return Ok(None);
    }
    // A value has 512 MB at most.
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(failure::odd_answer());
    }
    Ok(Some(digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))))
}

/// An error reply.
pub(crate) fn said(text: &[u8]) -> CacheError {
    failure::sort_reply(&String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests;
