//! The job of a view whose windows Flink computes, made of the declaration by which the worker would compute them.
//!
//! What Flink does otherwise is written so that it gives the same: sums in a type that has room, NaN as the largest
//! number, the last value as the largest of texts that begin with the event's time and position, the first of equal events
//! as the first that comes. Windows end a millisecond after the watermark has passed them, and watermarks come with
//! each event, so that an event is late where it is late for the worker. What cannot be written is refused by name.

use trivium_expr::WindowFilter;
use trivium_model::{
    DataType, FeatureView, FieldPath, InputFormat, Name, PayloadFormat, StreamInput, StreamJob,
    StreamSource, StreamSystem, StreamWindow, TimeUnit, WindowAggregate, config::position_within,
};
use trivium_registry::project::ProjectView;

use crate::{
    Error,
    job::Parts,
    tables::{Fields, Input, Places, Table, input_options, interval, literal, name, type_of},
};

/// The name of the input, for recorded events.
pub const EVENTS: &str = "events";
/// What tables, columns and fields of the job's own begin with.
const OWN: &str = "trivium_";
/// Columns that Flink adds to what is in a window.
const OF_WINDOWS: [&str; 3] = ["window_start", "window_end", "window_time"];
/// Digits before a decimal's sum of ten thousand million values may be beyond 38, after which Flink's begins anew.
const SUMMED_DIGITS_MAX: u8 = 28;
/// The first and the last second of the years that rows may be of.
const SECONDS: (i64, i64) = (-62_135_596_800, 253_402_300_799);
/// How a time is written, so that texts are in the order of times.
const TIME_FORMAT: &str = "yyyy-MM-dd HH:mm:ss.SSSSSS";
/// Digits of a position in a partition.
const POSITION_DIGITS: usize = 19;

/// A column of the events.
struct Column<'v> {
    name: &'v Name,
    data_type: DataType,
    /// Its value, of a message.
    value: String,
    /// Where it stands in a message.
    place: String,
}

struct Windows<'v> {
    loaded: &'v ProjectView,
    window: &'v StreamWindow,
    source: &'v StreamSource,
    places: Places<'v>,
}

/// The parts of the view's job; none of views whose windows Flink does not compute.
pub fn parts(loaded: &ProjectView, places: Places<'_>) -> Result<Option<Parts>, Error> {
    let view = &loaded.view;
    let (Some(window), Some(source)) = (&view.window, &view.source) else { return Ok(None) };
    let Some(job) = &window.job else { return Ok(None) };
    Windows { loaded, window, source, places }.parts(job).map(Some)
}

impl Windows<'_> {
    fn refused<T>(&self, field: &str, message: &str, help: &str) -> Result<T, Error> {
        Err(Error::Invalid {
            place: format!("{}: {field}", self.loaded.config_path),
            message: message.to_owned(),
            help: format!("{help}, or remove `window.job`: the worker computes it"),
        })
    }

    fn parts(&self, job: &StreamJob) -> Result<Parts, Error> {
        let view = &self.loaded.view;
        match self.source.format {
            PayloadFormat::Json => {}
            other => {
                let message = format!("a job does not read messages of format `{}`", other.word());
                return self.refused("source.format", &message, "send them as JSON");
            }
        }
        let (keys, time, columns) = self.columns()?;
        let mut fields = Fields::default();
        self.check_places()?;
        for column in keys.iter().chain([&time]).chain(&columns) {
            fields.add(&self.steps(column.name)?, self.message_type(&column.data_type));
        }
        let is_event = self.is_event(&keys, &time);
        let input = self.input(fields, &is_event, &keys, &time, &columns)?;
        let (table, views) = self.first_of_equal(&input, &keys);
        let statement = self.statement(&table, &keys)?;
        // What the job writes, and the worker reads: without the clocks and tables of the source.
        let written = FeatureView {
            source: view.row_source().map(std::borrow::Cow::into_owned),
            created_timestamp: None,
            time_zone: None,
            ..view.clone()
        };
        Ok(Parts {
            view: written,
            job: job.clone(),
            inputs: vec![input],
            views,
            statement,
            has_sql: false,
        })
    }

    /// The steps to a column from the top of the value.
    fn steps<'s>(&'s self, column: &'s Name) -> Result<Vec<&'s str>, Error> {
        match self.source.columns.get(column) {
            None => Ok(vec![column.as_str()]),
            Some(FieldPath::Value(steps)) => Ok(steps.iter().map(String::as_str).collect()),
            Some(other) => self.refused(
                &format!("source.columns.{column}"),
                &format!("a job does not read `{other}`"),
                "let it stand in the message's value",
            ),
        }
    }

    fn message_type(&self, data_type: &DataType) -> String {
        match (data_type, self.source.time_unit) {
            (DataType::Timestamp, Some(_)) => "BIGINT".to_owned(),
            _ => type_of(data_type),
        }
    }

    /// Join keys, event time, and the events' other columns.
    fn columns(&self) -> Result<(Vec<Column<'_>>, Column<'_>, Vec<Column<'_>>), Error> {
        let view = &self.loaded.view;
        let column = |name: &'_ Name, data_type: DataType| {
            let place = self.steps(name)?.into_iter().map(self::name).collect::<Vec<_>>().join(".");
            Ok((place.clone(), self.value(&place, &data_type), data_type))
        };
        let made = |name, data_type| {
            let (place, value, data_type) = column(name, data_type)?;
            Ok::<_, Error>(Column { name, data_type, value, place })
        };
        // Their order is that of the state's keys, and an author may change it.
        let keys = view.sorted_entities();
        let keys = keys.into_iter().map(|key| made(&key.name, key.key_type.data_type()));
        let columns = self.window.columns.iter().map(|one| made(&one.name, one.data_type.clone()));
        let keys = keys.collect::<Result<Vec<_>, Error>>()?;
        let time = made(&view.event_timestamp, DataType::Timestamp)?;
        let columns = columns.collect::<Result<Vec<_>, Error>>()?;
        for column in keys.iter().chain(&columns) {
            let word = column.name.as_str();
            if OF_WINDOWS.contains(&word) || word.starts_with(OWN) {
                let message = format!("in a job, `{word}` is a column of Flink's or the job's own");
                return self.refused(&format!("`{word}`"), &message, "rename it");
            }
        }
        Ok((keys, time, columns))
    }

    /// A column's value, where it stands there.
    fn value(&self, place: &str, data_type: &DataType) -> String {
        let instant = match (data_type, self.source.time_unit) {
            (DataType::Timestamp, Some(unit)) => unit,
            _ => return place.to_owned(),
        };
        let of = match instant {
            TimeUnit::Seconds => format!("TO_TIMESTAMP_LTZ({place}, 0)"),
            TimeUnit::Millis => format!("TO_TIMESTAMP_LTZ({place}, 3)"),
            TimeUnit::Micros => format!("TO_TIMESTAMP_LTZ({place}, 6)"),
            TimeUnit::Nanos => format!("TO_TIMESTAMP_LTZ({}, 6)", floored(place, 1_000)),
        };
        format!("CAST({of} AS TIMESTAMP_LTZ(6))")
    }

    /// One field is of one type, and is no object as well.
    fn check_places(&self) -> Result<(), Error> {
        let view = &self.loaded.view;
        let keys = view.entities.iter().map(|key| (&key.name, key.key_type.data_type()));
        let columns = self.window.columns.iter().map(|one| (&one.name, one.data_type.clone()));
        let time = std::iter::once((&view.event_timestamp, DataType::Timestamp));
        let mut seen: Vec<(&Name, Vec<&str>, String)> = Vec::new();
        for (column, data_type) in keys.chain(time).chain(columns) {
            let (steps, data_type) = (self.steps(column)?, self.message_type(&data_type));
            let field = format!("source.columns.{column}");
            if steps.first().is_some_and(|step| step.starts_with(OWN)) {
                let message = format!("in a job, names that begin with `{OWN}` are its own");
                return self.refused(&field, &message, "rename the message's field");
            }
            let other = seen.iter().find(|(_, others, other_type)| match others == &steps {
                true => *other_type != data_type,
                false => steps.starts_with(others) || others.starts_with(&steps),
            });
            if let Some((other, ..)) = other {
                let message = format!(
                    "a job cannot read one field as two types, as for `{other}` and `{column}`"
                );
                return self.refused(&field, &message, "declare one of them");
            }
            seen.push((column, steps, data_type));
        }
        Ok(())
    }

    /// Which messages are events: as for the worker, those with join keys and an event time in the calendar
    /// that is not far ahead of the message's own.
    fn is_event(&self, keys: &[Column<'_>], time: &Column<'_>) -> String {
        let mut conditions: Vec<String> =
            keys.iter().map(|key| format!("{} IS NOT NULL", key.place)).collect();
        conditions.push(format!("{} IS NOT NULL", time.place));
        let factor = match self.source.time_unit {
            Some(TimeUnit::Seconds) => Some(1),
            Some(TimeUnit::Millis) => Some(1_000),
            Some(TimeUnit::Micros) => Some(1_000_000),
            // All of them are in the calendar.
            Some(TimeUnit::Nanos) | None => None,
        };
        if let Some(factor) = factor {
            let (least, most) = (SECONDS.0 * factor, SECONDS.1 * factor + factor - 1);
            conditions.push(format!("{} BETWEEN {least} AND {most}", time.place));
        }
        if let Places::Systems(_) = self.places {
            conditions.push(format!(
                "(`trivium_made` < TO_TIMESTAMP_LTZ(0, 3) OR {} <= `trivium_made` + INTERVAL '1' HOUR)",
                time.value
            ));
        }
        conditions.join(" AND ")
    }

    fn input(
        &self,
        fields: Fields,
        is_event: &str,
        keys: &[Column<'_>],
        time: &Column<'_>,
        columns: &[Column<'_>],
    ) -> Result<Input, Error> {
        let view = &self.loaded.view;
        let mut defined = fields.definitions();
        if let Places::Systems(_) = self.places {
            defined.extend([
                "`trivium_made` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL".to_owned(),
                "`trivium_offset` BIGINT METADATA FROM 'offset' VIRTUAL".to_owned(),
            ]);
        }
        // What is no event moves no watermark.
        defined.push(format!(
            "`trivium_time` AS CASE WHEN {is_event} THEN CAST({} AS TIMESTAMP_LTZ(3)) ELSE TO_TIMESTAMP_LTZ(0, 3) END",
            time.value
        ));
        let late = self.window.allowed_lateness.map_or(0, |late| late.micros() / 1_000_000);
        // Flink's windows are over when the watermark has met their last millisecond.
        defined.push(format!(
            "WATERMARK FOR `trivium_time` AS `trivium_time` - {}",
            interval(late, Some(1))
        ));
        let mut seen = vec!["`trivium_time` AS `trivium_time`".to_owned()];
        if self.window.features.values().any(|of| matches!(of, WindowAggregate::Last(_))) {
            seen.push(format!("{} AS `trivium_order`", self.order(&time.value)));
        }
        if let Some(id) = &self.window.event_id {
            let place = columns.iter().find(|column| column.name == id).map(|one| &one.value);
            let place = place.cloned().unwrap_or_default();
            let second = format!(
                "UNIX_TIMESTAMP(DATE_FORMAT({}, {}))",
                time.value,
                literal("yyyy-MM-dd HH:mm:ss")
            );
            let alone = match self.places {
                Places::Systems(_) => "`trivium_offset`",
                Places::Folder(_) => "UUID()",
            };
            let tile = floored(&second, self.window.tile().micros() / 1_000_000);
            seen.extend([
                format!("{tile} AS `trivium_tile`"),
                // What has no id is nothing's equal.
                format!("CASE WHEN {place} IS NULL THEN {alone} END AS `trivium_alone`"),
                "PROCTIME() AS `trivium_processed`".to_owned(),
            ]);
        }
        let used = |column: &&Column<'_>| {
            let mut of = self.window.features.values().filter_map(WindowAggregate::column);
            self.window.event_id.as_ref() == Some(column.name) || of.any(|name| name == column.name)
        };
        for column in keys.iter().chain(columns.iter().filter(used)) {
            seen.push(format!("{} AS {}", column.value, name(column.name.as_str())));
        }
        let mut condition = is_event.to_owned();
        if let Some(filter) = self.filter(keys, time, columns)? {
            condition.push_str(&format!(" AND {filter}"));
        }
        let source = StreamInput {
            name: Name::new(EVENTS).map_err(|error| Error::Internal(error.to_string()))?,
            format: InputFormat::Json,
            system: StreamSystem::Kafka,
            topic: self.source.topic.clone(),
            columns: Vec::new(),
            event_time: view.event_timestamp.clone(),
            watermark: StreamInput::WATERMARK,
            time_unit: self.source.time_unit,
        };
        let mut options = input_options(view, &source, self.places)?;
        if let Places::Systems(_) = self.places {
            // An event is late for what came before it, not for what came in the same fifth of a second.
            let strategy = (literal("scan.watermark.emit.strategy"), literal("on-event"));
            options.push(strategy);
        }
        Ok(Input {
            messages: Table { name: "`trivium_messages`".to_owned(), columns: defined, options },
            name: "`trivium_events`".to_owned(),
            columns: seen,
            condition,
        })
    }

    /// A text that is the larger, the newer an event is, by time and then by position.
    fn order(&self, time: &str) -> String {
        let time = format!("DATE_FORMAT({time}, {})", literal(TIME_FORMAT));
        match self.places {
            Places::Systems(_) => format!(
                "CONCAT({time}, LPAD(CAST(`trivium_offset` AS STRING), {POSITION_DIGITS}, '0'))"
            ),
            Places::Folder(_) => time,
        }
    }

    fn filter(
        &self,
        keys: &[Column<'_>],
        time: &Column<'_>,
        columns: &[Column<'_>],
    ) -> Result<Option<String>, Error> {
        let wrong = |offset: usize, message: String, help: String| {
            let text = &self.loaded.config_text;
            let (line, column) = position_within(text, &["window", "filter"], offset);
            Error::Invalid {
                place: format!("{}:{line}:{column}: window.filter", self.loaded.config_path),
                message,
                help,
            }
        };
        let filter = WindowFilter::of(&self.loaded.view)
            .map_err(|problem| wrong(problem.offset, problem.message, problem.help))?;
        let Some(filter) = filter else { return Ok(None) };
        let all = || keys.iter().chain([time]).chain(columns);
        let value = |wanted: &str| {
            all()
                .find(|column| *column.name == *wanted)
                .map_or_else(String::new, |c| c.value.clone())
        };
        let sql = filter.to_flink(&value).map_err(|why| {
            let help = "write it otherwise, or remove `window.job`: the worker computes it";
            wrong(0, format!("for a job, {why}"), help.to_owned())
        })?;
        Ok(Some(sql))
    }

    /// The table that windows are over, and the views on the way there.
    fn first_of_equal(
        &self,
        input: &Input,
        keys: &[Column<'_>],
    ) -> (String, Vec<(String, String)>) {
        let Some(id) = &self.window.event_id else { return (input.name.clone(), Vec::new()) };
        let mut same: Vec<String> = keys.iter().map(|key| name(key.name.as_str())).collect();
        same.extend(["`trivium_tile`".to_owned(), name(id.as_str()), "`trivium_alone`".to_owned()]);
        let query = format!(
            "SELECT * FROM (\n  SELECT *, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY `trivium_processed` ASC) AS `trivium_nth`\n  FROM {}\n) WHERE `trivium_nth` = 1",
            same.join(", "),
            input.name
        );
        let counted = "`trivium_counted`".to_owned();
        (counted.clone(), vec![(counted, query)])
    }

    fn statement(&self, table: &str, keys: &[Column<'_>]) -> Result<String, Error> {
        let view = &self.loaded.view;
        let mut selected: Vec<String> = keys.iter().map(|key| name(key.name.as_str())).collect();
        let mut grouped = selected.clone();
        grouped.extend(["`window_start`", "`window_end`"].map(ToOwned::to_owned));
        selected.push(format!("`window_end` AS {}", name(view.event_timestamp.as_str())));
        for feature in &view.features {
            let Some(aggregate) = self.window.features.get(&feature.name) else {
                let message = format!("nothing says how `{}` is computed", feature.name);
                return self.refused("window.features", &message, "add it");
            };
            let value = self.aggregate(&feature.name, aggregate)?;
            selected.push(format!("{value} AS {}", name(feature.name.as_str())));
        }
        let seconds = |span: trivium_model::TimeSpan| {
            let seconds = span.micros() / 1_000_000;
            format!("INTERVAL '{seconds}' SECOND({})", digits(seconds))
        };
        let (size, slide) = (self.window.size, self.window.tile());
        let windows = if size == slide {
            format!("TUMBLE(TABLE {table}, DESCRIPTOR(`trivium_time`), {})", seconds(size))
        } else {
            format!(
                "HOP(TABLE {table}, DESCRIPTOR(`trivium_time`), {}, {})",
                seconds(slide),
                seconds(size)
            )
        };
        Ok(format!(
            "SELECT\n  {}\nFROM TABLE({windows})\nGROUP BY {}",
            selected.join(",\n  "),
            grouped.join(", ")
        ))
    }

    fn aggregate(&self, feature: &Name, aggregate: &WindowAggregate) -> Result<String, Error> {
        let Some(column) = aggregate.column() else { return Ok("COUNT(*)".to_owned()) };
        let data_type = self.window.column(column).map(|column| column.data_type.clone());
        let Some(data_type) = data_type else {
            return self.refused("window.features", &format!("there is no column `{column}`"), "");
        };
        let field = format!("window.features.{feature}");
        let c = name(column.as_str());
        let wide = |data_type: &DataType| match data_type {
            DataType::Int32 => Ok(format!("SUM(CAST({c} AS BIGINT))")),
            DataType::Int64 => Ok(format!("SUM(CAST({c} AS DECIMAL(19, 0)))")),
            DataType::Decimal { precision, .. } if *precision > SUMMED_DIGITS_MAX => self.refused(
                &field,
                &format!(
                    "Flink's sum of {data_type} begins anew where it is beyond 38 digits, unseen"
                ),
                &format!("declare `{column}` with {SUMMED_DIGITS_MAX} digits at most"),
            ),
            DataType::Decimal { .. } => Ok(format!("SUM({c})")),
            _ => Ok(format!("SUM(CAST({c} AS DOUBLE))")),
        };
        let none = |word: &str| {
            let message = format!("Flink has no `{word}` of bytes");
            self.refused(&field, &message, "send it as text")
        };
        Ok(match aggregate {
            WindowAggregate::Count(_) => format!("COUNT({c})"),
            WindowAggregate::Sum(_) => {
                let sum = wide(&data_type)?;
                if data_type == DataType::Int64 {
                    format!(
                        "CASE WHEN {sum} BETWEEN CAST('{}' AS BIGINT) AND CAST('{}' AS BIGINT) THEN CAST({sum} AS BIGINT) END",
                        i64::MIN,
                        i64::MAX
                    )
                } else {
                    sum
                }
            }
            // Flink's mean of whole numbers is a whole number.
            WindowAggregate::Mean(_) => {
                format!("CAST({} AS DOUBLE) / CAST(COUNT({c}) AS DOUBLE)", wide(&data_type)?)
            }
            WindowAggregate::Min(_) | WindowAggregate::Max(_) => {
                let is_min = matches!(aggregate, WindowAggregate::Min(_));
                let word = if is_min { "MIN" } else { "MAX" };
                match data_type {
                    DataType::Bytes => return none(aggregate.word()),
                    DataType::Bool => format!("CAST({word}(CAST({c} AS INT)) AS BOOLEAN)"),
                    DataType::Float32 | DataType::Float64 => {
                        let nan =
                            format!("MAX(CASE WHEN CAST({c} AS STRING) = 'NaN' THEN {c} END)");
                        let number =
                            format!("{word}(CASE WHEN CAST({c} AS STRING) <> 'NaN' THEN {c} END)");
                        let (first, second) = if is_min { (number, nan) } else { (nan, number) };
                        format!("COALESCE({first}, {second})")
                    }
                    _ => format!("{word}({c})"),
                }
            }
            WindowAggregate::Last(_) => {
                if data_type == DataType::Bytes {
                    return none(aggregate.word());
                }
                let newest = format!("MAX(CONCAT(`trivium_order`, CAST({c} AS STRING)))");
                let behind = TIME_FORMAT.len()
                    + if let Places::Systems(_) = self.places { POSITION_DIGITS } else { 0 };
                let value = format!("SUBSTRING({newest} FROM {})", behind + 1);
                format!("CAST({value} AS {})", type_of(&data_type))
            }
            WindowAggregate::ApproxDistinct(_) => match data_type {
                DataType::Bytes => return none(aggregate.word()),
                DataType::String => format!("COUNT(DISTINCT NULLIF({c}, ''))"),
                _ => format!("COUNT(DISTINCT {c})"),
            },
        })
    }
}

/// A whole number divided by a positive one, downwards.
fn floored(number: &str, by: i64) -> String {
    format!("(({number} - MOD(MOD({number}, {by}) + {by}, {by})) / {by})")
}

/// The digits that an interval has to have room for.
fn digits(seconds: i64) -> usize {
    seconds.to_string().len().max(2)
}
