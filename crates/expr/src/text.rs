//! Text. Positions and lengths count characters, as in Spark.

use std::borrow::Cow;

use crate::{Datum, TEXT_BYTES_MAX};

/// The part of a text from a place on (1 is the first, -1 the last), so many characters.
pub(crate) fn slice(text: &str, start: i32, count: i32) -> &str {
    let total = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let (start, count) = (i64::from(start), i64::from(count));
    let from = match start {
        1.. => start - 1,
        0 => 0,
        _ => total + start,
    };
    let until = (from + count).clamp(0, total);
    let from = from.clamp(0, total);
    if until <= from {
        return "";
    }
    let place = |characters: i64| {
        let characters = usize::try_from(characters).unwrap_or(usize::MAX);
        text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
    };
    &text[place(from)..place(until)]
}

/// The last so many characters.
pub(crate) fn last(text: &str, count: i32) -> &str {
    match usize::try_from(count).ok().and_then(|count| count.checked_sub(1)) {
        Some(before) => text.char_indices().rev().nth(before).map_or(text, |(at, _)| &text[at..]),
        None => "",
    }
}

/// Texts in one; null if one is, or if it were too long.
pub(crate) fn concat<'v>(parts: impl Iterator<Item = Datum<'v>>) -> Datum<'v> {
    let mut all = String::new();
    for part in parts {
        let Datum::String(part) = part else { return Datum::Null };
        if all.len() + part.len() > TEXT_BYTES_MAX {
            return Datum::Null;
        }
        all.push_str(&part);
    }
    Datum::String(Cow::Owned(all))
}

/// Cuts what Spark cuts before it reads a value: white space and control characters.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

/// Keeps a part of a text, without copying it where the text was borrowed.
pub(crate) fn part<'v>(text: Datum<'v>, cut: impl for<'t> Fn(&'t str) -> &'t str) -> Datum<'v> {
    match text {
        Datum::String(Cow::Borrowed(text)) => Datum::String(Cow::Borrowed(cut(text))),
        Datum::String(Cow::Owned(text)) => Datum::String(Cow::Owned(cut(&text).to_owned())),
        _ => Datum::Null,
    }
}
