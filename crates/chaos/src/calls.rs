//! One request and its answer, as the history wants them.

use std::{collections::BTreeMap, sync::Mutex};

use trivium_client::{
    Client, Error,
    v1::{
        BatchGetRequest, BatchPutRequest, DeleteRequest, DeleteRow, FeatureSelection, GetRequest,
        Int64List, KeyColumn, KeyValue, PutRequest, PutRow, PutRows, Status, Value, WriteResult,
        batch_put_request, feature_column, key_column, key_value, value, write_result,
    },
};

use crate::{
    history::{Outcome, What},
    world::{PAGE, locked},
};

const VIEW: &str = "chaos/row@1";

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

fn selection() -> Option<FeatureSelection> {
    Some(FeatureSelection {
        features: vec![format!("{VIEW}:number"), format!("{VIEW}:page")],
        service: String::new(),
    })
}

fn entity(row: u32) -> BTreeMap<String, KeyValue> {
    let kind = Some(key_value::Kind::Int64(i64::from(row)));
    BTreeMap::from([("id".to_owned(), KeyValue { kind })])
}

fn put_row(write: &Write, number: i64) -> PutRow {
    let value = |name: &str, kind| (name.to_owned(), Value { kind: Some(kind) });
    let mut values = BTreeMap::from([value("number", value::Kind::Int64(number))]);
    if write.whole {
        values.extend([value("page", value::Kind::String(page_of(number)))]);
    }
    PutRow {
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
            client.put(PutRequest { view: VIEW.to_owned(), row, ..PutRequest::default() }).await
        }
        None => {
            let row = DeleteRow {
                entity: entity(write.row),
                if_rev: write.if_rev,
                idempotency_key: write.name.clone().into(),
                ..DeleteRow::default()
            };
            let request = DeleteRequest { view: VIEW.to_owned(), rows: vec![row] };
            client.delete(request).await.map(|mut results| results.pop().unwrap_or_default())
        }
    };
    result.map_or_else(|error| of_call(&error, reasons), |result| of_result(&result, reasons))
}

/// Sends puts in one request.
pub async fn batch_put(client: &Client, writes: &[Write], reasons: &Reasons) -> Vec<Told> {
    let rows = writes.iter().map(|write| put_row(write, write.put.unwrap_or_default())).collect();
    let rows = Some(batch_put_request::Rows::Values(PutRows { rows }));
    match client
        .batch_put(BatchPutRequest { view: VIEW.to_owned(), rows, ..BatchPutRequest::default() })
        .await
    {
        Err(error) => vec![of_call(&error, reasons); writes.len()],
        Ok(results) if results.len() == writes.len() => {
            results.iter().map(|result| of_result(result, reasons)).collect()
        }
        Ok(_) => vec![Told::Broken("a batch has fewer answers than rows"); writes.len()],
    }
}

fn of_result(result: &WriteResult, reasons: &Reasons) -> Told {
    if let Some(error) = &result.error {
        reasons.note(&format!("{}: {}", error.code, error.message));
    }
    use write_result::Outcome::{Applied, Conflict, Failed};
    match write_result::Outcome::try_from(result.outcome) {
        Ok(Applied) => Told::Applied(result.rev),
        Ok(Conflict) => Told::Conflict(result.rev),
        Ok(Failed) => match result.error.as_ref().map(|error| error.code.as_str()) {
            Some("UNAVAILABLE" | "RESOURCE_EXHAUSTED") => Told::Refused,
            Some("DEADLINE_EXCEEDED") => Told::Unknown,
            _ => Told::Broken("a write failed for a reason that no fault gives it"),
        },
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

/// Reads one row. `Nothing`: it could not be read.
pub async fn get(client: &Client, row: u32) -> What {
    let request = GetRequest { selection: selection(), entity: entity(row), consistency: None };
    let Ok(answer) = client.get(request).await else { return What::Nothing };
    let status = |index: usize| answer.statuses.get(index).copied().unwrap_or(0);
    let value = |index: usize| answer.values.get(index).and_then(|value| value.kind.as_ref());
    let number = match value(0) {
        Some(value::Kind::Int64(number)) => Some(*number),
        _ => None,
    };
    let page = match value(1) {
        Some(value::Kind::String(page)) => Some(page.as_str()),
        _ => None,
    };
    let rev = answer.rows.first().map_or(0, |row| row.rev);
    seen([status(0), status(1)], rev, number, page)
}

/// Reads rows in one request, in their order.
pub async fn batch_get(client: &Client, rows: &[u32]) -> Vec<What> {
    let values = rows.iter().map(|row| i64::from(*row)).collect();
    let values = Some(key_column::Values::Int64s(Int64List { values }));
    let entities = vec![KeyColumn { name: "id".to_owned(), values }];
    let request = BatchGetRequest { selection: selection(), entities, consistency: None };
    let Ok(answer) = client.batch_get(request).await else {
        return vec![What::Nothing; rows.len()];
    };
    let column = |index: usize| answer.columns.get(index);
    let status = |of: usize, index: usize| {
        i32::from(column(of).and_then(|column| column.statuses.get(index)).copied().unwrap_or(0))
    };
    let one = |index: usize| {
        let number = match column(0).and_then(|column| column.values.as_ref()) {
            Some(feature_column::Values::Int64s(list)) => list.values.get(index).copied(),
            _ => None,
        };
        let page = match column(1).and_then(|column| column.values.as_ref()) {
            Some(feature_column::Values::Strings(list)) => list.values.get(index),
            _ => None,
        };
        let rev = answer.rows.first().and_then(|rows| rows.revs.get(index)).copied().unwrap_or(0);
        seen([status(0, index), status(1, index)], rev, number, page.map(String::as_str))
    };
    (0..rows.len()).map(one).collect()
}

fn seen(statuses: [i32; 2], rev: u64, number: Option<i64>, page: Option<&str>) -> What {
    let [of_number, of_page] = statuses.map(|status| Status::try_from(status).unwrap_or_default());
    if of_number == Status::Error || of_page == Status::Error {
        return What::Nothing;
    }
    match (of_number, of_page, number) {
        (Status::NotFound, Status::NotFound, _) if rev == 0 => What::Absent,
        (Status::Present, Status::NotFound, Some(number)) if rev > 0 => {
            What::Saw { rev, number, page: 0 }
        }
        (Status::Present, Status::Present, Some(number)) if rev > 0 => {
            let text = page.unwrap_or_default();
            let page = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            if page > 0 && text == page_of(page) {
                What::Saw { rev, number, page }
            } else {
                What::Broken("a text that nobody put")
            }
        }
        _ => What::Broken("an answer that is neither a row nor none"),
    }
}
