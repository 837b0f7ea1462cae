//! CSV with a header line. Types follow from every value of the file, so they do not depend on where
//! a sample ends: int, bigint, double, boolean, date, timestamp, else string.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, StringArray, TimestampMicrosecondArray},
    csv::ReaderBuilder,
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    record_batch::RecordBatch,
};
use chrono_tz::Tz;
use trivium_engine::Error;

use super::{
    heard::{Heard, Refusal},
    instant,
};
use crate::{
    error::from_datafusion,
    functions::{cast, format},
    types::timestamp_type,
};

const BATCH_ROWS: usize = 8192;

fn source_error(path: &Path, message: impl ToString) -> Error {
    Error::Source { path: path.display().to_string(), message: message.to_string() }
}

/// What the file holds is wrong.
fn malformed(path: &Path, line: Option<u64>, message: impl ToString) -> Error {
    Error::Malformed { path: path.display().to_string(), line, message: message.to_string() }
}

/// What the reader says: the system would not let it read, or the text is no such table.
fn csv_error(path: &Path, refusal: &Refusal, error: ArrowError) -> Error {
    if let Some(refused) = refusal.take() {
        return source_error(path, refused);
    }
    let ArrowError::CsvError(message) = error else { return malformed(path, None, error) };
    let Some((before, record, after)) = record_of(&message) else {
        return malformed(path, None, message);
    };
    // The reader counts records, and people lines. The file is read once more to tell them.
    let line = File::open(path).ok().and_then(|file| line_of(BufReader::new(file), record));
    match line {
        Some(line) => malformed(path, Some(line), format!("{before}line {line}{after}")),
        None => malformed(path, None, format!("{before}record {record}{after}")),
    }
}

/// The record that the reader's words name, and the words around it; it has no other way to tell. It says
/// "line", and counts the header as the first.
fn record_of(message: &str) -> Option<(&str, u64, &str)> {
    let (before, from) = message.split_once("line ")?;
    let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
    let (number, after) = from.split_at_checked(end)?;
    Some((before, number.parse().ok()?, after))
}

/// The line on which a record begins, both counted from 1: lines without a character are no records, and a field
/// in quotes may go over several.
fn line_of(mut text: impl BufRead, record: u64) -> Option<u64> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Record,
        Field,
        Plain,
        Quoted,
        /// Behind a quote in quotes: the end of the field, or the first half of one quote.
        Quote,
    }
    let (mut at, mut line, mut records, mut was_return) = (At::Record, 1_u64, 0_u64, false);
    loop {
        let bytes = text.fill_buf().ok()?;
        if bytes.is_empty() {
            return None;
        }
        let count = bytes.len();
        for &byte in bytes {
            let is_end = byte == b'\n' || byte == b'\r';
            if at == At::Record && !is_end {
                records += 1;
                if records == record {
                    return Some(line);
                }
                at = At::Field;
            }
            at = match (at, byte) {
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) => At::Quoted,
                (At::Field | At::Quote, b'"') => At::Quoted,
                (_, b',') => At::Field,
                (_, b'\n' | b'\r') => At::Record,
                (_, _) => At::Plain,
            };
            // `\r\n` is one end.
            if is_end && !(byte == b'\n' && was_return) {
                line += 1;
            }
            was_return = byte == b'\r';
        }
        text.consume(count);
    }
}

/// The header's names, lower case, each once.
fn header(path: &Path) -> Result<Vec<String>, Error> {
    let file = File::open(path).map_err(|error| source_error(path, error))?;
    let (file, refusal) = Heard::new(file);
    let format = arrow::csv::reader::Format::default().with_header(true);
    let (schema, _) = format
        .infer_schema(BufReader::new(file), Some(0))
        .map_err(|error| csv_error(path, &refusal, error))?;
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field.name().trim_start_matches('\u{feff}').to_lowercase())
        .collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(malformed(path, Some(1), format!("the column `{name}` is there twice")));
        }
    }
    if names.is_empty() {
        return Err(malformed(path, None, "the file has no header line"));
    }
    Ok(names)
}

/// The file's batches, every column text, nulls as nulls.
fn texts<'a>(
    path: &'a Path,
    names: &[String],
    null: Option<&'a str>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<'a>, Error> {
    let file = File::open(path).map_err(|error| source_error(path, error))?;
    texts_of(path, file, names, null)
}

/// The batches of what is read of it.
pub(super) fn texts_of<'a, R: Read>(
    path: &'a Path,
    reader: R,
    names: &[String],
    null: Option<&'a str>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<'a, R>, Error> {
    let schema = Arc::new(Schema::new(
        names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>(),
    ));
    let (reader, refusal) = Heard::new(reader);
    let reader = ReaderBuilder::new(schema)
        .with_header(true)
        .with_batch_size(BATCH_ROWS)
        .build(BufReader::with_capacity(1 << 20, reader))
        .map_err(|error| csv_error(path, &refusal, error))?;
    Ok(reader.map(move |batch| {
        let batch = batch.map_err(|error| csv_error(path, &refusal, error))?;
        let columns = batch
            .columns()
            .iter()
            .map(|column| {
                let texts = column.as_string::<i32>();
                let kept: StringArray = texts
                    .iter()
                    .map(|text| text.filter(|text| !text.is_empty() && Some(*text) != null))
                    .collect();
                Arc::new(kept) as ArrayRef
            })
            .collect();
        RecordBatch::try_new(batch.schema(), columns).map_err(|error| source_error(path, error))
    }))
}

/// What a column's values so far could all be.
#[derive(Debug, Clone, Copy)]
struct Could {
    be: [bool; 6],
    any: bool,
}

const KINDS: usize = 6;

impl Could {
    const ALL: Self = Self { be: [true; KINDS], any: false };

    fn narrow(&mut self, text: &str) {
        self.any = true;
        let tests: [fn(&str) -> bool; KINDS] = [
            |text| is_integer(text) && text.parse::<i32>().is_ok(),
            |text| is_integer(text) && text.parse::<i64>().is_ok(),
            |text| !is_code(text) && cast::text_to_double(text).is_some(),
            |text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            |text| text.len() == 10 && format::read_date(text).is_some(),
            |text| text.len() >= 16 && format::read_timestamp(text).is_some(),
        ];
        for (could, test) in self.be.iter_mut().zip(tests) {
            *could = *could && test(text);
        }
    }

    fn data_type(self) -> DataType {
        let kinds: [DataType; KINDS] = [
            DataType::Int32,
            DataType::Int64,
            DataType::Float64,
            DataType::Boolean,
            DataType::Date32,
            timestamp_type(),
        ];
        if !self.any {
            return DataType::Utf8;
        }
        self.be
            .iter()
            .zip(kinds)
            .find_map(|(could, kind)| could.then_some(kind))
            .unwrap_or(DataType::Utf8)
    }
}

/// `007` and `+5` stay text: they are codes, not counts.
fn is_code(text: &str) -> bool {
    let number = text.strip_prefix('-').unwrap_or(text).as_bytes();
    number.first() == Some(&b'+')
        || (number.first() == Some(&b'0') && number.get(1).is_some_and(u8::is_ascii_digit))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !is_code(text)
}

/// The schema of CSV files that share their columns, from all of their values.
pub fn infer(paths: &[std::path::PathBuf], null: Option<&str>) -> Result<SchemaRef, Error> {
    let mut columns: Option<(Vec<String>, Vec<Could>)> = None;
    for path in paths {
        let names = header(path)?;
        let (known, could) =
            columns.get_or_insert_with(|| (names.clone(), vec![Could::ALL; names.len()]));
        if *known != names {
            return Err(malformed(
                path,
                Some(1),
                format!(
                    "its columns ({}) are not those of the files before it ({})",
                    names.join(", "),
                    known.join(", ")
                ),
            ));
        }
        for batch in texts(path, &names, null)? {
            for (column, could) in batch?.columns().iter().zip(could.iter_mut()) {
                for text in column.as_string::<i32>().iter().flatten() {
                    could.narrow(text);
                }
            }
        }
    }
    let (names, could) = columns.unwrap_or_default();
    let fields: Vec<Field> = names
        .iter()
        .zip(could)
        .map(|(name, could)| Field::new(name, could.data_type(), true))
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// Instants from text; those that name no zone are in `zone`.
fn local_times(texts: &ArrayRef, zone: Tz) -> ArrayRef {
    let times: TimestampMicrosecondArray = texts
        .as_string::<i32>()
        .iter()
        .map(|text| {
            let (micros, zoned) = format::read_zoned(text?)?;
            if zoned { Some(micros) } else { instant(micros, zone) }
        })
        .collect();
    Arc::new(times.with_data_type(timestamp_type()))
}

/// One file's rows in the types of `schema`.
pub fn read<'a>(
    path: &'a Path,
    schema: &SchemaRef,
    null: Option<&'a str>,
    zone: Option<Tz>,
) -> Result<impl Iterator<Item = Result<RecordBatch, Error>> + use<'a>, Error> {
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let schema = Arc::clone(schema);
    Ok(texts(path, &names, null)?.map(move |batch| {
        let columns = batch?
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| match (field.data_type(), zone) {
                (DataType::Timestamp(..), Some(zone)) => Ok(local_times(column, zone)),
                (data_type, _) => cast::convert(column, data_type, false).map_err(from_datafusion),
            })
            .collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|error| source_error(path, error))
    }))
}
