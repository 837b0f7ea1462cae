//! Messages as tables of Flink, and types of Trivium as Flink's.
//!
//! An input is two things: a table of its messages as they are, and a view of it under the names and types that the
//! author declared. The view passes over messages without an event time, which would end the job; the table gives
//! them the oldest of all times meanwhile, so that they move no watermark.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use trivium_model::{
    DataType, Feature, FeatureView, InputFormat, Name, StreamInput, StreamSystem, TimeSpan,
    TimeUnit,
};

use crate::{
    Error, Settings,
    settings::{TRANSACTION_TIMEOUT_MS, region},
};

/// A literal of text.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name.
pub fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A length of time as an option of Flink's.
pub fn duration(span: TimeSpan) -> String {
    format!("{} ms", span.micros() / 1_000)
}

/// A length of time in an expression. Flink takes three digits of the first unit at most.
pub fn interval(seconds: i64, millis: Option<u32>) -> String {
    let fraction = millis.map_or_else(String::new, |millis| format!(".{millis:03}"));
    let digits = seconds.to_string().len().max(2);
    if digits <= 3 {
        let of_fraction = millis.map_or("", |_| ", 3");
        return format!("INTERVAL '{seconds}{fraction}' SECOND({digits}{of_fraction})");
    }
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("INTERVAL '{days} {hours:02}:{minutes:02}:{seconds:02}{fraction}' DAY(3) TO SECOND(3)")
}

/// The type that values of an input's column have in the SQL.
pub fn type_of(data_type: &DataType) -> String {
    match data_type {
        DataType::Bool => "BOOLEAN".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::String => "STRING".to_owned(),
        DataType::Bytes => "BYTES".to_owned(),
        DataType::Timestamp => "TIMESTAMP_LTZ(6)".to_owned(),
        DataType::Date => "DATE".to_owned(),
        DataType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        DataType::List(item) => format!("ARRAY<{}>", type_of(item)),
        DataType::Embedding { .. } => "ARRAY<FLOAT>".to_owned(),
    }
}

/// The type of a column of payloads: what Flink's JSON writes as the worker reads it. It writes decimals as
/// numbers, which the worker refuses: a reader of JSON may have made doubles of them.
fn payload_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal { .. } => "STRING".to_owned(),
        DataType::List(item) => format!("ARRAY<{}>", payload_type(item)),
        other => type_of(other),
    }
}

/// A column as the payload has it.
fn payload_value(column: &str, data_type: &DataType) -> String {
    let column = name(column);
    if payload_type(data_type) == type_of(data_type) {
        return column;
    }
    format!("CAST(CAST({column} AS {}) AS {})", type_of(data_type), payload_type(data_type))
}

/// A table: its columns as lines of SQL, and its options.
#[derive(Debug)]
pub struct Table {
    /// Its name, quoted.
    pub name: String,
    /// Column definitions.
    pub columns: Vec<String>,
    /// What stands in WITH, quoted.
    pub options: Vec<(String, String)>,
}

/// An input: its messages, and what the author sees of them.
#[derive(Debug)]
pub struct Input {
    /// The messages.
    pub messages: Table,
    /// The author's name for it, quoted.
    pub name: String,
    /// The author's columns.
    pub columns: Vec<String>,
    /// Which messages it has.
    pub condition: String,
}

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        let options: Vec<Vec<String>> =
            table.options.into_iter().map(|(key, value)| vec![key, value]).collect();
        context! { name => table.name, columns => table.columns, options => options }
    }
}

impl From<Input> for Value {
    fn from(input: Input) -> Self {
        context! {
            messages => Self::from(input.messages),
            name => input.name,
            columns => input.columns,
            condition => input.condition,
        }
    }
}

impl From<Payload> for Value {
    fn from(payload: Payload) -> Self {
        context! { table => Self::from(payload.table), values => payload.values }
    }
}

/// Where messages come from and payloads go.
#[derive(Debug, Clone, Copy)]
pub enum Places<'p> {
    /// The systems that the view names.
    Systems(&'p Settings),
    /// Folders of files: `in/<input>` and `out` in this one.
    Folder(&'p str),
}

fn options(pairs: Vec<(&str, String)>) -> Vec<(String, String)> {
    pairs.into_iter().map(|(key, value)| (literal(key), literal(&value))).collect()
}

/// The name by which a job is known to brokers: one for each version of a view.
pub fn group(view: &FeatureView) -> String {
    format!("trivium-{}.{}.v{}", view.namespace, view.name, view.version)
}

/// The view's input as tables.
pub fn input(view: &FeatureView, input: &StreamInput, places: Places<'_>) -> Result<Input, Error> {
    let mut fields = Fields::default();
    for column in &input.columns {
        fields.add(&column.steps(), message_type(input, &column.name, &column.data_type));
    }
    let place = |column: &str| {
        let found = input.columns.iter().find(|other| other.name == *column);
        let steps = found.map_or_else(|| vec![column], |column| column.steps());
        steps.into_iter().map(name).collect::<Vec<_>>().join(".")
    };
    let event_time = place(input.event_time.as_str());
    let time = instant(&event_time, input.time_unit);
    let mut columns = fields.definitions();
    columns.push(format!("`trivium_time` AS COALESCE({time}, TO_TIMESTAMP_LTZ(0, 3))"));
    let late = input.watermark.micros() / 1_000_000;
    columns
        .push(format!("WATERMARK FOR `trivium_time` AS `trivium_time` - {}", interval(late, None)));
    let seen = input.columns.iter().map(|column| {
        let (place, name) = (place(column.name.as_str()), name(column.name.as_str()));
        if column.name == input.event_time {
            format!("`trivium_time` AS {name}")
        } else if column.data_type == DataType::Timestamp && input.time_unit.is_some() {
            format!("{} AS {name}", instant(&place, input.time_unit))
        } else {
            format!("{place} AS {name}")
        }
    });
    let messages = name(&format!("trivium_messages_{}", input.name));
    let options = input_options(view, input, places)?;
    Ok(Input {
        messages: Table { name: messages, columns, options },
        name: name(input.name.as_str()),
        columns: seen.collect(),
        // Of a number that is no instant, too.
        condition: format!("{time} IS NOT NULL"),
    })
}

/// The type of a field of the message.
fn message_type(input: &StreamInput, column: &Name, data_type: &DataType) -> String {
    match (data_type, input.time_unit) {
        (DataType::Timestamp, Some(_)) => "BIGINT".to_owned(),
        // Event time is of milliseconds, to Flink.
        (DataType::Timestamp, None) if *column == input.event_time => "TIMESTAMP_LTZ(3)".to_owned(),
        _ => type_of(data_type),
    }
}

/// An instant from a message's number.
fn instant(place: &str, unit: Option<TimeUnit>) -> String {
    match unit {
        None => place.to_owned(),
        Some(TimeUnit::Seconds) => format!("TO_TIMESTAMP_LTZ({place}, 0)"),
        Some(TimeUnit::Millis) => format!("TO_TIMESTAMP_LTZ({place}, 3)"),
        Some(TimeUnit::Micros) => format!("TO_TIMESTAMP_LTZ({place} / 1000, 3)"),
        Some(TimeUnit::Nanos) => format!("TO_TIMESTAMP_LTZ({place} / 1000000, 3)"),
    }
}

pub(crate) fn input_options(
    view: &FeatureView,
    input: &StreamInput,
    places: Places<'_>,
) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = match (places, input.system) {
        (Places::Folder(folder), _) => vec![
            ("connector", "filesystem".to_owned()),
            ("path", format!("{folder}/in/{}", input.name)),
        ],
        (Places::Systems(settings), StreamSystem::Kafka) => vec![
            ("connector", "kafka".to_owned()),
            ("topic", input.topic.clone()),
            ("properties.bootstrap.servers", settings.brokers.clone()),
            ("properties.group.id", group(view)),
            ("properties.auto.offset.reset", "earliest".to_owned()),
            ("properties.isolation.level", "read_committed".to_owned()),
            ("scan.startup.mode", "group-offsets".to_owned()),
        ],
        (Places::Systems(settings), StreamSystem::Kinesis) => {
            let Some(arn) = &settings.kinesis else {
                return Err(Error::Invalid {
                    place: format!("{}: inputs.{}", view.reference(), input.name),
                    message: "it is of Kinesis, and the project does not say whose".to_owned(),
                    help: "add `kinesis = \"arn:aws:kinesis:REGION:ACCOUNT:stream/\"` to [flink] of the project file".to_owned(),
                });
            };
            let mut pairs = vec![
                ("connector", "kinesis".to_owned()),
                ("stream.arn", format!("{arn}{}", input.topic)),
                ("aws.region", region(arn).unwrap_or_default().to_owned()),
                ("source.init.position", "TRIM_HORIZON".to_owned()),
            ];
            for (key, value) in &settings.kinesis_options {
                match pairs.iter_mut().find(|(known, _)| known == key) {
                    Some((_, known)) => known.clone_from(value),
                    None => pairs.push((key, value.clone())),
                }
            }
            pairs
        }
    };
    match input.format {
        InputFormat::Json => {
            let prefix = [
                ("format", "json"),
                ("json.timestamp-format.standard", "ISO-8601"),
                // One message that cannot be read would end the job, for ever.
                ("json.ignore-parse-errors", "true"),
            ];
            pairs.extend(prefix.map(|(key, value)| (key, value.to_owned())));
        }
    }
    let mut options = options(pairs);
    if let (Places::Systems(settings), StreamSystem::Kafka) = (places, input.system) {
        add_clients(&mut options, settings);
    }
    Ok(options)
}

/// The project's own settings of Kafka's clients; they replace the job's.
fn add_clients(options: &mut Vec<(String, String)>, settings: &Settings) {
    for (key, value) in &settings.kafka {
        let (key, value) = (literal(&format!("properties.{key}")), literal(value));
        match options.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => options.push((key, value)),
        }
    }
}

/// What the job writes: the table, and the author's columns as it has them.
#[derive(Debug)]
pub struct Payload {
    /// The table.
    pub table: Table,
    /// In the order of the table's columns.
    pub values: Vec<String>,
}

/// The view's payload topic.
pub fn payload(view: &FeatureView, places: Places<'_>) -> Payload {
    let instants = std::iter::once(&view.event_timestamp).chain(&view.created_timestamp);
    // The order in which an author names them says nothing. By it, the job would be another one, and the keys of messages,
    // and an entity's rows be in two partitions.
    let entities = view.sorted_entities();
    let mut features: Vec<&Feature> = view.features.iter().collect();
    features.sort_by(|a, b| a.name.cmp(&b.name));
    let columns: Vec<(&str, DataType)> = entities
        .iter()
        .map(|entity| (entity.name.as_str(), entity.key_type.data_type()))
        .chain(instants.map(|name| (name.as_str(), DataType::Timestamp)))
        .chain(features.into_iter().map(|of| (of.name.as_str(), of.data_type.clone())))
        .collect();
    let keys: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    let topic = view.source.as_ref().map_or("", |source| source.topic.as_str());
    let options = match places {
        Places::Folder(folder) => options(vec![
            ("connector", "filesystem".to_owned()),
            ("path", format!("{folder}/out")),
            ("format", "json".to_owned()),
            ("json.timestamp-format.standard", "ISO-8601".to_owned()),
        ]),
        Places::Systems(settings) => {
            let mut pairs = options(vec![
                ("connector", "kafka".to_owned()),
                ("topic", topic.to_owned()),
                ("properties.bootstrap.servers", settings.brokers.clone()),
                // As long as brokers allow by themselves: a job that is away longer loses what it had not committed.
                ("properties.transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string()),
                ("sink.delivery-guarantee", "exactly-once".to_owned()),
                ("sink.transactional-id-prefix", group(view)),
                ("key.format", "json".to_owned()),
                ("key.json.timestamp-format.standard", "ISO-8601".to_owned()),
                ("key.fields", keys.join(";")),
                ("value.format", "json".to_owned()),
                ("value.json.timestamp-format.standard", "ISO-8601".to_owned()),
                ("value.fields-include", "ALL".to_owned()),
            ]);
            add_clients(&mut pairs, settings);
            pairs
        }
    };
    let definition = |(column, data_type): &(&str, DataType)| {
        format!("{} {}", name(column), payload_type(data_type))
    };
    Payload {
        table: Table {
            name: "`trivium_payload`".to_owned(),
            columns: columns.iter().map(definition).collect(),
            options,
        },
        values: columns.iter().map(|(column, of)| payload_value(column, of)).collect(),
    }
}

/// The fields of a message, which may have fields themselves; in the order in which they are first named.
#[derive(Default)]
pub(crate) struct Fields {
    order: Vec<String>,
    of: BTreeMap<String, Field>,
}

enum Field {
    Value(String),
    Object(Fields),
}

impl Fields {
    /// Two columns of one place are refused before: the first one counts.
    pub(crate) fn add(&mut self, steps: &[&str], data_type: String) {
        let Some((first, rest)) = steps.split_first() else { return };
        if !self.of.contains_key(*first) {
            self.order.push((*first).to_owned());
        }
        if rest.is_empty() {
            self.of.entry((*first).to_owned()).or_insert(Field::Value(data_type));
        } else if let Field::Object(inner) =
            self.of.entry((*first).to_owned()).or_insert_with(|| Field::Object(Self::default()))
        {
            inner.add(rest, data_type);
        }
    }

    pub(crate) fn definitions(&self) -> Vec<String> {
        let shown = |field: &String| {
            let data_type = match self.of.get(field)? {
                Field::Value(data_type) => data_type.clone(),
                Field::Object(inner) => format!("ROW<{}>", inner.definitions().join(", ")),
            };
            Some(format!("{} {data_type}", name(field)))
        };
        self.order.iter().filter_map(shown).collect()
    }
}
