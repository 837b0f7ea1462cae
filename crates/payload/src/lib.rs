//! Messages of streams: from their bytes to rows, and back for producers.
//!
//! A [`Decoder`] is made of one view; it gives an [`Event`] for a message, nothing where the message is
//! about nothing that the view keeps, or a [`Poison`] that says what is wrong with it, where, and what
//! to do. Pure: no I/O, no clock. What a message means depends on its bytes and on the view alone, and
//! in Avro on the schema that it names, so that one that is read twice is the same event twice.

mod avro;
mod change;
mod column;
mod condition;
mod decoder;
mod document;
mod envelope;
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod leaf;
mod places;
mod poison;

pub use avro::AvroSchemas;
pub use decoder::{Decoder, Event, Message, Reader};
pub use envelope::{VIEW_HEADER, ordered_payload, payload, view_of};
pub use poison::{Poison, Reason, Unread};

#[cfg(test)]
mod tests;
