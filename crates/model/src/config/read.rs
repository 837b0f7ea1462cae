//! Reads one JSON text into a tree with positions, and checks the tree against its shape.
//!
//! Two passes make all errors come in one go: this one reports everything that is wrong with the
//! form, the builders (`view`, `service`) take what is well-formed, skip the rest silently, and
//! report what is wrong with the meaning.

use std::collections::HashSet;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, Value as Node},
    common::Ranged,
    parse_to_ast,
};
use serde_json::Value as Json;

use super::codes;
use super::limits::{CONFIG_BYTES_MAX, DIAGNOSTICS_MAX, SPAN_DAYS_MAX, TAG_CHARACTERS_MAX};
use super::shape::{Field, Kind, NameOf, Shape, Word};
use super::tree::{feature_path, integer, number, property, span_of, text};
use super::words::{listed, nearest, short, suggest};
use crate::{Diagnostic, LineIndex, Name, NameError, Timestamp};

/// One file being read: where its lines are and what was found so far.
pub(super) struct Reader<'t> {
    pub path: &'t str,
    lines: LineIndex<'t>,
    found: Vec<Diagnostic>,
}

impl<'t> Reader<'t> {
    pub fn new(path: &'t str, text: &'t str) -> Self {
        Self { path, lines: LineIndex::new(text), found: Vec::new() }
    }

    /// Whether no more is recorded: a hostile file could have more errors than fit in memory.
    fn is_full(&self) -> bool {
        self.found.len() >= DIAGNOSTICS_MAX
    }

    /// Records an error at a byte offset.
    pub fn error(
        &mut self,
        offset: usize,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if !self.is_full() {
            let at = self.lines.position(offset);
            self.found.push(Diagnostic::error(self.path, at, code, message, help));
        }
    }

    /// Records a warning at a byte offset.
    pub fn warn(
        &mut self,
        offset: usize,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if !self.is_full() {
            let at = self.lines.position(offset);
            self.found.push(Diagnostic::error(self.path, at, code, message, help).into_warning());
        }
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> (u32, u32) {
        self.lines.position(offset)
    }

    /// What was found, in the order of the text.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        self.found
    }

    /// The root object of a strict JSON text.
    pub fn root(&mut self, text: &'t str) -> Option<Object<'t>> {
        if text.len() > CONFIG_BYTES_MAX {
            let message = format!("the file has {} bytes", text.len());
            self.error(0, codes::TOO_LARGE, message, format!("keep it below {CONFIG_BYTES_MAX}"));
            return None;
        }
        let options = ParseOptions {
            allow_comments: false,
            allow_loose_object_property_names: false,
            allow_trailing_commas: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        if text.trim().is_empty() {
            self.error(0, codes::SYNTAX, "the file is empty", "write a JSON object");
            return None;
        }
        if text.starts_with('\u{feff}') {
            let message = "the file starts with a byte order mark";
            self.error(0, codes::SYNTAX, message, "save it as UTF-8 without one");
            return None;
        }
        const STRICT: &str = "write strict JSON: no comments, no trailing commas, double quotes";
        let parsed = match parse_to_ast(text, &CollectOptions::default(), &options) {
            Ok(parsed) => parsed,
            Err(error) => {
                let message = lower_first(&error.kind().to_string());
                self.error(error.range().start, codes::SYNTAX, message, STRICT);
                return None;
            }
        };
        // The tree's parser lets pass what JSON forbids: control characters in strings, leading
        // zeros, halves of surrogate pairs, numbers beyond every double.
        if let Err(error) = serde_json::from_str::<Json>(text) {
            let (line, column) = (error.line(), error.column());
            let whole = error.to_string();
            let message = whole.split(" at line ").next().unwrap_or(&whole).to_owned();
            let narrow = |number: usize| u32::try_from(number.max(1)).unwrap_or(u32::MAX);
            let at = (narrow(line), narrow(column));
            self.found.push(Diagnostic::error(self.path, at, codes::SYNTAX, message, STRICT));
            return None;
        }
        match parsed.value {
            Some(Node::Object(object)) => Some(object),
            Some(other) => {
                let message = format!("the file must hold a JSON object, found {}", found(&other));
                self.error(other.range().start, codes::WRONG_TYPE, message, "start it with `{`");
                None
            }
            None => {
                self.error(0, codes::SYNTAX, "the file is empty", "write a JSON object");
                None
            }
        }
    }

    /// Checks an object's form: unknown, repeated and missing fields, and each field's value.
    pub fn check_object(&mut self, object: &Object<'_>, shape: &Shape, extra: Option<&str>) {
        let mut seen = HashSet::new();
        for property in &object.properties {
            if self.is_full() {
                return;
            }
            let name = property.name.as_str();
            let start = property.name.range().start;
            if !seen.insert(name) {
                let message = format!("field `{}` is written twice", short(name));
                self.error(start, codes::DUPLICATE_FIELD, message, "keep one");
                continue;
            }
            if extra == Some(name) {
                continue;
            }
            let Some(field) = shape.fields.iter().find(|field| field.name == name) else {
                let known = shape.fields.iter().map(|field| field.name).chain(extra);
                let help = suggest(name, known);
                let message = format!("unknown field `{}` in {}", short(name), shape.what);
                self.error(start, codes::UNKNOWN_FIELD, message, help);
                continue;
            };
            let is_null = matches!(property.value, Node::NullKeyword(_));
            if field.required || !is_null {
                self.check(&property.value, &field.kind, &format!("`{name}`"));
            }
        }
        for field in shape.fields.iter().filter(|field| field.required) {
            if property(object, field.name).is_none() {
                self.missing(object, field, shape.what);
            }
        }
    }

    fn missing(&mut self, object: &Object<'_>, field: &Field, what: &str) {
        let message = format!("missing field `{}` in {what}", field.name);
        let help = format!("add it, as in `\"{}\": {}`", field.name, field.example);
        self.error(object.range.start, codes::MISSING_FIELD, message, help);
    }

    /// Checks a value's form. `label` names the value in messages.
    fn check(&mut self, node: &Node<'_>, kind: &Kind, label: &str) {
        let start = node.range().start;
        match kind {
            Kind::Any => {}
            Kind::Flag => {
                if !matches!(node, Node::BooleanLit(_)) {
                    self.wrong_type(node, label, "true or false");
                }
            }
            Kind::Integer { min, max } => self.check_integer(node, *min, *max, label),
            Kind::Number => {
                if number(node).is_none() {
                    self.wrong_type(node, label, "a number");
                }
            }
            Kind::Fraction => match number(node) {
                None => self.wrong_type(node, label, "a number from 0 to 1"),
                Some(value) if !(0.0..=1.0).contains(&value) => {
                    let message = format!("{label} is {value}");
                    self.error(start, codes::OUT_OF_RANGE, message, "write a number from 0 to 1");
                }
                Some(_) => {}
            },
            Kind::Text { .. }
            | Kind::Tag
            | Kind::Name(_)
            | Kind::FeaturePath
            | Kind::MessagePath
            | Kind::Word(_)
            | Kind::Span
            | Kind::Instant
            | Kind::Zone => match text(node) {
                Some(text) => self.check_text(start, text, kind, label),
                None => self.wrong_type(node, label, "a string"),
            },
            Kind::Object(shape) => match node {
                Node::Object(object) => self.check_object(object, shape, None),
                other => self.wrong_type(other, label, "an object"),
            },
            Kind::List { item, min, max } => match node {
                Node::Array(array) => {
                    let count = array.elements.len();
                    if count < *min {
                        let help = "write at least one item";
                        self.error(start, codes::EMPTY, format!("{label} is empty"), help);
                    }
                    if count > *max {
                        let message = format!("{label} has {count} items");
                        self.error(start, codes::TOO_MANY, message, format!("at most {max}"));
                        return;
                    }
                    for element in &array.elements {
                        self.check(element, item, &format!("an item of {label}"));
                    }
                }
                other => self.wrong_type(other, label, "an array"),
            },
            Kind::Map { key, value, max } => match node {
                Node::Object(object) => self.check_map(object, *key, value, *max, label),
                other => self.wrong_type(other, label, "an object"),
            },
            Kind::Tagged { tag, variants } => match node {
                Node::Object(object) => self.check_tagged(object, tag, variants, label),
                other => self.wrong_type(other, label, "an object"),
            },
            Kind::Choice { what, words, fields, example } => {
                self.check_choice(node, what, words, fields, example, label);
            }
        }
    }

    fn wrong_type(&mut self, node: &Node<'_>, label: &str, expected: &str) {
        let message = format!("{label} is {}", found(node));
        self.error(node.range().start, codes::WRONG_TYPE, message, format!("write {expected}"));
    }

    fn check_integer(&mut self, node: &Node<'_>, min: u64, max: u64, label: &str) {
        let Node::NumberLit(literal) = node else {
            return self.wrong_type(node, label, "a whole number");
        };
        if literal.value.contains(['.', 'e', 'E']) {
            return self.wrong_type(node, label, "a whole number");
        }
        if !integer(node).is_some_and(|value| (min..=max).contains(&value)) {
            let message = format!("{label} is {}", literal.value);
            let help = format!("write a whole number from {min} to {max}");
            self.error(literal.range.start, codes::OUT_OF_RANGE, message, help);
        }
    }

    fn check_text(&mut self, start: usize, text: &str, kind: &Kind, label: &str) {
        match kind {
            Kind::Text { characters_max } => {
                if text.trim().is_empty() {
                    self.error(start, codes::EMPTY, format!("{label} is empty"), "say something");
                }
                let count = text.chars().count();
                if count > *characters_max {
                    let message = format!("{label} has {count} characters");
                    self.error(
                        start,
                        codes::TOO_LONG,
                        message,
                        format!("at most {characters_max}"),
                    );
                }
            }
            Kind::Tag => {
                let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
                let fits = text.bytes().next().is_some_and(known)
                    && text.bytes().all(|b| known(b) || b"_-.:".contains(&b))
                    && text.len() <= TAG_CHARACTERS_MAX;
                if !fits {
                    let message = format!("`{}` is not a tag", short(text));
                    let help = format!(
                        "use lower-case letters, digits, `_`, `-`, `.` and `:`, at most {TAG_CHARACTERS_MAX} in all"
                    );
                    self.error(start, codes::BAD_TAG, message, help);
                }
            }
            Kind::Name(of) => self.check_name(start, text, *of),
            Kind::FeaturePath if feature_path(text).is_none() => {
                let message = format!("`{}` is not a feature of a view", short(text));
                let help = "write `view@version:feature`, as in `carrier_daily@1:flights`, without the namespace";
                self.error(start, codes::BAD_REFERENCE, message, help);
            }
            Kind::MessagePath if text.parse::<crate::FieldPath>().is_err() => {
                let message = format!("`{}` is no place in a message", short(text));
                let help = "write `a.b` for a field of the value, or `$key`, `$key.a`, `$header.name`, `$time`, `$event.a`";
                self.error(start, codes::BAD_PATH, message, help);
            }
            Kind::Word(words) if !words.iter().any(|known| known.word == text) => {
                let message = format!("{label} cannot be `{}`", short(text));
                let help = suggest(text, words.iter().map(|known| known.word));
                self.error(start, codes::UNKNOWN_WORD, message, help);
            }
            Kind::Span if span_of(text).is_none() => {
                let message = format!("`{}` is not a length of time", short(text));
                let help = format!(
                    "write a whole number and a unit (`s`, `m`, `h`, `d`, `w`), as in `14d`, at most {SPAN_DAYS_MAX} days"
                );
                self.error(start, codes::BAD_DURATION, message, help);
            }
            Kind::Instant if Timestamp::parse(text).is_none() => {
                let message = format!("`{}` is not an instant", short(text));
                let help =
                    "write a day, as in `2013-01-01`, or RFC 3339, as in `2013-01-01T06:00:00Z`";
                self.error(start, codes::BAD_TIME, message, help);
            }
            Kind::Zone if text.parse::<chrono_tz::Tz>().is_err() => {
                let message = format!("`{}` is not a known time zone", short(text));
                let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
                let help = nearest(text, zones).map_or_else(
                    || "write an IANA name, as in `America/New_York`".to_owned(),
                    |zone| format!("did you mean `{zone}`?"),
                );
                self.error(start, codes::BAD_ZONE, message, help);
            }
            _ => {}
        }
    }

    fn check_name(&mut self, start: usize, text: &str, of: NameOf) {
        if let Err(NameError::Malformed(_) | NameError::Reference { .. }) = Name::new(text) {
            let message = format!("`{}` is not a name", short(text));
            let help = "use a lower-case letter, then lower-case letters, digits and `_`, at most 63 in all";
            return self.error(start, codes::MALFORMED_NAME, message, help);
        }
        let reserved = of.reserved();
        if reserved.contains(&text) {
            let message = format!("the name `{text}` is reserved");
            let help = format!("take a name other than {}", listed(reserved.iter().copied()));
            self.error(start, codes::RESERVED_NAME, message, help);
        }
    }

    fn check_map(
        &mut self,
        object: &Object<'_>,
        key: NameOf,
        kind: &Kind,
        max: usize,
        label: &str,
    ) {
        let start = object.range.start;
        let count = object.properties.len();
        if count == 0 {
            self.error(start, codes::EMPTY, format!("{label} is empty"), "write at least one item");
        }
        if count > max {
            let message = format!("{label} has {count} items");
            return self.error(start, codes::TOO_MANY, message, format!("at most {max}"));
        }
        let mut seen = HashSet::new();
        for property in &object.properties {
            let name = property.name.as_str();
            let start = property.name.range().start;
            if !seen.insert(name) {
                let message = format!("`{}` is written twice in {label}", short(name));
                self.error(start, codes::DUPLICATE_FIELD, message, "keep one");
                continue;
            }
            self.check_name(start, name, key);
            self.check(&property.value, kind, &format!("`{}` in {label}", short(name)));
        }
    }

    fn check_tagged(
        &mut self,
        object: &Object<'_>,
        tag: &str,
        variants: &[(&'static str, Shape)],
        label: &str,
    ) {
        let known = || variants.iter().map(|(word, _)| *word);
        let Some(tagged) = property(object, tag) else {
            let message = format!("missing field `{tag}` in {label}");
            let help = format!("add it with one of {}", listed(known()));
            return self.error(object.range.start, codes::MISSING_FIELD, message, help);
        };
        let Some(word) = text(&tagged.value) else {
            return self.wrong_type(&tagged.value, &format!("`{tag}`"), "a string");
        };
        match variants.iter().find(|(name, _)| *name == word) {
            Some((_, shape)) => self.check_object(object, shape, Some(tag)),
            None => {
                let message = format!("`{tag}` cannot be `{}`", short(word));
                let help = suggest(word, known());
                self.error(tagged.value.range().start, codes::UNKNOWN_WORD, message, help);
            }
        }
    }

    fn check_choice(
        &mut self,
        node: &Node<'_>,
        what: &'static str,
        words: &[Word],
        fields: &'static [Field],
        example: &str,
        label: &str,
    ) {
        let start = node.range().start;
        let known =
            || words.iter().map(|known| known.word).chain(fields.iter().map(|field| field.name));
        match node {
            Node::StringLit(literal) => {
                let text: &str = &literal.value;
                if words.iter().any(|known| known.word == text) {
                    // It says all, even where an object of the same name says more.
                } else if let Some(field) = fields.iter().find(|field| field.name == text) {
                    let message = format!("{label} needs more than the word `{text}`");
                    let help = format!("write `{{\"{text}\": {}}}`", field.example);
                    self.error(start, codes::BAD_TYPE, message, help);
                } else {
                    let message = format!("`{}` is not {what}", short(text));
                    self.error(start, codes::UNKNOWN_WORD, message, suggest(text, known()));
                }
            }
            Node::Object(object) => {
                for property in &object.properties {
                    let name = property.name.as_str();
                    let at = property.name.range().start;
                    if let Some(field) = fields.iter().find(|field| field.name == name) {
                        self.check(&property.value, &field.kind, &format!("`{name}`"));
                    } else if name == "list" || name == "embedding" {
                        let message = format!("a list of {name}s is not supported");
                        let help = "lists hold scalars: take one of the scalar types";
                        self.error(at, codes::NESTED_TYPE, message, help);
                    } else if words.iter().any(|known| known.word == name) {
                        let message = format!("`{name}` takes nothing more");
                        self.error(at, codes::BAD_TYPE, message, format!("write `\"{name}\"`"));
                    } else {
                        let message = format!("unknown field `{}` in {what}", short(name));
                        self.error(at, codes::UNKNOWN_FIELD, message, suggest(name, known()));
                    }
                }
                if object.properties.len() != 1 {
                    let message = format!("{label} must have exactly one field");
                    let help = format!("write it as in `{example}`");
                    self.error(start, codes::BAD_TYPE, message, help);
                }
            }
            other => self.wrong_type(other, label, "a string or an object"),
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn found(node: &Node<'_>) -> String {
    match node {
        Node::StringLit(_) => "a string".to_owned(),
        Node::NumberLit(literal) => format!("the number {}", short(literal.value)),
        Node::BooleanLit(literal) => literal.value.to_string(),
        Node::Object(_) => "an object".to_owned(),
        Node::Array(_) => "an array".to_owned(),
        Node::NullKeyword(_) => "null".to_owned(),
    }
}
