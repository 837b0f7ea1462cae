//! What configs may say, as data: the reader checks files against these tables and the JSON
//! Schema is written from them, so that the two cannot drift apart.

mod checks;
mod configs;
mod jobs;
mod sources;
mod types;
mod windows;

use super::limits::{
    DESCRIPTION_CHARACTERS_MAX, RESERVED_COLUMNS, RESERVED_NAMESPACES, SHORT_TEXT_CHARACTERS_MAX,
    TAGS_MAX, VERSION_MAX,
};

pub(super) use self::configs::{SERVICE, VIEW};
#[cfg(test)]
pub(super) use self::{
    checks::SEVERITIES,
    configs::LANES,
    types::{DISTANCES, KEY_TYPES, SCALARS},
};

/// A JSON object with known fields.
pub(super) struct Shape {
    /// For messages: "a feature".
    pub what: &'static str,
    pub description: &'static str,
    pub fields: &'static [Field],
}

pub(super) struct Field {
    pub name: &'static str,
    /// Optional fields may also be null, which says the same as leaving them out.
    pub required: bool,
    pub kind: Kind,
    pub description: &'static str,
    /// JSON text, for help and for the schema.
    pub example: &'static str,
}

pub(super) enum Kind {
    Text {
        characters_max: usize,
    },
    Tag,
    Name(NameOf),
    FeaturePath,
    /// A place in a message.
    MessagePath,
    Integer {
        min: u64,
        max: u64,
    },
    Number,
    Fraction,
    Flag,
    Word(&'static [Word]),
    Span,
    Instant,
    Zone,
    /// Any JSON; what may stand there depends on another field.
    Any,
    Object(&'static Shape),
    List {
        item: &'static Kind,
        min: usize,
        max: usize,
    },
    /// An object from names to values.
    Map {
        key: NameOf,
        value: &'static Kind,
        max: usize,
    },
    /// An object whose `tag` field says which shape it has.
    Tagged {
        tag: &'static str,
        variants: &'static [(&'static str, Shape)],
    },
    /// One of the words, or an object with exactly one of the fields.
    Choice {
        what: &'static str,
        words: &'static [Word],
        fields: &'static [Field],
        example: &'static str,
    },
}

/// What a name names: decides which names are reserved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NameOf {
    Namespace,
    /// A view or a service.
    Unit,
    /// A column that the view defines.
    Column,
    /// A column defined elsewhere.
    Reference,
}

impl NameOf {
    /// The reserved names among names of this kind.
    pub fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Namespace => RESERVED_NAMESPACES,
            Self::Column => RESERVED_COLUMNS,
            Self::Unit | Self::Reference => &[],
        }
    }
}

pub(super) struct Word {
    pub word: &'static str,
    pub description: &'static str,
}

const fn word(word: &'static str, description: &'static str) -> Word {
    Word { word, description }
}

const fn required(
    name: &'static str,
    kind: Kind,
    description: &'static str,
    example: &'static str,
) -> Field {
    Field { name, required: true, kind, description, example }
}

const fn optional(
    name: &'static str,
    kind: Kind,
    description: &'static str,
    example: &'static str,
) -> Field {
    Field { name, required: false, kind, description, example }
}

const SHORT_TEXT: Kind = Kind::Text { characters_max: SHORT_TEXT_CHARACTERS_MAX };
const DESCRIPTION: Kind = Kind::Text { characters_max: DESCRIPTION_CHARACTERS_MAX };
const TAGS: Kind = Kind::List { item: &Kind::Tag, min: 0, max: TAGS_MAX };
const VERSION: Kind = Kind::Integer { min: 1, max: VERSION_MAX as u64 };
const COLUMN: Kind = Kind::Name(NameOf::Column);
const REFERENCE: Kind = Kind::Name(NameOf::Reference);
