//! Walking the bytes of a datum.

use super::{
    schema::{Kind, Schema, TypeId},
    schemas::Known,
};
use crate::{Poison, Reason, Unread, leaf::Leaf, places::Places};

/// How deep values may lie in each other: a type may have itself as a part.
const DEPTH_MAX: usize = 64;
/// How many values without a byte a datum may have: what is nothing can be there without end.
const NOTHINGS_MAX: usize = 10_000;
/// What comes before the datum: a zero and the id of the schema.
const FRAME_BYTES: usize = 5;

/// A value in a datum, by its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datum<'m> {
    pub schema: &'m Schema,
    pub id: TypeId,
    pub bytes: &'m [u8],
}

impl<'m> Datum<'m> {
    pub fn is_null(&self) -> bool {
        matches!(self.schema.get(self.id).kind, Kind::Null)
    }

    /// The text of a string or of an enum.
    pub fn text(&self) -> Option<&'m str> {
        let mut cursor = Cursor::new(self.bytes);
        match &self.schema.get(self.id).kind {
            Kind::Text => std::str::from_utf8(cursor.block().ok()?).ok(),
            Kind::Enum(symbols) => cursor.symbol(symbols).ok(),
            _ => None,
        }
    }
}

/// What is wrong with the bytes.
#[derive(Debug)]
pub(crate) struct Broken(pub String);

impl From<Broken> for String {
    fn from(broken: Broken) -> Self {
        broken.0
    }
}

fn broken<T>(what: &str) -> Result<T, Broken> {
    Err(Broken(what.to_owned()))
}

/// Reads a framed datum; each value that is there goes to its number.
pub(crate) fn read<'m>(
    part: &str,
    places: &Places,
    bytes: &'m [u8],
    schemas: &'m Known,
    found: &mut [Leaf<'m>],
) -> Result<(), Unread> {
    let undecodable = |message: String| Poison::new(Reason::Undecodable, message);
    let Some(([0, id @ ..], datum)) = bytes.split_first_chunk::<FRAME_BYTES>() else {
        let message =
            format!("the {part} does not begin with a zero byte and the id of its Avro schema");
        return Err(undecodable(message).help("see the source's format").into());
    };
    let id = u32::from_be_bytes(*id);
    let schema = schemas.get(id)?;
    let mut cursor = Cursor::new(datum);
    let walked =
        cursor.pick(schema, schema.root(), places, found).and_then(|()| match cursor.rest.len() {
            0 => Ok(()),
            more => Err(Broken(format!("{more} bytes are left over at its end"))),
        });
    walked.map_err(|Broken(wrong)| {
        undecodable(format!("the {part} is no datum of the Avro schema {id}: {wrong}")).into()
    })
}

/// A place in the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'m> {
    rest: &'m [u8],
    depth: usize,
    nothings: usize,
}

impl<'m> Cursor<'m> {
    pub const fn new(bytes: &'m [u8]) -> Self {
        Self { rest: bytes, depth: 0, nothings: 0 }
    }

    pub fn take(&mut self, count: usize) -> Result<&'m [u8], Broken> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return broken("it is cut short");
        };
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return broken("it is cut short");
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub fn long(&mut self) -> Result<i64, Broken> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                break;
            }
            bits |= low << shift;
            if byte < 0x80 {
                return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        broken("a number has more than 64 bits")
    }

    pub fn int(&mut self) -> Result<i32, Broken> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| Broken("an int has more than 32 bits".to_owned()))
    }

    pub fn bool(&mut self) -> Result<bool, Broken> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => broken("a boolean is neither 0 nor 1"),
        }
    }

    /// Bytes behind their length.
    pub fn block(&mut self) -> Result<&'m [u8], Broken> {
        match usize::try_from(self.long()?) {
            Ok(length) => self.take(length),
            Err(_) => broken("a length is negative"),
        }
    }

    pub fn symbol<'s>(&mut self, symbols: &'s [String]) -> Result<&'s str, Broken> {
        let index = usize::try_from(self.int()?).ok();
        let symbol = index.and_then(|index| symbols.get(index));
        symbol.map(String::as_str).ok_or_else(|| Broken("an enum has no such symbol".to_owned()))
    }

    pub fn variant(&mut self, variants: &[TypeId]) -> Result<TypeId, Broken> {
        let index = usize::try_from(self.long()?).ok();
        let variant = index.and_then(|index| variants.get(index));
        variant.copied().ok_or_else(|| Broken("a union has no such branch".to_owned()))
    }

    /// The items of an array or a map, one after the other.
    pub fn items<E: From<Broken>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let count = self.long()?;
            if count < 0 {
                // Its bytes, for readers that jump.
                self.long()?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count.unsigned_abs() {
                self.within(&mut each)?;
            }
        }
    }

    /// One value, deeper by one, and counted if it is nothing.
    fn within<E: From<Broken>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.depth == DEPTH_MAX {
            return Err(Broken(format!("it is nested deeper than {DEPTH_MAX}")).into());
        }
        let before = self.rest.len();
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        if self.rest.len() == before {
            self.nothings += 1;
            if self.nothings > NOTHINGS_MAX {
                let wrong = format!("more than {NOTHINGS_MAX} of its values have no bytes");
                return Err(Broken(wrong).into());
            }
        }
        Ok(())
    }

    /// Passes over a value, and sees that it is one.
    pub fn skip(&mut self, schema: &Schema, id: TypeId) -> Result<(), Broken> {
        match &schema.get(id).kind {
            Kind::Null => Ok(()),
            Kind::Bool => self.bool().map(|_| ()),
            Kind::Int => self.int().map(|_| ()),
            Kind::Long => self.long().map(|_| ()),
            Kind::Float => self.take(4).map(|_| ()),
            Kind::Double => self.take(8).map(|_| ()),
            Kind::Bytes | Kind::Text => self.block().map(|_| ()),
            Kind::Fixed(size) => self.take(*size).map(|_| ()),
            Kind::Enum(symbols) => self.symbol(symbols).map(|_| ()),
            Kind::Array(item) => self.items(|cursor| cursor.skip(schema, *item)),
            Kind::Map(value) => self.items(|cursor| {
                cursor.block()?;
                cursor.skip(schema, *value)
            }),
            Kind::Union(variants) => {
                let variant = self.variant(variants)?;
                self.within(|cursor| cursor.skip(schema, variant))
            }
            Kind::Record(fields) => {
                for (_, field) in fields {
                    self.within(|cursor| cursor.skip(schema, *field))?;
                }
                Ok(())
            }
        }
    }

    /// Passes over a value, and keeps what is wanted of it.
    fn pick(
        &mut self,
        schema: &'m Schema,
        id: TypeId,
        places: &Places,
        found: &mut [Leaf<'m>],
    ) -> Result<(), Broken> {
        let kind = &schema.get(id).kind;
        if let Kind::Union(variants) = kind {
            let variant = self.variant(variants)?;
            return self.within(|cursor| cursor.pick(schema, variant, places, found));
        }
        if !places.wanted.is_empty() || places.steps.is_empty() {
            let mut after = self.clone();
            after.skip(schema, id)?;
            let bytes = &self.rest[..self.rest.len() - after.rest.len()];
            for number in &places.wanted {
                found[*number] = Leaf::Avro(Datum { schema, id, bytes });
            }
            let is_open = matches!(kind, Kind::Record(_) | Kind::Map(_) | Kind::Null);
            if places.steps.is_empty() || !is_open {
                *self = after;
                return Ok(());
            }
        }
        match kind {
            Kind::Record(fields) => {
                for (name, field) in fields {
                    self.within(|cursor| cursor.below(schema, *field, places.step(name), found))?;
                }
                Ok(())
            }
            Kind::Map(value) => self.items(|cursor| {
                let name = std::str::from_utf8(cursor.block()?).unwrap_or_default();
                cursor.below(schema, *value, places.step(name), found)
            }),
            // What stands below null is null.
            Kind::Null => {
                let null = Leaf::Avro(Datum { schema, id, bytes: &[] });
                places.fill(&null, found);
                Ok(())
            }
            other => Err(Broken(format!("{} stands where a record was expected", other.word()))),
        }
    }

    fn below(
        &mut self,
        schema: &'m Schema,
        id: TypeId,
        places: Option<&Places>,
        found: &mut [Leaf<'m>],
    ) -> Result<(), Broken> {
        match places {
            // Of a name that is written twice the last counts.
            Some(places) => {
                places.forget(found);
                self.pick(schema, id, places, found)
            }
            None => self.skip(schema, id),
        }
    }
}
