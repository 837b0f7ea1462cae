//! Reading rows that were written under an older schema of the same view version: features may have
//! been added since, and numbers widened.

use trivium_model::DataType;

use crate::{Error, Fingerprint, Row, RowReader, Schema, ValueRef};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Widening {
    None,
    Int32ToInt64,
    Float32ToFloat64,
}

/// Where each field of the current schema stands in rows of an older one.
#[derive(Debug, Clone)]
pub struct Projection {
    sources: Vec<Option<(usize, Widening)>>,
}

impl Projection {
    /// Fields are matched by name. Fails where a type changed otherwise than by widening.
    pub fn new(current: &Schema, written: &Schema) -> Result<Self, Error> {
        let source = |field: &crate::Field| {
            let Some(index) = written.index_of(&field.name) else { return Ok(None) };
            let was = &written.fields()[index].data_type;
            match widening(was, &field.data_type) {
                Some(widening) => Ok(Some((index, widening))),
                None => Err(Error::NotWidened {
                    field: field.name.as_str().to_owned(),
                    written: was.to_string(),
                    current: field.data_type.to_string(),
                }),
            }
        };
        Ok(Self { sources: current.fields().iter().map(source).collect::<Result<_, _>>()? })
    }

    /// The value of the current schema's field `index` in a row of the older one; unset where the
    /// older one does not have it.
    pub fn get<'a>(
        &self,
        reader: &RowReader<'a>,
        index: usize,
    ) -> Result<Option<ValueRef<'a>>, Error> {
        match self.sources.get(index) {
            None => Err(Error::NoSuchField { index, fields: self.sources.len() }),
            Some(None) => Ok(None),
            Some(Some((source, widening))) => {
                let value = reader.get(*source)?;
                Ok(match (widening, value) {
                    (Widening::Int32ToInt64, Some(ValueRef::Int32(value))) => {
                        Some(ValueRef::Int64(i64::from(value)))
                    }
                    (Widening::Float32ToFloat64, Some(ValueRef::Float32(value))) => {
                        Some(ValueRef::Float64(f64::from(value)))
                    }
                    (_, value) => value,
                })
            }
        }
    }
}

fn widening(written: &DataType, current: &DataType) -> Option<Widening> {
    match (written, current) {
        (DataType::Int32, DataType::Int64) => Some(Widening::Int32ToInt64),
        (DataType::Float32, DataType::Float64) => Some(Widening::Float32ToFloat64),
        (
            DataType::Decimal { precision: was, scale: old_scale },
            DataType::Decimal { precision: is, scale },
        ) if was <= is && old_scale == scale => Some(Widening::None),
        // The metric is of the index, not of the stored vector.
        (DataType::Embedding { dimension: was, .. }, DataType::Embedding { dimension: is, .. })
            if was == is =>
        {
            Some(Widening::None)
        }
        _ => (written == current).then_some(Widening::None),
    }
}

/// The current schema of a view version and the older ones whose rows may still be stored.
#[derive(Debug, Clone)]
pub struct Layouts {
    current: Schema,
    older: Vec<(Fingerprint, Schema, Projection)>,
}

impl Layouts {
    /// Fails where an older schema is not one that widened into the current one.
    pub fn new(current: Schema, older: impl IntoIterator<Item = Schema>) -> Result<Self, Error> {
        let mut layouts = Self { current, older: Vec::new() };
        for schema in older {
            let fingerprint = schema.fingerprint();
            let known = layouts.knows(fingerprint);
            if !known {
                let projection = Projection::new(&layouts.current, &schema)?;
                layouts.older.push((fingerprint, schema, projection));
            }
        }
        Ok(layouts)
    }

    /// The schema that rows are written under now, and whose indexes readers use.
    pub fn current(&self) -> &Schema {
        &self.current
    }

    /// Whether rows of this schema can be read.
    pub fn knows(&self, fingerprint: Fingerprint) -> bool {
        fingerprint == self.current.fingerprint()
            || self.older.iter().any(|(known, ..)| *known == fingerprint)
    }

    /// The schema with this fingerprint, current or older.
    pub fn schema(&self, fingerprint: Fingerprint) -> Option<&Schema> {
        if fingerprint == self.current.fingerprint() {
            return Some(&self.current);
        }
        self.older.iter().find(|(known, ..)| *known == fingerprint).map(|(_, schema, _)| schema)
    }

    /// Where a field of fixed width stands in rows of the current schema; `None` for the others.
    pub fn fixed_slot(&self, index: usize) -> Option<FixedSlot> {
        let slot = self.current.0.slots.get(index)?;
        Some(FixedSlot {
            width: slot.kind.width()?,
            position: slot.position as usize,
            byte: index / 8,
            bit: 1 << (index % 8),
        })
    }

    /// Reads a row, whichever of the schemas it was written under.
    #[inline]
    pub fn reader<'a>(&'a self, row: &'a Row) -> Result<LayoutReader<'a>, Error> {
        let fingerprint = row.fingerprint();
        if fingerprint == self.current.fingerprint() {
            return Ok(LayoutReader { reader: row.reader(&self.current)?, projection: None });
        }
        match self.older.iter().find(|(known, ..)| *known == fingerprint) {
            Some((_, schema, projection)) => {
                Ok(LayoutReader { reader: row.reader(schema)?, projection: Some(projection) })
            }
            None => {
                row.reader(&self.current).map(|reader| LayoutReader { reader, projection: None })
            }
        }
    }
}

/// The place of a field of fixed width, worked out once to be read in many rows.
#[derive(Debug, Clone, Copy)]
pub struct FixedSlot {
    pub(crate) width: usize,
    pub(crate) position: usize,
    /// Of its two bits, in each bitmap.
    pub(crate) byte: usize,
    pub(crate) bit: u8,
}

impl FixedSlot {
    /// The little-endian bytes of the value, in a section that [`LayoutReader::whole`] gave.
    #[inline]
    pub fn read<const WIDTH: usize>(&self, section: &[u8]) -> Option<[u8; WIDTH]> {
        if self.width != WIDTH {
            return None;
        }
        section.get(self.position..self.position + WIDTH)?.first_chunk().copied()
    }
}

/// Reads one row by the indexes of the current schema.
#[derive(Debug, Clone, Copy)]
pub struct LayoutReader<'a> {
    reader: RowReader<'a>,
    projection: Option<&'a Projection>,
}

impl<'a> LayoutReader<'a> {
    /// The value of the current schema's field; `None`: unset.
    #[inline]
    pub fn get(&self, index: usize) -> Result<Option<ValueRef<'a>>, Error> {
        match self.projection {
            None => self.reader.get(index),
            Some(projection) => projection.get(&self.reader, index),
        }
    }

    /// The section of values of fixed width of a row of the current schema that has all its values:
    /// asked once a row, it spares the question for each of them.
    #[inline]
    pub fn whole(&self) -> Option<&'a [u8]> {
        if self.projection.is_some() { None } else { self.reader.whole() }
    }

    /// The little-endian bytes of a value of fixed width. `None` where [`LayoutReader::get`] has to
    /// say what there is: a null, an unset value, a row of an older schema, another width.
    #[inline]
    pub fn fixed<const WIDTH: usize>(&self, slot: &FixedSlot) -> Option<[u8; WIDTH]> {
        if self.projection.is_some() || slot.width != WIDTH {
            return None;
        }
        self.reader.fixed(slot)
    }
}
