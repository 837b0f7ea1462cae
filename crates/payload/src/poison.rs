//! What cannot become a row, and why.

use std::fmt;

/// Why a message is dead-lettered: a few words, for metrics and filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The bytes are not of the format.
    Undecodable,
    /// It names a view, or a version of one, that is not known, or no view at all.
    UnknownView,
    /// A join key or the event time is not there.
    Missing,
    /// A value is not of its column's type.
    WrongType,
    /// An instant or a day beyond the calendar.
    OutOfBounds,
    /// A value or the row is larger than rows may be.
    TooLarge,
    /// Serving refused the row.
    Refused,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Undecodable,
        Self::UnknownView,
        Self::Missing,
        Self::WrongType,
        Self::OutOfBounds,
        Self::TooLarge,
        Self::Refused,
    ];

    /// The word in headers, metrics and filters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownView => "unknown_view",
            Self::Missing => "missing",
            Self::WrongType => "wrong_type",
            Self::OutOfBounds => "out_of_bounds",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
        }
    }

    /// What to do, where nothing closer is known.
    const fn help(self) -> &'static str {
        match self {
            Self::Undecodable => "send messages of the format that `source.format` names",
            Self::UnknownView => "name a stream view that is served online, or apply it",
            Self::Missing => "send every join key and the event time, none of them null",
            Self::WrongType => {
                "send the column's type, or make a version of the view that has this one"
            }
            Self::OutOfBounds => {
                "send times of the years 0001 to 9999; `source.time_unit` says what numbers count"
            }
            Self::TooLarge => "send less",
            Self::Refused => "send what serving takes",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A message that cannot become a row. Its words repeat no more of the message than a short value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// In a word.
    pub reason: Reason,
    /// Where: the column, or the place in the message; empty for the whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Poison {
    /// Of the whole message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let help = reason.help().to_owned();
        Self { reason, field: String::new(), message: message.into(), help }
    }
    /// The same, at a place.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
    /// The same, with what to do; what is empty says less than the reason does.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        let help = help.into();
        if !help.is_empty() {
            self.help = help;
        }
        self
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}
impl std::error::Error for Poison {}

/// Why a message was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It cannot become a row.
    Poison(Poison),
    /// It is written under the Avro schema of this id, which [`crate::AvroSchemas`] does not have: fetch
    /// it, put it in, and read the message again.
    SchemaNeeded(u32),
}

impl From<Poison> for Unread {
    fn from(poison: Poison) -> Self {
        Self::Poison(poison)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poison(poison) => poison.fmt(f),
            Self::SchemaNeeded(id) => write!(f, "the Avro schema {id} is not at hand"),
        }
    }
}
impl std::error::Error for Unread {}
