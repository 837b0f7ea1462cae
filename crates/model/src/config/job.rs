//! The inputs and the job of a stream view that has SQL.

use std::collections::HashSet;

use jsonc_parser::ast::{Object, Value as Node};
use jsonc_parser::common::Ranged;

use super::change::ChangeClass;
use super::classify::Differences;
use super::codes;
use super::read::Reader;
use super::source::check_topic;
use super::tree::{get, integer, items, name, object, span, text, word};
use super::view::{data_type, lane_word};
use super::words::suggest;
use crate::job::{InputColumn, StreamInput, StreamJob};
use crate::{DataType, FeatureView, FieldPath, Lane, Name, PayloadFormat, StreamSystem, TimeSpan};

/// Names that the generated job has for tables of its own.
const OWN: &str = "trivium_";

/// Builds the job; reports what inputs lack, and what the job could not write.
pub(super) fn build(
    reader: &mut Reader<'_>,
    root: &Object<'_>,
    lane: Option<Lane>,
) -> Option<StreamJob> {
    let (inputs, job) = (get(root, "inputs"), get(root, "job"));
    for (field, node) in [("inputs", inputs), ("job", job)] {
        if let (Some(lane @ (Lane::Batch | Lane::Direct)), Some(node)) = (lane, node) {
            let message = format!("a {} view cannot have `{field}`", lane_word(lane));
            let help = format!("remove `{field}`, or make the lane `stream`");
            reader.error(node.range().start, codes::WRONG_LANE, message, help);
        }
    }
    let Some(inputs_node) = inputs else {
        if let Some(node) = job {
            let message = "a job without `inputs` reads nothing";
            let help = "add `inputs`, or remove `job`: without SQL, rows are read from `source`";
            reader.error(node.range().start, codes::MISSING_FIELD, message, help);
        }
        return None;
    };
    if lane == Some(Lane::Stream) {
        check_source(reader, inputs_node, root);
    }
    let mut names = HashSet::new();
    let built: Vec<Option<StreamInput>> = items(Some(inputs_node))
        .iter()
        .map(|item| input(reader, object(item)?, &mut names))
        .collect();
    let settings = settings(reader, job.and_then(object));
    Some(StreamJob { inputs: built.into_iter().collect::<Option<_>>()?, ..settings })
}

/// How a job runs that reads nothing yet; what is not said, is as always.
pub(super) fn settings(reader: &mut Reader<'_>, job: Option<&Object<'_>>) -> StreamJob {
    let of = |field: &str| job.and_then(|job| get(job, field));
    for field in ["checkpoint", "idle_timeout"] {
        if let Some(node) = of(field)
            && span(node).is_some_and(|span| span > TimeSpan::DAY)
        {
            let message = format!("`{field}` is longer than a day");
            reader.error(node.range().start, codes::OUT_OF_RANGE, message, "at most `1d`");
        }
    }
    StreamJob {
        inputs: Vec::new(),
        parallelism: of("parallelism")
            .and_then(integer)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(StreamJob::PARALLELISM),
        checkpoint: of("checkpoint").and_then(span).unwrap_or(StreamJob::CHECKPOINT),
        state_ttl: of("state_ttl").and_then(span),
        idle_timeout: of("idle_timeout").and_then(span).unwrap_or(StreamJob::IDLE_TIMEOUT),
    }
}

/// The job writes the topic that `source` names, as JSON, each column under its own name.
fn check_source(reader: &mut Reader<'_>, inputs: &Node<'_>, root: &Object<'_>) {
    if let Some(node) = get(root, "window") {
        let message = "a view with `inputs` has its rows from its SQL, not from windows of events";
        let help = "make the windows in the SQL, or remove `inputs` and the SQL";
        reader.error(node.range().start, codes::BAD_WINDOW, message, help);
    }
    let Some(source) = get(root, "source").and_then(object) else {
        if get(root, "source").is_none() {
            let message = "a view with `inputs` has no `source`";
            let help = "add the topic that its job writes and the worker reads, as in `\"source\": { \"format\": \"json\", \"topic\": \"trivium.flights.congestion.v1\" }`";
            reader.error(inputs.range().start, codes::MISSING_FIELD, message, help);
        }
        return;
    };
    let job_writes = "the view's job writes this topic";
    if let Some(node) = get(source, "format")
        && let Some(format) = word::<PayloadFormat>(node)
        && format != PayloadFormat::Json
    {
        let message = format!("{job_writes}, and not as `{}`", format.word());
        reader.error(node.range().start, codes::BAD_SOURCE, message, "write `json`");
    }
    if let Some(node) = get(source, "system")
        && word(node) == Some(StreamSystem::Kinesis)
    {
        let message = format!("{job_writes} once in effect, which Kinesis cannot do");
        let help = "write `kafka`; inputs may be of Kinesis";
        reader.error(node.range().start, codes::BAD_SOURCE, message, help);
    }
    for field in ["columns", "time_unit"] {
        if let Some(node) = get(source, field) {
            let message =
                format!("{job_writes}: columns stand under their names, instants as text");
            let help = format!("remove `{field}`");
            reader.error(node.range().start, codes::BAD_SOURCE, message, help);
        }
    }
    // What the job wrote would be what it reads.
    let Some(topic) = get(source, "topic").and_then(text) else { return };
    for item in items(Some(inputs)).iter().filter_map(object) {
        if let Some(node) = get(item, "topic")
            && text(node) == Some(topic)
            && get(item, "system").and_then(word::<StreamSystem>) != Some(StreamSystem::Kinesis)
        {
            let message = format!("`{topic}` is the topic that the job writes");
            let help = "let `source` name a topic of the view's own";
            reader.error(node.range().start, codes::BAD_SOURCE, message, help);
        }
    }
}

fn input(
    reader: &mut Reader<'_>,
    input: &Object<'_>,
    names: &mut HashSet<Name>,
) -> Option<StreamInput> {
    let own_name = get(input, "name").and_then(|node| Some((node, name(node)?)));
    if let Some((node, name)) = &own_name {
        let start = node.range().start;
        if name.as_str().starts_with(OWN) {
            let message = format!("tables whose names begin with `{OWN}` are the job's own");
            reader.error(start, codes::NAME_COLLISION, message, "rename it");
        } else if !names.insert(name.clone()) {
            let message = format!("the input `{name}` is declared twice");
            reader.error(start, codes::DUPLICATE_ITEM, message, "rename one of them");
        }
    }
    let topic = get(input, "topic").and_then(|node| Some((node, text(node)?)));
    if let Some((node, topic)) = topic {
        check_topic(reader, node.range().start, topic);
    }
    let mut columns: Vec<InputColumn> = Vec::new();
    for item in items(get(input, "columns")).iter().filter_map(object) {
        let (Some(node), Some(type_node)) = (get(item, "name"), get(item, "type")) else {
            continue;
        };
        let (Some(name), Some(data_type)) = (name(node), data_type(type_node)) else { continue };
        if name.as_str().starts_with(OWN) {
            let message = format!("columns whose names begin with `{OWN}` are the job's own");
            reader.error(node.range().start, codes::NAME_COLLISION, message, "leave it out");
        } else if columns.iter().any(|column| column.name == name) {
            let message = format!("the column `{name}` is declared twice");
            reader.error(node.range().start, codes::DUPLICATE_ITEM, message, "keep one");
        }
        if let DataType::Embedding { .. } = data_type {
            let message = "an input has no embeddings, for Flink has none";
            let help = "write `{ \"list\": \"float32\" }`";
            reader.error(type_node.range().start, codes::BAD_TYPE, message, help);
        }
        let is_list_of_instants =
            matches!(&data_type, DataType::List(item) if **item == DataType::Timestamp);
        if let (true, Some(_)) = (is_list_of_instants, get(input, "time_unit")) {
            let message = "in a list, numbers cannot be read as instants";
            let help = "write `{ \"list\": \"int64\" }`, or leave the column out";
            reader.error(type_node.range().start, codes::BAD_TYPE, message, help);
        }
        let path = get(item, "path").and_then(|node| path(reader, node));
        columns.push(InputColumn { name, data_type, path });
    }
    check_places(reader, input, &columns);
    let event_time_node = get(input, "event_time")?;
    let event_time = name(event_time_node)?;
    let start = event_time_node.range().start;
    match columns.iter().find(|column| column.name == event_time) {
        None => {
            let message = format!("the input has no column `{event_time}`");
            let help = suggest(&event_time, columns.iter().map(|column| column.name.as_str()));
            reader.error(start, codes::UNKNOWN_COLUMN, message, help);
        }
        Some(column) if column.data_type != DataType::Timestamp => {
            let message = format!("the event time `{event_time}` is of type {}", column.data_type);
            let help = "make its type `timestamp`; with `time_unit` it may be a number in messages";
            reader.error(start, codes::BAD_TYPE, message, help);
        }
        Some(_) => {}
    }
    Some(StreamInput {
        name: own_name?.1,
        format: get(input, "format").and_then(word)?,
        system: get(input, "system").and_then(word).unwrap_or_default(),
        topic: topic?.1.to_owned(),
        columns,
        event_time,
        watermark: get(input, "watermark").and_then(span).unwrap_or(StreamInput::WATERMARK),
        time_unit: get(input, "time_unit").and_then(word),
    })
}

/// A place in an input's value; the key and headers are not read.
fn path(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<FieldPath> {
    let path: FieldPath = text(node)?.parse().ok()?;
    let FieldPath::Value(steps) = &path else {
        let message = format!("`{path}` is not in the value");
        let help = "name a field of the value, as in `departure.at`";
        reader.error(node.range().start, codes::BAD_PATH, message, help);
        return None;
    };
    if steps.iter().any(|step| step.starts_with(OWN)) {
        let message = format!("fields whose names begin with `{OWN}` are the job's own");
        reader.error(node.range().start, codes::BAD_PATH, message, "leave it out");
    }
    Some(path)
}

/// A field is a value or has fields, not both, and has one type.
fn check_places(reader: &mut Reader<'_>, input: &Object<'_>, columns: &[InputColumn]) {
    for (number, column) in columns.iter().enumerate() {
        let steps = column.steps();
        let other = columns[..number].iter().find(|other| {
            let others = other.steps();
            steps.starts_with(&others) || others.starts_with(&steps)
        });
        if let (Some(other), Some(node)) = (other, get(input, "columns"))
            && other.name != column.name
        {
            let message = format!(
                "`{}` and `{}` stand in one place, or one within the other",
                other.name, column.name
            );
            reader.error(node.range().start, codes::BAD_PATH, message, "declare one of them");
        }
    }
}

/// What differs between the jobs of two configs of one view version.
///
/// In place, a job is stopped with a savepoint, and the changed one starts from it. So a change is let through in place only
/// if the job's steps stay, by whose place in the whole Flink finds their state again, and the state still means what it meant.
pub(super) fn classify(found: &mut Differences, old: &FeatureView, new: &FeatureView) {
    use ChangeClass::Behaviour;
    let (Some(before), Some(after)) = (&old.job, &new.job) else {
        match (&old.job, &new.job) {
            (None, Some(_)) => found.add(Behaviour, "inputs", "added: a job makes the rows"),
            (Some(_), None) => found.add(Behaviour, "inputs", "removed: no job makes the rows"),
            _ => {}
        }
        return;
    };
    classify_inputs(found, before, after);
    classify_rows(found, old, new);
    classify_settings(found, "job", before, after);
}

/// What differs in what two jobs read.
fn classify_inputs(found: &mut Differences, old: &StreamJob, new: &StreamJob) {
    use ChangeClass::Behaviour;
    for before in &old.inputs {
        let field = |field: &str| format!("inputs.{}.{field}", before.name);
        let Some(after) = new.input(&before.name) else {
            found.add(Behaviour, format!("inputs.{}", before.name), "removed");
            continue;
        };
        let systems = (before.system.word(), after.system.word());
        let other = ", the job's state does not say where to go on there";
        found.compare(Behaviour, &field("system"), systems.0, systems.1, other);
        // Flink reads the partitions of its state, whatever the table says, and new ones besides.
        let both = ", a job that goes on from its state would read the old one, too";
        found.compare(Behaviour, &field("topic"), &before.topic, &after.topic, both);
        let formats = (before.format.word(), after.format.word());
        found.compare(Behaviour, &field("format"), formats.0, formats.1, ", read otherwise");
        let times = (before.event_time.as_str(), after.event_time.as_str());
        found.compare(
            Behaviour,
            &field("event_time"),
            times.0,
            times.1,
            ", another column decides",
        );
        let marks = (before.watermark.to_string(), after.watermark.to_string());
        let late = ", other messages come too late for their windows";
        found.compare(Behaviour, &field("watermark"), &marks.0, &marks.1, late);
        let unit = |input: &StreamInput| input.time_unit.map_or("none", crate::TimeUnit::word);
        let what = ", numbers mean other instants";
        found.compare(Behaviour, &field("time_unit"), unit(before), unit(after), what);
        if before.columns != after.columns {
            let what = "changed: the job reads messages otherwise";
            found.add(Behaviour, field("columns"), what);
        }
    }
    for after in new.inputs.iter().filter(|after| old.input(&after.name).is_none()) {
        found.add(Behaviour, format!("inputs.{}", after.name), "added");
    }
}

/// What differs in the columns that two jobs write, by the same SQL. Flink keeps in its state what columns need, and leads to
/// each by steps of its choice: nobody knows whether the state fits another column, or one of another type. Their order says
/// nothing: the job has them sorted.
fn classify_rows(found: &mut Differences, old: &FeatureView, new: &FeatureView) {
    let mut add = |what: String| {
        let what = format!("{what}: the job's state may not fit that");
        found.add(ChangeClass::Behaviour, "job", what);
    };
    for after in &new.features {
        let name = &after.name;
        match old.feature(name) {
            None => add(format!("`{name}` is written, too")),
            Some(before) if before.data_type != after.data_type => {
                add(format!("`{name}` is written as {}", after.data_type));
            }
            Some(_) => {}
        }
    }
}

/// What differs in how two jobs run.
pub(super) fn classify_settings(
    found: &mut Differences,
    at: &str,
    old: &StreamJob,
    new: &StreamJob,
) {
    use ChangeClass::{Behaviour, Compatible};
    let shown = |span: Option<TimeSpan>| span.map_or("none".to_owned(), |span| span.to_string());
    let what = ", state is forgotten at another time";
    let state = (shown(old.state_ttl), shown(new.state_ttl));
    found.compare(Behaviour, &format!("{at}.state_ttl"), &state.0, &state.1, what);
    let same = ", the same rows sooner or later";
    // State is spread over groups of keys whose number no config says.
    let numbers = (old.parallelism.to_string(), new.parallelism.to_string());
    found.compare(Compatible, &format!("{at}.parallelism"), &numbers.0, &numbers.1, same);
    let spans = (old.checkpoint.to_string(), new.checkpoint.to_string());
    found.compare(Compatible, &format!("{at}.checkpoint"), &spans.0, &spans.1, same);
    // As with the watermark, except that waiting longer leaves nothing out.
    let (class, what) = if new.idle_timeout < old.idle_timeout {
        (Behaviour, ", messages of a partition that paused so long come too late for their windows")
    } else {
        (Compatible, ", windows wait longer for a partition that pauses, and miss nothing for it")
    };
    let spans = (old.idle_timeout.to_string(), new.idle_timeout.to_string());
    found.compare(class, &format!("{at}.idle_timeout"), &spans.0, &spans.1, what);
}
