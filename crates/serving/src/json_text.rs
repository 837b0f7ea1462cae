//! JSON as it is written: the bodies of requests, with names and texts borrowed from them. Numbers
//! stay text until their type is known: a double read on the way would cost int64 its digits, and
//! serde_json's own doubles are off by one in the last place now and then.

use std::{borrow::Cow, fmt, ops::Deref};

use serde_json::{Number, Value as Json};
use trivium_api::ApiError;

/// Arrays and objects within each other. Requests need six; more would only cost stack.
const DEPTH_MAX: usize = 32;

/// A string of the body: borrowed from it unless it holds escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value of the body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    /// As it is written; checked to be a number of JSON.
    Number(&'a str),
    Text(Text<'a>),
    Array(Vec<Node<'a>>),
    /// In their order; a name may stand twice.
    Object(Vec<(Text<'a>, Node<'a>)>),
}

/// Reads a whole body.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node<'_>, ApiError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ApiError::invalid(format!("the request body is not UTF-8: {error}")))?;
    if text.is_empty() {
        return Err(ApiError::invalid("the request body is empty").help("send a JSON object"));
    }
    let mut parser = Parser { text, at: 0 };
    parser.skip_space();
    let node = parser.node(0)?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.wrong("there is more after the value"));
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    #[cold]
    fn wrong(&self, what: &str) -> ApiError {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        ApiError::invalid(format!(
            "the request body is not JSON: {what} at line {line} column {column}"
        ))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node<'a>, ApiError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("values are nested too deeply"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.text().map(Node::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(_) => Err(self.wrong("expected a value")),
            None => Err(self.wrong("it ends where a value is expected")),
        }
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, ApiError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(node)
    }

    fn digits(&mut self) -> Result<(), ApiError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Node<'a>, ApiError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.wrong("a number does not start with a further zero"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Node::Number(&self.text[start..self.at]))
    }

    fn text(&mut self) -> Result<Text<'a>, ApiError> {
        self.at += 1;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            match self.peek() {
                None => return Err(self.wrong("it ends within a string")),
                Some(b'"') => {
                    let rest = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(Text(match owned {
                        None => Cow::Borrowed(rest),
                        Some(mut text) => {
                            text.push_str(rest);
                            Cow::Owned(text)
                        }
                    }));
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[copied..self.at]);
                    self.at += 1;
                    let character = self.escape()?;
                    owned.get_or_insert_default().push(character);
                    copied = self.at;
                }
                Some(0..=0x1f) => return Err(self.wrong("a control character within a string")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, ApiError> {
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.wrong("an unknown escape in a string")),
        };
        self.at += 1;
        Ok(character)
    }

    /// At the `u`; takes the second half of a surrogate pair too.
    fn unicode_escape(&mut self) -> Result<char, ApiError> {
        let first = self.four_digits()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    return Err(self.wrong("half of a surrogate pair"));
                }
                self.at += 1;
                let second = self.four_digits()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.wrong("half of a surrogate pair"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.wrong("half of a surrogate pair"))
    }

    fn four_digits(&mut self) -> Result<u32, ApiError> {
        let digits = self.text.get(self.at + 1..self.at + 5);
        let code = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(code) = code else { return Err(self.wrong("expected four hexadecimal digits")) };
        self.at += 5;
        Ok(code)
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, ApiError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.node(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::Array(items));
                }
                Some(_) => return Err(self.wrong("expected `,` or `]`")),
                None => return Err(self.wrong("it ends within an array")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, ApiError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(entries));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a name in quotes"));
            }
            let name = self.text()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("expected `:`"));
            }
            self.at += 1;
            self.skip_space();
            entries.push((name, self.node(depth + 1)?));
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::Object(entries));
                }
                Some(_) => return Err(self.wrong("expected `,` or `}`")),
                None => return Err(self.wrong("it ends within an object")),
            }
        }
    }
}

impl Node<'_> {
    /// The word for what it is, in messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// As the model's conversions take it. Numbers are read exactly: whole ones that fit as
    /// integers, others as the nearest double; beyond the doubles is an error.
    pub(crate) fn to_json(&self) -> Result<Json, String> {
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(text) => number(text)?,
            Self::Text(text) => Json::String(text.to_string()),
            Self::Array(items) => {
                Json::Array(items.iter().map(Node::to_json).collect::<Result<_, _>>()?)
            }
            // No value of ours is an object: what is in it does not matter.
            Self::Object(_) => Json::Object(serde_json::Map::new()),
        })
    }
}

fn number(text: &str) -> Result<Json, String> {
    // `-0` is the double: integers have one zero.
    if text != "-0" {
        if let Ok(value) = text.parse::<i64>() {
            return Ok(Json::from(value));
        }
        if let Ok(value) = text.parse::<u64>() {
            return Ok(Json::from(value));
        }
    }
    let value = text.parse::<f64>().ok().and_then(Number::from_f64);
    value.map(Json::Number).ok_or_else(|| {
        // ASCII, and perhaps as long as the body.
        let start = text.get(..40).unwrap_or(text);
        let rest = if start.len() < text.len() { "…" } else { "" };
        format!("the number {start}{rest} is beyond every type")
    })
}
