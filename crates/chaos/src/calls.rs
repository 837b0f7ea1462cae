//! One request and its answer, as the history wants them.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use trivium_client::{
    Client, Error,
    v1::{
        BatchGetRequest, BatchGetResponse, BatchPutRequest, CachedRead, Consistency, DeleteRequest,
        DeleteRow, Embedding, FeatureSelection, GetRequest, GetResponse, PutRequest, PutRow,
        PutRows, SearchHit, SearchNearestRequest, Status, Value, WriteResult, batch_put_request,
        consistency, feature_column, key_value, search_nearest_request, value, write_result,
    },
};

use crate::{
    history::{Outcome, What},
    rows::{PAST, PERSON, SERVICE, TWIN, VECTOR, VECTOR_VIEW, entities, entity, view_of},
    world::{PAGE, locked},
};

/// The event time of history: long ago.
const PAST_MICROS: i64 = 1_000_000;

/// What one write is to do.
#[derive(Debug, Clone)]
pub struct Write {
    pub row: u32,
    /// `None`: a delete.
    pub put: Option<i64>,
    /// Whether a put sets the text too; else it is a read-modify-write inside of the node.
    pub whole: bool,
    pub if_rev: Option<u64>,
    /// The idempotency key; empty: none.
    pub name: Vec<u8>,
}

/// Why what could not be done could not be, and how often.
#[derive(Debug, Default)]
pub struct Reasons(pub Mutex<BTreeMap<String, u64>>);

impl Reasons {
    fn note(&self, why: &str) {
        // Without what differs from time to time.
        let why: String = why.chars().filter(|one| !one.is_ascii_digit()).take(160).collect();
        *locked(&self.0).entry(why).or_default() += 1;
    }
}

/// What a write was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Applied(u64),
    Conflict(u64),
    Refused,
    Unknown,
    Broken(&'static str),
}

impl Write {
    /// Whether it is of history: with an event time long ago.
    fn is_past(&self) -> bool {
        self.put.is_some_and(|number| number >= PAST)
    }

    /// As it stands in the history while nobody knows.
    pub fn pending(&self) -> What {
        self.as_written(Outcome::Unknown)
    }

    fn as_written(&self, outcome: Outcome) -> What {
        What::Write { put: self.put, whole: self.whole, if_rev: self.if_rev, outcome }
    }

    /// As it stands there in the end.
    pub fn what(&self, told: Told) -> What {
        match told {
            Told::Applied(rev) => self.as_written(Outcome::Applied(rev)),
            Told::Conflict(rev) => match self.if_rev {
                Some(if_rev) => What::Conflict { if_rev, rev, not: self.put },
                None => What::Broken("a conflict without a condition"),
            },
            Told::Refused => self.as_written(Outcome::Refused),
            Told::Unknown => self.as_written(Outcome::Unknown),
            Told::Broken(why) => What::Broken(why),
        }
    }
}

/// A row's text: long, and made of the number, so that a row of two writes is seen.
fn page_of(number: i64) -> String {
    let word = format!("{number} ");
    word.repeat(PAGE / word.len())
}

/// Whether the row has an embedding in the place of the text.
fn has_vector(row: u32) -> bool {
    (VECTOR..PERSON).contains(&row)
}

/// A number's two digits, in this base: exact in the index's floats.
const BASE: i64 = 4_096;

/// A row's embedding: made of the number too. Numbers that follow each other lie beside each other.
fn vector_of(number: i64) -> Embedding {
    Embedding { components: vec![(number % BASE) as f32, (number / BASE) as f32] }
}

/// The number that an embedding was made of.
fn number_of(vector: &Embedding) -> Option<i64> {
    let [low, high] = vector.components[..] else { return None };
    let number = high as i64 * BASE + low as i64;
    (number > 0 && vector_of(number) == *vector).then_some(number)
}

/// How near they are, as the index is to say.
fn score(one: &Embedding, other: &Embedding) -> f64 {
    let apart = one.components.iter().zip(&other.components);
    let squares = apart.map(|(one, other)| (f64::from(*one) - f64::from(*other)).powi(2));
    1.0 / (1.0 + squares.sum::<f64>())
}

/// Of rows of this one's view.
fn selection(row: u32) -> Option<FeatureSelection> {
    let view = view_of(row);
    let features = vec![format!("{view}:number"), format!("{view}:text")];
    Some(FeatureSelection { features, service: String::new() })
}

fn service() -> Option<FeatureSelection> {
    Some(FeatureSelection { features: Vec::new(), service: SERVICE.to_owned() })
}

/// Strong, where there is no bound.
fn consistency(bound: Option<Duration>) -> Option<Consistency> {
    let max_staleness_ms = u64::try_from(bound?.as_millis()).unwrap_or(u64::MAX);
    let cached = consistency::Mode::Cached(CachedRead { max_staleness_ms });
    Some(Consistency { mode: Some(cached) })
}

fn put_row(write: &Write, number: i64) -> PutRow {
    let value = |name: &str, kind| (name.to_owned(), Value { kind: Some(kind) });
    let mut values = BTreeMap::from([value("number", value::Kind::Int64(number))]);
    if write.whole {
        let text = match has_vector(write.row) {
            true => value::Kind::Embedding(vector_of(number)),
            false => value::Kind::String(page_of(number)),
        };
        values.extend([value("text", text)]);
    }
    PutRow {
        event_time_micros: (number >= PAST).then_some(PAST_MICROS),
        entity: entity(write.row),
        values,
        if_rev: write.if_rev,
        idempotency_key: write.name.clone().into(),
        ..PutRow::default()
    }
}

/// Sends one write.
pub async fn write(client: &Client, write: &Write, reasons: &Reasons) -> Told {
    let result = match write.put {
        Some(number) => {
            let row = Some(put_row(write, number));
            let view = view_of(write.row).to_owned();
            client.put(PutRequest { view, row, ..PutRequest::default() }).await
        }
        None => {
            let row = DeleteRow {
                entity: entity(write.row),
                if_rev: write.if_rev,
                idempotency_key: write.name.clone().into(),
                ..DeleteRow::default()
            };
            let view = view_of(write.row).to_owned();
            let request = DeleteRequest { view, rows: vec![row] };
            client.delete(request).await.map(|mut results| results.pop().unwrap_or_default())
        }
    };
    let of_result = |result: WriteResult| of_result(&result, write.is_past(), reasons);
    result.map_or_else(|error| of_call(&error, reasons), of_result)
}

/// Sends puts of rows of one view in one request.
pub async fn batch_put(client: &Client, writes: &[Write], reasons: &Reasons) -> Vec<Told> {
    let rows = writes.iter().map(|write| put_row(write, write.put.unwrap_or_default())).collect();
    let rows = Some(batch_put_request::Rows::Values(PutRows { rows }));
    let view = writes.first().map_or("", |write| view_of(write.row)).to_owned();
    match client.batch_put(BatchPutRequest { view, rows, ..BatchPutRequest::default() }).await {
        Err(error) => vec![of_call(&error, reasons); writes.len()],
        Ok(results) if results.len() == writes.len() => {
            results.iter().map(|result| of_result(result, false, reasons)).collect()
        }
        Ok(_) => vec![Told::Broken("a batch has fewer answers than rows"); writes.len()],
    }
}

fn of_result(result: &WriteResult, is_past: bool, reasons: &Reasons) -> Told {
    if let Some(error) = &result.error {
        reasons.note(&format!("{}: {}", error.code, error.message));
    }
    use write_result::Outcome::{Applied, Conflict, Erased, Failed, Superseded};
    match write_result::Outcome::try_from(result.outcome) {
        Ok(Applied) => Told::Applied(result.rev),
        Ok(Conflict) => Told::Conflict(result.rev),
        Ok(Failed) => match result.error.as_ref().map(|error| error.code.as_str()) {
            Some("UNAVAILABLE" | "RESOURCE_EXHAUSTED") => Told::Refused,
            Some("DEADLINE_EXCEEDED") => Told::Unknown,
            _ => Told::Broken("a write failed for a reason that no fault gives it"),
        },
        // It is later than the erasure, or it was refused.
        Ok(Erased) => Told::Refused,
        Ok(Superseded) if is_past => Told::Refused,
        // Without an event time of its own every write comes after the row's.
        _ => Told::Broken("a write without an event time was superseded"),
    }
}

fn of_call(error: &Error, reasons: &Reasons) -> Told {
    reasons.note(&format!("{}: {error}", error.kind().code()));
    use trivium_runtime::Kind::{ResourceExhausted, Unavailable};
    match error {
        Error::Refused { kind: ResourceExhausted | Unavailable, .. } => Told::Refused,
        Error::Unknown(_) | Error::Connect { .. } => Told::Unknown,
        Error::Refused { kind: trivium_runtime::Kind::DeadlineExceeded, .. } => Told::Unknown,
        _ => Told::Broken("a request was refused for a reason that no fault gives it"),
    }
}

/// Reads one row; with a bound, perhaps from a copy. `Nothing`: it could not be read.
pub async fn get(client: &Client, row: u32, bound: Option<Duration>) -> What {
    let consistency = consistency(bound);
    let request = GetRequest {
        selection: selection(row),
        entity: entity(row),
        consistency,
        ..GetRequest::default()
    };
    client.get(request).await.map_or(What::Nothing, |answer| part(&answer, 0))
}

/// Reads a row and its twin by the service.
pub async fn get_both(client: &Client, row: u32) -> [What; 2] {
    let request = GetRequest { selection: service(), entity: entity(row), ..GetRequest::default() };
    let answer = client.get(request).await;
    answer.map_or([What::Nothing; 2], |answer| [part(&answer, 0), part(&answer, 1)])
}

/// What stands in the answer of a view.
fn part(answer: &GetResponse, view: usize) -> What {
    let (of_number, of_page) = (view * 2, view * 2 + 1);
    let status = |index: usize| answer.statuses.get(index).copied().unwrap_or(0);
    let value = |index: usize| answer.values.get(index).and_then(|value| value.kind.as_ref());
    let number = match value(of_number) {
        Some(value::Kind::Int64(number)) => Some(*number),
        _ => None,
    };
    let rev = answer.rows.get(view).map_or(0, |row| row.rev);
    seen([status(of_number), status(of_page)], rev, number, value(of_page).and_then(made_of))
}

/// The number that a text or an embedding was made of.
fn made_of(kind: &value::Kind) -> Option<i64> {
    match kind {
        value::Kind::String(text) => number_of_text(text),
        value::Kind::Embedding(vector) => number_of(vector),
        _ => None,
    }
}

fn number_of_text(text: &str) -> Option<i64> {
    let number = text.split(' ').next()?.parse().ok()?;
    (number > 0 && text == page_of(number)).then_some(number)
}

/// What a search found: rows, as they were when their hits were judged.
pub async fn search(client: &Client, near: i64, k: u32) -> Option<Vec<(u32, What)>> {
    let near = vector_of(near);
    let request = SearchNearestRequest {
        feature: format!("{VECTOR_VIEW}:text"),
        near: Some(search_nearest_request::Near::Vector(near.clone())),
        k,
        features: vec![format!("{VECTOR_VIEW}:number"), format!("{VECTOR_VIEW}:text")],
        ..SearchNearestRequest::default()
    };
    let answer = client.search_nearest(request).await.ok()?;
    Some(answer.hits.iter().filter_map(|hit| Some((row_of(hit)?, hit_of(hit, &near)))).collect())
}

fn row_of(hit: &SearchHit) -> Option<u32> {
    match hit.entity.get("id")?.kind {
        Some(key_value::Kind::Int64(id)) => Some(VECTOR + u32::try_from(id).ok()?),
        _ => None,
    }
}

/// A hit is a read of its row; and its score is that of the very embedding which it shows.
fn hit_of(hit: &SearchHit, near: &Embedding) -> What {
    let status = |index: usize| hit.statuses.get(index).copied().unwrap_or(Status::Present.into());
    let value = |index: usize| hit.values.get(index).and_then(|value| value.kind.as_ref());
    let number = match value(0) {
        Some(value::Kind::Int64(number)) => Some(*number),
        _ => None,
    };
    let what = seen([status(0), status(1)], hit.rev, number, value(1).and_then(made_of));
    match (what, value(1)) {
        (What::Saw { .. }, Some(value::Kind::Embedding(vector))) => {
            let due = score(vector, near);
            if (f64::from(hit.score) - due).abs() > due / 100.0 {
                return What::Broken("a hit with the score of another embedding");
            }
            what
        }
        (What::Saw { .. } | What::Absent, _) => What::Broken("a hit without an embedding"),
        _ => what,
    }
}

/// Reads rows of one view in one request, in their order.
pub async fn batch_get(client: &Client, rows: &[u32], bound: Option<Duration>) -> Vec<What> {
    let selection = rows.first().and_then(|row| selection(*row));
    let consistency = consistency(bound);
    let request = BatchGetRequest {
        selection,
        entities: entities(rows),
        consistency,
        ..BatchGetRequest::default()
    };
    match client.batch_get(request).await {
        Err(_) => vec![What::Nothing; rows.len()],
        Ok(answer) => (0..rows.len()).map(|index| batch_part(&answer, 0, index)).collect(),
    }
}

/// Reads rows and their twins by the service: rows first, then twins.
pub async fn batch_get_both(client: &Client, rows: &[u32]) -> Vec<(u32, What)> {
    let selection = service();
    let request =
        BatchGetRequest { selection, entities: entities(rows), ..BatchGetRequest::default() };
    let answer = client.batch_get(request).await;
    let part = |view: usize, index: usize| match &answer {
        Err(_) => What::Nothing,
        Ok(answer) => batch_part(answer, view, index),
    };
    let rows_and_twins = [0, 1].into_iter().flat_map(|view| {
        (0..).zip(rows).map(move |(index, row)| (view, index, row + TWIN * u32::from(view == 1)))
    });
    rows_and_twins.map(|(view, index, row)| (row, part(view, index))).collect()
}

fn batch_part(answer: &BatchGetResponse, view: usize, index: usize) -> What {
    let (of_number, of_page) = (view * 2, view * 2 + 1);
    let column = |index: usize| answer.columns.get(index);
    let status = |of: usize| {
        i32::from(column(of).and_then(|column| column.statuses.get(index)).copied().unwrap_or(0))
    };
    let number = match column(of_number).and_then(|column| column.values.as_ref()) {
        Some(feature_column::Values::Int64s(list)) => list.values.get(index).copied(),
        _ => None,
    };
    let page = match column(of_page).and_then(|column| column.values.as_ref()) {
        Some(feature_column::Values::Strings(list)) => {
            list.values.get(index).and_then(|text| number_of_text(text))
        }
        Some(feature_column::Values::Embeddings(list)) => {
            let components = list.components.get(index * 2..index * 2 + 2).map(<[f32]>::to_vec);
            components.and_then(|components| number_of(&Embedding { components }))
        }
        _ => None,
    };
    let revs = answer.rows.get(view).map(|rows| rows.revs.as_slice());
    let rev = revs.and_then(|revs| revs.get(index)).copied().unwrap_or(0);
    seen([status(of_number), status(of_page)], rev, number, page)
}

/// `page`: the number that the text, or the embedding, was made of.
fn seen(statuses: [i32; 2], rev: u64, number: Option<i64>, page: Option<i64>) -> What {
    let [of_number, of_page] = statuses.map(|status| Status::try_from(status).unwrap_or_default());
    if of_number == Status::Error || of_page == Status::Error {
        return What::Nothing;
    }
    match (of_number, of_page, number) {
        (Status::NotFound, Status::NotFound, _) if rev == 0 => What::Absent,
        (Status::Present, Status::NotFound, Some(number)) if rev > 0 => {
            What::Saw { rev, number, page: 0 }
        }
        (Status::Present, Status::Present, Some(number)) if rev > 0 => page
            .map_or(What::Broken("a text that nobody put"), |page| What::Saw { rev, number, page }),
        _ => What::Broken("an answer that is neither a row nor none"),
    }
}
