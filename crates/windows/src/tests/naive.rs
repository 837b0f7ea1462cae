//! The same rows, from all events at once.

use std::collections::{BTreeMap, BTreeSet};

use trivium_model::{FeatureView, KeyValue, Timestamp, Value, config::parse_view};

use crate::{Error, Event, MemoryState, Output, Plan, Row, State, Step};

/// A view with all aggregates over `n` (int64), `f` (float64), `s` (string).
pub fn view(size: u32, slide: u32, lateness: u32, event_id: bool) -> FeatureView {
    let mut window = serde_json::json!({
        "size": format!("{size}s"), "slide": format!("{slide}s"),
        "columns": [
            { "name": "n", "type": "int64" }, { "name": "f", "type": "float64" },
            { "name": "s", "type": "string" }, { "name": "id", "type": "int64" },
        ],
        "features": {
            "events": "count", "count_n": { "count": "n" }, "sum_n": { "sum": "n" },
            "sum_f": { "sum": "f" }, "mean_n": { "mean": "n" }, "mean_f": { "mean": "f" },
            "min_f": { "min": "f" }, "max_f": { "max": "f" }, "min_s": { "min": "s" },
            "last_n": { "last": "n" }, "distinct_s": { "approx_distinct": "s" },
        },
        "payload_topic": "rows",
    });
    if lateness > 0 {
        window["allowed_lateness"] = format!("{lateness}s").into();
    }
    if event_id {
        window["event_id"] = "id".into();
    }
    let feature = |(name, data_type): (&str, &str)| serde_json::json!({ "name": name, "type": data_type, "description": "d" });
    let features = [
        ("events", "int64"),
        ("count_n", "int64"),
        ("sum_n", "int64"),
        ("sum_f", "float64"),
        ("mean_n", "float64"),
        ("mean_f", "float64"),
        ("min_f", "float64"),
        ("max_f", "float64"),
        ("min_s", "string"),
        ("last_n", "int64"),
        ("distinct_s", "int64"),
    ]
    .map(feature);
    let config = serde_json::json!({
        "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id_of", "type": "int64" }], "event_timestamp": "at",
        "features": features, "source": { "format": "json", "topic": "events" },
        "window": window,
    });
    parse_view("configs/n/a.v1.json", &config.to_string())
        .unwrap_or_else(|found| panic!("{found:?}"))
}

/// In the words of the expressions, and in Rust's.
const FILTER: &str = "n > 0 OR id_of = 2 OR at < TIMESTAMP '1970-01-01 00:00:30'";

fn counts(event: &Event) -> bool {
    matches!(event.values[0], Value::Int64(n) if n > 0)
        || event.entity == [KeyValue::Int64(2)]
        || event.time < Timestamp(30_000_000)
}

/// The same view over some of its events.
pub fn filtered(mut view: FeatureView) -> FeatureView {
    view.window.as_mut().unwrap().filter = Some(FILTER.to_owned());
    view
}

pub fn event(entity: i64, second: i64, n: Option<i64>, f: Option<f64>, s: &str, id: i64) -> Event {
    Event {
        entity: vec![KeyValue::Int64(entity)],
        time: Timestamp(second * 1_000_000),
        values: vec![
            n.map_or(Value::Null, Value::Int64),
            f.map_or(Value::Null, Value::Float64),
            if s.is_empty() { Value::Null } else { Value::String(s.to_owned()) },
            Value::Int64(id),
        ],
    }
}

/// Takes messages in, in steps that end after these; every step has room for so many rows.
pub fn run(
    plan: &Plan,
    events: &[Option<Event>],
    cuts: &BTreeSet<usize>,
    room: usize,
) -> Result<(Vec<Row>, MemoryState, Vec<Output>), Error> {
    let (mut state, mut rows, mut outputs) = (MemoryState::default(), Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        let mut step = Step::begin(plan, &state)?.with_room(room);
        while step.settle()? && at < events.len() {
            step.take(at as u64, events[at].as_ref())?;
            at += 1;
            if cuts.contains(&at) {
                break;
            }
        }
        let output = step.finish()?;
        assert_eq!(output.progress.position, at as u64);
        assert_eq!(output.changes.last().unwrap().0, b"m");
        state.apply(output.changes.clone());
        rows.extend(output.rows.clone());
        let is_over = output.is_settled && at == events.len();
        outputs.push(output);
        if is_over {
            return Ok((rows, state, outputs));
        }
    }
}

/// The newest of each row.
pub fn newest(rows: &[Row]) -> BTreeMap<(i64, Vec<KeyValue>), Row> {
    let mut newest: BTreeMap<(i64, Vec<KeyValue>), Row> = BTreeMap::new();
    for row in rows {
        let key = (row.end.0, row.entity.clone());
        let old = newest.insert(key, row.clone());
        assert!(old.is_none_or(|old| old.sequence < row.sequence), "{row:?}");
    }
    newest
}

/// A window's end, and its entity.
type Key = (i64, Vec<KeyValue>);

struct Params {
    size: i64,
    slide: i64,
    lateness: i64,
    by_id: bool,
}

/// The rows as they stand after all events, by the definition: an event counts in a window whose end
/// is not yet `lateness` behind the newest event before it.
pub fn naive(view: &FeatureView, events: &[Option<Event>]) -> BTreeMap<(i64, Vec<KeyValue>), Row> {
    let window = view.window.as_ref().unwrap();
    let params = Params {
        size: window.size.micros(),
        slide: window.tile().micros(),
        lateness: window.allowed_lateness.map_or(0, |late| late.micros()),
        by_id: window.event_id.is_some(),
    };
    let mut watermark: Option<i64> = None;
    let mut met = BTreeSet::new();
    let mut windows: BTreeMap<Key, Vec<(usize, Event)>> = BTreeMap::new();
    let mut sequences: BTreeMap<Key, u64> = BTreeMap::new();
    for (offset, event) in events.iter().enumerate() {
        let Some(event) = event else { continue };
        let at = event.time.0;
        let first = (at.div_euclid(params.slide) + 1) * params.slide;
        let ends = (0..params.size / params.slide).map(|k| first + k * params.slide);
        let open: Vec<i64> =
            ends.filter(|end| watermark.is_none_or(|w| *end > w - params.lateness)).collect();
        if open.is_empty() {
            continue;
        }
        let Value::Int64(id) = event.values[3] else { panic!() };
        let is_wanted = window.filter.is_none() || counts(event);
        if is_wanted && (!params.by_id || met.insert((first, event.entity.clone(), id))) {
            for end in open {
                let key = (end, event.entity.clone());
                windows.entry(key.clone()).or_default().push((offset, event.clone()));
                if watermark.is_some_and(|w| end <= w) {
                    sequences.insert(key, offset as u64 + 1);
                }
            }
        }
        let newer = watermark.map_or(at, |old| old.max(at));
        for (end, entity) in windows.keys() {
            if *end <= newer && watermark.is_none_or(|old| *end > old) {
                sequences.insert((*end, entity.clone()), offset as u64 + 1);
            }
        }
        watermark = Some(newer);
    }
    let given = windows.into_iter().filter(|((end, _), _)| watermark.is_some_and(|w| *end <= w));
    given
        .map(|(key, events)| {
            let row = Row {
                entity: key.1.clone(),
                end: Timestamp(key.0),
                sequence: sequences[&key],
                values: values(&events),
            };
            (key, row)
        })
        .collect()
}

fn values(events: &[(usize, Event)]) -> Vec<Value> {
    let int = |event: &Event| match event.values[0] {
        Value::Int64(n) => Some(n),
        _ => None,
    };
    let float = |event: &Event| match event.values[1] {
        Value::Float64(f) => Some(f),
        _ => None,
    };
    let text = |event: &Event| match &event.values[2] {
        Value::String(s) => Some(s.clone()),
        _ => None,
    };
    let ints: Vec<i64> = events.iter().filter_map(|(_, event)| int(event)).collect();
    let floats: Vec<f64> = events.iter().filter_map(|(_, event)| float(event)).collect();
    let texts: Vec<String> = events.iter().filter_map(|(_, event)| text(event)).collect();
    let sum: i128 = ints.iter().map(|n| i128::from(*n)).sum();
    let of = |value: Option<f64>| value.map_or(Value::Null, Value::Float64);
    // NaN is the largest.
    let order = |a: &f64, b: &f64| {
        (a.is_nan(), *a).partial_cmp(&(b.is_nan(), *b)).unwrap_or(a.is_nan().cmp(&b.is_nan()))
    };
    let least = floats.iter().copied().reduce(|a, b| if order(&b, &a).is_lt() { b } else { a });
    let most = floats.iter().copied().reduce(|a, b| if order(&b, &a).is_gt() { b } else { a });
    let last = events
        .iter()
        .filter_map(|(offset, event)| int(event).map(|n| (event.time, *offset, n)))
        .max();
    let total: f64 = floats.iter().sum();
    let has = |value: f64, count: usize| (count > 0).then_some(value);
    let distinct: BTreeSet<&String> = texts.iter().collect();
    vec![
        Value::Int64(events.len() as i64),
        Value::Int64(ints.len() as i64),
        match i64::try_from(sum) {
            Ok(sum) if !ints.is_empty() => Value::Int64(sum),
            _ => Value::Null,
        },
        of(has(total, floats.len())),
        of(has(sum as f64 / ints.len() as f64, ints.len())),
        of(has(total / floats.len() as f64, floats.len())),
        of(least),
        of(most),
        texts.iter().min().map_or(Value::Null, |text| Value::String(text.clone())),
        last.map_or(Value::Null, |(_, _, n)| Value::Int64(n)),
        Value::Int64(distinct.len() as i64),
    ]
}

/// Whether two rows say the same; sums of floats within a bound, since their order differs.
pub fn same(a: &Row, b: &Row) -> bool {
    let equal = |(a, b): (&Value, &Value)| match (a, b) {
        (Value::Float64(a), Value::Float64(b)) => {
            a == b
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        _ => a == b,
    };
    (&a.entity, a.end, a.sequence) == (&b.entity, b.end, b.sequence)
        && a.values.len() == b.values.len()
        && a.values.iter().zip(&b.values).all(equal)
}

/// How many keys of a kind the state has.
pub fn keys_of(state: &MemoryState, kind: u8) -> usize {
    state.scan(&[kind], &[kind + 1], usize::MAX).unwrap().len()
}
