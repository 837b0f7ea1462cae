//! From a message to an event of one view.

use std::cell::OnceCell;

use trivium_codec::{
    Error as CodecError, Fingerprint, KeyShape, Row, RowEncoder, Schema, ValueRef,
};
use trivium_model::{
    FeatureView, FieldPath, KeyValue, Lane, PayloadFormat, Timestamp, Value, ViewRef,
};

use trivium_store::door::ROW_BYTES_MAX;

use crate::{
    AvroSchemas, Poison, Reason, Unread,
    avro::Known,
    change::{Change, ChangePlaces},
    column::{Column, Role, columns},
    condition::{Condition, Meets},
    document::Language,
    envelope,
    leaf::{Leaf, Reading},
    places::Places,
};

/// A message as its system gives it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    /// The key, where it has one.
    pub key: Option<&'m [u8]>,
    /// The value; none: a tombstone.
    pub value: Option<&'m [u8]>,
    /// Headers, in their order.
    pub headers: &'m [(&'m str, &'m [u8])],
    /// When it was made.
    pub time: Option<Timestamp>,
}

impl<'m> Message<'m> {
    /// The last header of this name.
    pub fn header(&self, name: &str) -> Option<&'m [u8]> {
        self.headers.iter().rev().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }
}

/// What a message says: the row of an entity, or that it has none any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Join key values, in the order of the sorted join key names.
    pub entity: Vec<KeyValue>,
    /// When the fact was true.
    pub event_time: Timestamp,
    /// Orders rows of one event time, where the message says so itself.
    pub sequence: Option<u64>,
    /// The whole row; none: delete.
    pub row: Option<Row>,
}

/// Reads messages of one view.
#[derive(Debug, Clone)]
pub struct Decoder {
    view: ViewRef,
    schema: Schema,
    keys: KeyShape,
    columns: Vec<Column>,
    /// Which messages are the view's; none: all.
    condition: Option<Condition>,
    reading: Reading,
    form: Form,
    language: Language,
    /// Of the key, as far as columns stand in its fields.
    key_places: Places,
}

#[derive(Debug, Clone)]
enum Form {
    Envelope,
    Document(Places),
    Change(Box<ChangePlaces>),
}

impl Decoder {
    /// Of a stream view; without a source its messages are envelopes.
    pub fn new(view: &FeatureView) -> Result<Self, String> {
        let schema = Schema::of_view(view).map_err(|error| error.to_string())?;
        let keys = KeyShape::new(view);
        let columns = columns(view, &keys, &schema);
        let condition = Condition::of(view, &columns)?;
        let format = view.row_source().map_or(PayloadFormat::Envelope, |source| source.format);
        let form = match format {
            PayloadFormat::Envelope => Form::Envelope,
            PayloadFormat::Json | PayloadFormat::Avro => {
                let mut places = Places::default();
                for (number, column) in columns.iter().enumerate() {
                    if let FieldPath::Value(steps) = &column.path {
                        places.want(steps, number);
                    }
                }
                Form::Document(places)
            }
            PayloadFormat::DebeziumJson | PayloadFormat::DebeziumAvro => {
                Form::Change(Box::new(ChangePlaces::new(&columns)))
            }
        };
        let mut key_places = Places::default();
        let wrapped = format.is_change_event();
        for (number, column) in columns.iter().enumerate() {
            let FieldPath::Key(steps) = &column.path else { continue };
            if steps.is_empty() {
                continue;
            }
            key_places.want(steps, number);
            if wrapped {
                let steps: Vec<String> =
                    std::iter::once("payload".to_owned()).chain(steps.iter().cloned()).collect();
                key_places.want(&steps, columns.len() + number);
            }
        }
        let reading = Reading::of(view);
        let language = Language::of(format);
        let view = view.reference();
        Ok(Self { view, schema, keys, columns, condition, reading, form, language, key_places })
    }

    /// The view.
    pub fn view(&self) -> &ViewRef {
        &self.view
    }

    /// The schema that rows are encoded under.
    pub fn fingerprint(&self) -> Fingerprint {
        self.schema.fingerprint()
    }

    /// To read messages one after the other.
    pub fn reader(&self) -> Reader<'_> {
        Reader { decoder: self, encoder: RowEncoder::new(&self.schema) }
    }
}

/// Reads one message after the other; keeps its buffers between them.
#[derive(Debug)]
pub struct Reader<'d> {
    decoder: &'d Decoder,
    encoder: RowEncoder<'d>,
}

impl Reader<'_> {
    /// What the message says; nothing where it is about nothing that the view keeps.
    pub fn read(
        &mut self,
        message: &Message<'_>,
        schemas: &AvroSchemas,
    ) -> Result<Option<Event>, Unread> {
        let decoder = self.decoder;
        let schemas = schemas.known();
        let parts = match &decoder.form {
            Form::Envelope => {
                Some(envelope::read(message.value, &decoder.view, &decoder.keys, &decoder.schema)?)
            }
            Form::Document(places) => {
                let mut found = vec![Leaf::Absent; decoder.columns.len()];
                if let Some(value) = message.value {
                    decoder.language.read("value", places, value, &schemas, &mut found)?;
                }
                let change = if message.value.is_none() { Change::Delete } else { Change::Put };
                decoder.parts(message, found, change, &schemas)?
            }
            Form::Change(places) => {
                // A tombstone, for compaction: the deletion was the message before it.
                let Some(value) = message.value else { return Ok(None) };
                let language = decoder.language;
                let read = places
                    .read(|places, found| language.read("value", places, value, &schemas, found))?;
                let (change, found) = read;
                decoder.parts(message, found, change, &schemas)?
            }
        };
        parts.map(|parts| Ok(self.event(parts)?)).transpose()
    }

    fn event(&mut self, parts: envelope::Parts) -> Result<Event, Poison> {
        let envelope::Parts { entity, event_time, sequence, values } = parts;
        let out = |field: &str, what: &str| {
            Poison::new(Reason::OutOfBounds, format!("{what} lies outside the years 0001 to 9999"))
                .at(field)
        };
        if !event_time.in_calendar() {
            return Err(out("event_time", "the event time"));
        }
        for (value, name) in entity.iter().zip(self.decoder.keys.key_names()) {
            let is_in = match value {
                KeyValue::Timestamp(at) => at.in_calendar(),
                KeyValue::Date(day) => Value::Date(*day).in_calendar(),
                _ => true,
            };
            if !is_in {
                return Err(out(name, "the join key"));
            }
        }
        // What no store could hold is told here, where one message is to blame and not a request.
        if let Err(error) = self.decoder.keys.encode(&entity) {
            return Err(Poison::new(Reason::TooLarge, error.to_string()).at("entity"));
        }
        let row = values.map(|values| self.row(&values)).transpose()?;
        Ok(Event { entity, event_time, sequence, row })
    }

    fn row(&mut self, values: &[Option<Value>]) -> Result<Row, Poison> {
        for (value, field) in values.iter().zip(self.decoder.schema.fields()) {
            if value.as_ref().is_some_and(|value| !value.in_calendar()) {
                let message = "the value lies outside the years 0001 to 9999";
                return Err(Poison::new(Reason::OutOfBounds, message).at(field.name.as_str()));
            }
        }
        let values: Vec<Option<ValueRef<'_>>> =
            values.iter().map(|value| value.as_ref().map(ValueRef::from)).collect();
        let row = self.encoder.encode(Lane::Stream, &values).map_err(|error| {
            let reason = match error {
                CodecError::RowTooLarge { .. } => Reason::TooLarge,
                _ => Reason::WrongType,
            };
            Poison::new(reason, error.to_string())
        })?;
        let bytes = row.as_bytes().len();
        if bytes > ROW_BYTES_MAX {
            let message = format!("the row has {bytes} bytes, and may have {ROW_BYTES_MAX}");
            return Err(Poison::new(Reason::TooLarge, message));
        }
        Ok(row)
    }
}

impl Decoder {
    /// The parts of a message whose columns stand in fields; none where it is about nothing that the view
    /// keeps.
    fn parts<'m>(
        &self,
        message: &Message<'m>,
        mut found: Vec<Leaf<'m>>,
        change: Change,
        schemas: &'m Known,
    ) -> Result<Option<envelope::Parts>, Unread> {
        if change == Change::Nothing {
            return Ok(None);
        }
        let mut of_key = self.key_fields(message, schemas)?;
        let mut value = |number: usize| {
            let column = &self.columns[number];
            let leaf = match &column.path {
                FieldPath::Value(_) | FieldPath::Event(_) => std::mem::take(&mut found[number]),
                FieldPath::Key(steps) if !steps.is_empty() => std::mem::take(&mut of_key[number]),
                FieldPath::Key(_) => message.key.map_or(Leaf::Absent, Leaf::Raw),
                FieldPath::Header(name) => message.header(name).map_or(Leaf::Absent, Leaf::Raw),
                FieldPath::Time => message.time.map_or(Leaf::Absent, Leaf::Instant),
            };
            self.reading.value(&column.data_type, leaf).map_err(|wrong| {
                Poison::new(Reason::WrongType, format!("`{}`: {wrong}", column.path))
                    .at(column.name.as_str())
            })
        };
        // Before anything else of the message is looked at: what is not the view's may look otherwise.
        let mut known = Vec::new();
        let mut is_delete = change == Change::Delete;
        if let Some(condition) = &self.condition {
            let meets;
            (meets, known) = condition.meets(self.columns.len(), change, &mut value)?;
            match meets {
                Meets::Kept => {}
                Meets::Left => is_delete = true,
                Meets::Passed => return Ok(None),
            }
        }
        let mut entity = Vec::with_capacity(self.keys.key_names().len());
        let mut event_time = None;
        let mut values = vec![None; if is_delete { 0 } else { self.schema.len() }];
        for (number, column) in self.columns.iter().enumerate() {
            match column.role {
                Role::Filter => continue,
                Role::Feature(_) if is_delete => continue,
                Role::Key(_) | Role::EventTime | Role::Feature(_) => {}
            }
            let value = match known.get_mut(number).and_then(OnceCell::take) {
                Some(known) => known?,
                None => value(number)?,
            };
            match column.role {
                Role::Filter => {}
                Role::Key(_) => entity.push(key_of(column, value)?),
                Role::EventTime => {
                    event_time = match value {
                        Some(Value::Timestamp(at)) => Some(at),
                        // What has no value has no field to say it in.
                        _ if message.value.is_none() => message.time,
                        _ => None,
                    };
                }
                Role::Feature(index) => values[index] = value,
            }
        }
        let Some(event_time) = event_time else {
            let column = self.columns.iter().find(|column| column.role == Role::EventTime);
            let (name, path) = column.map_or((String::new(), String::new()), |column| {
                (column.name.to_string(), column.path.to_string())
            });
            let message = format!("there is no event time at `{path}`");
            return Err(Poison::new(Reason::Missing, message)
                .at(name)
                .help("say in `source.columns` where it stands, or take `$time`")
                .into());
        };
        Ok(Some(envelope::Parts {
            entity,
            event_time,
            sequence: None,
            values: (!is_delete).then_some(values),
        }))
    }

    /// What columns are in the key's fields.
    fn key_fields<'m>(
        &self,
        message: &Message<'m>,
        schemas: &'m Known,
    ) -> Result<Vec<Leaf<'m>>, Unread> {
        if self.key_places.is_empty() {
            return Ok(Vec::new());
        }
        let count = self.columns.len();
        let mut found = vec![Leaf::Absent; 2 * count];
        if let Some(key) = message.key {
            let read = self.language.read("key", &self.key_places, key, schemas, &mut found);
            read.map_err(|unread| match unread {
                Unread::Poison(poison) => Unread::Poison(poison.at("$key")),
                needed @ Unread::SchemaNeeded(_) => needed,
            })?;
        }
        let wrapped = found.split_off(count);
        let either =
            |(direct, wrapped): (Leaf<'m>, _)| if direct.is_absent() { wrapped } else { direct };
        Ok(found.into_iter().zip(wrapped).map(either).collect())
    }
}

fn key_of(column: &Column, value: Option<Value>) -> Result<KeyValue, Poison> {
    Ok(match value {
        Some(Value::String(text)) => KeyValue::String(text),
        Some(Value::Int64(value)) => KeyValue::Int64(value),
        Some(Value::Bool(value)) => KeyValue::Bool(value),
        Some(Value::Bytes(bytes)) => KeyValue::Bytes(bytes),
        Some(Value::Date(days)) => KeyValue::Date(days),
        Some(Value::Timestamp(at)) => KeyValue::Timestamp(at),
        _ => {
            let message = format!("the join key is missing or null at `{}`", column.path);
            return Err(Poison::new(Reason::Missing, message)
                .at(column.name.as_str())
                .help("say in `source.columns` where it stands"));
        }
    })
}
