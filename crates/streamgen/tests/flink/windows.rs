//! Declared windows: the same messages through the engine that the worker has, and through the generated job.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use trivium_codec::Schema;
use trivium_model::{FeatureView, KeyValue, Timestamp, Value};
use trivium_payload::{AvroSchemas, Decoder, Message};
use trivium_windows::{Event, MemoryState, Plan, Step};

/// A view with every aggregate over every type that it has.
pub fn view(settings: &Json, source: &Json) -> String {
    let columns = [
        ("n", json!("int64")),
        ("i", json!("int32")),
        ("f", json!("float64")),
        ("g", json!("float32")),
        ("s", json!("string")),
        ("b", json!("bool")),
        ("d", json!("date")),
        ("t", json!("timestamp")),
        ("p", json!({ "decimal": { "precision": 18, "scale": 2 } })),
        ("id", json!("string")),
    ];
    let of = |name: &str| columns.iter().find(|column| column.0 == name).unwrap().1.clone();
    let sum = |name: &str| match name {
        "n" | "i" => json!("int64"),
        "p" => json!({ "decimal": { "precision": 38, "scale": 2 } }),
        _ => json!("float64"),
    };
    let mut features = vec![json!({ "name": "events", "type": "int64", "description": "." })];
    let mut computed = serde_json::Map::from_iter([("events".to_owned(), json!("count"))]);
    let mut add = |word: &str, column: &str, data_type: Json| {
        let name = format!("{word}_{column}");
        features.push(json!({ "name": name, "type": data_type, "description": "." }));
        computed.insert(name, json!({ word: column }));
    };
    for (column, _) in &columns[..9] {
        add("count", column, json!("int64"));
        for word in ["min", "max", "last"] {
            add(word, column, of(column));
        }
    }
    for column in ["n", "i", "f", "g", "p"] {
        add("sum", column, sum(column));
        add("mean", column, json!("float64"));
    }
    for column in ["n", "i", "s", "d", "t"] {
        add("approx_distinct", column, json!("int64"));
    }
    let declared: Vec<Json> =
        columns.iter().map(|(name, of)| json!({ "name": name, "type": of })).collect();
    let mut window = json!({ "columns": declared, "features": computed, "payload_topic": "rows" });
    for (field, value) in settings.as_object().unwrap() {
        window[field] = value.clone();
    }
    json!({
        "namespace": "w", "name": "all", "version": 1, "lane": "stream", "description": ".",
        "owner": { "team": "a", "contact": "a@example.com" }, "urgency_tier": 1,
        "entities": [{ "name": "k", "type": "string" }, { "name": "a", "type": "int64" }],
        "event_timestamp": "at", "features": features, "source": source, "window": window,
    })
    .to_string()
}

/// A sequence of numbers that is always the same.
pub struct Dice(pub u64);

impl Dice {
    /// One of so many, from 0.
    pub fn of(&mut self, many: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % many
    }
    pub fn is(&mut self, one_of: u64) -> bool {
        self.of(one_of) == 0
    }
    fn maybe(&mut self, value: Json) -> Json {
        if self.is(5) { Json::Null } else { value }
    }
}

/// 2013-01-01T00:00:00Z, in microseconds.
const BEGIN: i64 = 1_356_998_400_000_000;

/// Messages whose times go up and down: late ones, some twice, and some that are no events. Times are written as
/// `time` does; columns are set as `set` does.
pub fn messages(
    seed: u64,
    count: usize,
    time: &dyn Fn(i64) -> Json,
    shape: &dyn Fn(Json) -> Json,
) -> Vec<String> {
    let (mut dice, mut now) = (Dice(seed), BEGIN);
    let mut all: Vec<String> = Vec::new();
    let mut before = None;
    while all.len() < count {
        now += dice.of(9) as i64 * 250_000;
        let late = match dice.of(16) {
            0 => dice.of(240),
            1 | 2 => dice.of(60),
            _ => dice.of(4),
        } as i64
            * 1_000_000;
        // Some of one instant, some of one millisecond, some of the last one of a window.
        let at = now - late
            + match dice.of(4) {
                0 => 0,
                1 => -1_000,
                _ => dice.of(1_000) as i64,
            };
        let n = match dice.of(12) {
            0 => i64::MAX,
            1 => i64::MIN,
            _ => dice.of(2_000) as i64 - 1_000,
        };
        let float = |dice: &mut Dice| match dice.of(20) {
            0 => json!("NaN"),
            1 => json!("-Infinity"),
            2 => json!(-0.0),
            _ => json!(dice.of(4_000) as f64 * 0.25 - 500.0),
        };
        let (f, g) = (float(&mut dice), float(&mut dice));
        let texts = ["", "a", "b", "ü", "a b", "\u{1f600}"];
        let day = dice.of(28) + 1;
        let cents = dice.of(100);
        let entity = (["x", "y", "ü"][dice.of(3) as usize], dice.of(2));
        // Some are of the entity and the instant of the one before: the position decides then which is the last.
        let ((key, number), at) = before.filter(|_| dice.is(4)).unwrap_or((entity, at));
        before = Some(((key, number), at));
        let id = format!("e{}", dice.of(40));
        let mut message = json!({
            "k": key, "a": number, "at": time(at),
            "n": dice.maybe(json!(n)), "i": dice.maybe(json!(n as i32)),
            "f": dice.maybe(f), "g": dice.maybe(g),
            "s": dice.maybe(json!(texts[(at.unsigned_abs() % 6) as usize])),
            "b": dice.maybe(json!(day % 2 == 0)),
            "d": dice.maybe(json!(format!("2013-02-{day:02}"))),
            "t": dice.maybe(time(at - 86_400_000_000)),
            "p": dice.maybe(json!(format!("{}.{cents:02}", n % 1_000_000))),
            "id": dice.maybe(json!(id)),
        });
        match dice.of(40) {
            0 => message["k"] = Json::Null,
            1 => message["at"] = Json::Null,
            // Its clock is wrong: a hundred years later.
            2 => message["at"] = time(at + 100 * 365 * 86_400_000_000),
            3 => message = json!("no object"),
            _ => {}
        }
        let text = if message.is_object() { shape(message).to_string() } else { "{ no".to_owned() };
        if dice.is(6) {
            all.push(text.clone());
        }
        all.push(text);
    }
    // A day later: all windows before are over.
    let end = json!({ "k": "end", "a": 0, "at": time(now + 86_400_000_000), "n": 1 });
    all.push(shape(end).to_string());
    all
}

/// A window's end, and its entity.
type Key = (i64, Vec<KeyValue>);
pub type Found = BTreeMap<Key, Vec<Value>>;

/// What the worker's engine makes of the messages of a partition, `made` then; the newest row of each window.
pub fn computed(view: &FeatureView, messages: &[String], made: Timestamp) -> Found {
    let events = view.events().unwrap();
    let (decoder, schema) = (Decoder::new(&events).unwrap(), Schema::of_view(&events).unwrap());
    let (mut reader, schemas) = (decoder.reader(), AvroSchemas::default());
    let plan = Plan::new(view).unwrap();
    let mut state = MemoryState::default();
    let mut found = Found::new();
    let mut read = |text: &String| {
        let message =
            Message { key: None, value: Some(text.as_bytes()), headers: &[], time: Some(made) };
        let event = reader.read(&message, &schemas).ok()??;
        let row = event.row?;
        let row = row.reader(&schema).unwrap();
        let value = |index| row.get(index).unwrap().map_or(Value::Null, |value| value.to_owned());
        let values = (0..schema.len()).map(value).collect();
        let event = Event { entity: event.entity, time: event.event_time, values };
        (!event.is_ahead(Some(made), made)).then_some(event)
    };
    let (mut late, mut repeated, mut filtered) = (0, 0, 0);
    for (offset, text) in messages.iter().enumerate() {
        let mut step = Step::begin(&plan, &state).unwrap();
        assert!(step.settle().unwrap());
        step.take(offset as u64, read(text).as_ref()).unwrap();
        let output = step.finish().unwrap();
        late += output.counts.late;
        repeated += output.counts.repeated;
        filtered += output.counts.filtered;
        found.extend(output.rows.into_iter().map(|row| ((row.end.0, row.entity), row.values)));
        state.apply(output.changes);
    }
    let window = view.window.as_ref().unwrap();
    assert!(late > 5, "nothing was late");
    assert_eq!(repeated > 5, window.event_id.is_some(), "{repeated} repeated");
    assert_eq!(filtered > 5, window.filter.is_some(), "{filtered} filtered");
    found
}

/// The rows of payloads; no window of an entity has two.
pub fn written<'p>(view: &FeatureView, payloads: impl Iterator<Item = &'p [u8]>) -> Found {
    let (decoder, schema) = (Decoder::new(view).unwrap(), Schema::of_view(view).unwrap());
    let (mut reader, schemas) = (decoder.reader(), AvroSchemas::default());
    let mut found = Found::new();
    for payload in payloads {
        let message = Message { key: None, value: Some(payload), headers: &[], time: None };
        let shown = String::from_utf8_lossy(payload);
        let event =
            reader.read(&message, &schemas).unwrap_or_else(|why| panic!("{why}: {shown}")).unwrap();
        let row = event.row.unwrap();
        let row = row.reader(&schema).unwrap();
        let value = |index| row.get(index).unwrap().map_or(Value::Null, |value| value.to_owned());
        let values = (0..schema.len()).map(value).collect();
        let before = found.insert((event.event_time.0, event.entity), values);
        assert!(before.is_none(), "twice: {shown}");
    }
    found
}

/// Whether two values are one; floats within a bound, since their sums have another order.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float64(a), Value::Float64(b)) => {
            a == b
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        (Value::Float32(a), Value::Float32(b)) => a == b || (a.is_nan() && b.is_nan()),
        (a, b) => a == b,
    }
}

/// The same windows with the same values.
pub fn assert_same(view: &FeatureView, by_worker: &Found, by_flink: &Found) {
    let keys = |found: &Found| found.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(by_worker), keys(by_flink));
    for (key, row) in by_worker {
        for ((feature, a), b) in view.features.iter().zip(row).zip(&by_flink[key]) {
            assert!(is_same(a, b), "{} of {key:?}: {a:?} here, {b:?} by Flink", feature.name);
        }
    }
}
