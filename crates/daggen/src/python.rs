//! Values as Python literals.
//!
//! The template's one filter. What a description contains stays a value: quotes, backslashes, line ends and
//! whatever else does not print are escaped, so that nothing ends the literal that it stands in, and what one
//! reads in the file is what is there (no text that turns the reading direction round, no look-alike space).

use std::fmt::Write as _;

use minijinja::{
    Error, ErrorKind,
    value::{Value, ValueKind},
};
use unicode_width::UnicodeWidthChar as _;

/// A value as Python writes it.
pub fn literal(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => value.to_string(),
        ValueKind::String => match value.as_str() {
            Some(text) => string(text),
            None => return Err(unfit(value)),
        },
        ValueKind::Seq => {
            let items: Result<Vec<String>, Error> =
                value.try_iter()?.map(|item| literal(&item)).collect();
            format!("[{}]", items?.join(", "))
        }
        _ => return Err(unfit(value)),
    })
}

/// `NAME = value`, on the lines that ruff would have it: in parentheses where it then fits, and not without.
pub fn assignment(name: &str, value: &Value) -> Result<String, Error> {
    /// As ruff has it where nothing else is said.
    const COLUMNS: usize = 88;
    let literal = literal(value)?;
    let columns: usize = literal.chars().map(|c| c.width().unwrap_or(0)).sum();
    Ok(if name.len() + " = ".len() + columns > COLUMNS && columns + "    ".len() <= COLUMNS {
        format!("{name} = (\n    {literal}\n)")
    } else {
        format!("{name} = {literal}")
    })
}

fn unfit(value: &Value) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("no Python literal for a {}", value.kind()))
}

/// Text as Python and ruff write it: between double quotes, unless single ones need fewer escapes.
pub fn string(text: &str) -> String {
    let doubles = text.matches('"').count();
    let quote = if doubles > text.matches('\'').count() { '\'' } else { '"' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c if u32::from(c) <= 0xff => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push(quote);
    out
}
