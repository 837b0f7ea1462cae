//! Documents: what a message's value and key are written in, if they have fields.

use trivium_model::PayloadFormat;

use crate::{
    Poison, Reason, Unread,
    avro::{self, Known},
    json,
    leaf::Leaf,
    places::Places,
};

/// How documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Json,
    /// Behind the id of its schema.
    Avro,
}

impl Language {
    pub const fn of(format: PayloadFormat) -> Self {
        match format {
            PayloadFormat::Avro | PayloadFormat::DebeziumAvro => Self::Avro,
            PayloadFormat::Envelope | PayloadFormat::Json | PayloadFormat::DebeziumJson => {
                Self::Json
            }
        }
    }

    /// Each value that is there goes to its number. `part` is what the document is of the message.
    pub fn read<'m>(
        self,
        part: &str,
        places: &Places,
        bytes: &'m [u8],
        schemas: &'m Known,
        found: &mut [Leaf<'m>],
    ) -> Result<(), Unread> {
        match self {
            Self::Json => json::read(places, bytes, found).map_err(|error| {
                let message = format!("the {part} is not the JSON that was expected: {error}");
                Poison::new(Reason::Undecodable, message).into()
            }),
            Self::Avro => avro::read(part, places, bytes, schemas, found),
        }
    }
}
