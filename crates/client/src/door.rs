//! The write door over gRPC.
//!
//! Whole rows with a place in the order travel encoded ([`v1::EncodedRows`]), everything else by
//! name. Rows of one request that travel in different messages are sent in their order, one message
//! after the other, so that two writes of one key take effect as the door promises.
//!
//! An answer names rev and event time of the row; the stamp's other fields are filled in from the
//! request where they follow from it, and are zero otherwise.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use trivium_codec::Fingerprint;
use trivium_model::{Lane, Timestamp, Value, ViewRef};
use trivium_proto::v1::{self, batch_put_request::Rows, write_result::Outcome};
use trivium_store::{
    Checkpoints, Condition, DoorError, DoorOp, DoorOutcome, DoorRequest, DoorRow, Order, Stamp,
    WriteDoor, WriteId, WriteOutcome, check_deadline,
};

use crate::{Client, Error, calls::KnownView, wire};

/// Rows of one message at most; the server's own limits are a little above.
pub(crate) const ENCODED_ROWS_MAX: usize = 5_000;
const NAMED_ROWS_MAX: usize = 1_000;
/// Row bytes after which a message is closed. With one more row it is still below the server's
/// limit of a message.
const MESSAGE_BYTES: usize = 4 << 20;

/// How a row travels. Neighbours with the same form share a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Encoded(Option<Fingerprint>),
    Values,
    Delete,
}

fn form(row: &DoorRow) -> Result<Form, String> {
    let has_place = match row.order {
        Order::At { sequence, .. } => sequence.is_some(),
        Order::Now { .. } => false,
        Order::Replacing { .. } => true,
    };
    let can_be_encoded = has_place && row.condition == Condition::None;
    match (&row.op, row.order, row.condition) {
        (_, _, Condition::ExactRev(_)) => {
            Err("a condition on the exact rev does not travel; use the live row's rev".to_owned())
        }
        (DoorOp::PutRow { schema, .. }, ..) if can_be_encoded => Ok(Form::Encoded(Some(*schema))),
        (DoorOp::PutRow { .. }, ..) => Err(
            "an encoded row travels with event time and sequence, and without a condition; put values instead"
                .to_owned(),
        ),
        (DoorOp::Delete, ..) if can_be_encoded => Ok(Form::Encoded(None)),
        (DoorOp::PutValues(_) | DoorOp::Delete, Order::Replacing { .. }, _) => {
            Err("only whole rows replace exactly one other".to_owned())
        }
        (DoorOp::PutValues(_), ..) => Ok(Form::Values),
        (DoorOp::Delete, ..) => Ok(Form::Delete),
    }
}

fn row_bytes(row: &DoorRow) -> usize {
    match &row.op {
        DoorOp::PutRow { row, .. } => row.as_bytes().len(),
        DoorOp::PutValues(values) => values.iter().map(|(_, value)| value_bytes(value)).sum(),
        DoorOp::Delete => 0,
    }
}

/// Only what can be large counts.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(value_bytes).sum::<usize>() + 12 * items.len(),
        Value::Embedding(components) => 4 * components.len(),
        _ => 0,
    }
}

/// Cuts a request into messages. An encoded delete goes with rows of any schema.
fn messages(rows: &[DoorRow]) -> Result<Vec<(Form, std::ops::Range<usize>)>, DoorError> {
    let mut cut: Vec<(Form, std::ops::Range<usize>)> = Vec::new();
    let mut bytes = 0;
    for (index, row) in rows.iter().enumerate() {
        let form = form(row).map_err(|message| DoorError::Invalid {
            message,
            field: format!("rows[{index}]"),
            help: String::new(),
        })?;
        let joined = cut.last_mut().is_some_and(|(last, range)| {
            let limit = match form {
                Form::Encoded(_) => ENCODED_ROWS_MAX,
                Form::Values | Form::Delete => NAMED_ROWS_MAX,
            };
            if range.len() >= limit || bytes >= MESSAGE_BYTES {
                return false;
            }
            match (*last, form) {
                (Form::Encoded(None), Form::Encoded(Some(_))) => *last = form,
                (Form::Encoded(Some(_)), Form::Encoded(None)) => {}
                (a, b) if a == b => {}
                _ => return false,
            }
            range.end = index + 1;
            true
        });
        if !joined {
            cut.push((form, index..index + 1));
            bytes = 0;
        }
        bytes += row_bytes(row);
    }
    Ok(cut)
}

fn id_to_wire(id: WriteId) -> Bytes {
    match id.0 {
        0 => Bytes::new(),
        id => Bytes::copy_from_slice(&id.to_le_bytes()),
    }
}

fn encoded_row(row: &DoorRow) -> v1::EncodedRow {
    let (event_time, sequence, replacing) = match row.order {
        Order::At { event_time, sequence } => (event_time, sequence.unwrap_or(0), None),
        Order::Now { now } => (now, 0, None),
        Order::Replacing { event_time, sequence, new_event_time, new_sequence } => {
            let replaced = v1::Replacing { event_time_micros: event_time.0, sequence };
            (new_event_time, new_sequence, Some(replaced))
        }
    };
    v1::EncodedRow {
        entity: row.entity.iter().map(wire::key_to_wire).collect(),
        row: match &row.op {
            DoorOp::PutRow { row, .. } => Some(row.as_bytes().clone()),
            DoorOp::PutValues(_) | DoorOp::Delete => None,
        },
        event_time_micros: event_time.0,
        sequence,
        replacing,
        write_id: id_to_wire(row.write_id),
    }
}

/// Event time, sequence and `if_rev` of a row that travels by name.
fn place(row: &DoorRow) -> (Option<i64>, Option<u64>, Option<u64>) {
    let (event_time, sequence) = match row.order {
        Order::At { event_time, sequence } => (Some(event_time.0), sequence),
        Order::Now { .. } | Order::Replacing { .. } => (None, None),
    };
    let if_rev = match row.condition {
        Condition::Rev(rev) => Some(rev),
        Condition::None | Condition::ExactRev(_) => None,
    };
    (event_time, sequence, if_rev)
}

fn entity(view: &KnownView, row: &DoorRow) -> Result<BTreeMap<String, v1::KeyValue>, DoorError> {
    let keys = &view.keys;
    if keys.len() != row.entity.len() {
        return Err(DoorError::Invalid {
            message: format!("{} join key values, expected {}", row.entity.len(), keys.len()),
            field: "entity".to_owned(),
            help: String::new(),
        });
    }
    Ok(wire::entity_to_wire(keys.iter().zip(&row.entity)))
}

fn values_row(view: &KnownView, row: &DoorRow) -> Result<v1::PutRow, DoorError> {
    let DoorOp::PutValues(values) = &row.op else {
        return Ok(v1::PutRow::default());
    };
    let (event_time_micros, sequence, if_rev) = place(row);
    let values = values.iter().map(|(name, value)| {
        let Some(data_type) = view.types.get(name) else {
            return Err(DoorError::Invalid {
                message: format!("the view has no feature `{name}`"),
                field: format!("values.{name}"),
                help: String::new(),
            });
        };
        Ok((name.to_string(), wire::value_to_wire(data_type, value)))
    });
    Ok(v1::PutRow {
        entity: entity(view, row)?,
        values: values.collect::<Result<_, _>>()?,
        event_time_micros,
        if_rev,
        idempotency_key: id_to_wire(row.write_id),
        sequence,
    })
}

fn delete_row(view: &KnownView, row: &DoorRow) -> Result<v1::DeleteRow, DoorError> {
    let (event_time_micros, sequence, if_rev) = place(row);
    Ok(v1::DeleteRow {
        entity: entity(view, row)?,
        event_time_micros,
        if_rev,
        idempotency_key: id_to_wire(row.write_id),
        sequence,
    })
}

fn outcome(view: &ViewRef, row: &DoorRow, result: v1::WriteResult) -> DoorOutcome {
    let stamp = |write_id, deleted| {
        let event_time = Timestamp(result.event_time_micros);
        let sequence = match row.order {
            Order::At { event_time: asked, sequence: Some(sequence) } if asked == event_time => {
                sequence
            }
            Order::Replacing { new_event_time: asked, new_sequence, .. } if asked == event_time => {
                new_sequence
            }
            _ => 0,
        };
        Stamp { rev: result.rev, event_time, sequence, write_id, deleted }
    };
    // Of what stands there instead, only a live row has a rev in the answer, and no sequence.
    let other = || Stamp { sequence: 0, ..stamp(WriteId(0), result.rev == 0) };
    match Outcome::try_from(result.outcome) {
        Ok(Outcome::Applied) => {
            let deleted = matches!(row.op, DoorOp::Delete);
            Ok(WriteOutcome::Applied(stamp(row.write_id, deleted)))
        }
        Ok(Outcome::Superseded) => Ok(WriteOutcome::Superseded(other())),
        Ok(Outcome::Conflict) if result.rev == 0 && result.event_time_micros == 0 => {
            Ok(WriteOutcome::Conflict(None))
        }
        Ok(Outcome::Conflict) => Ok(WriteOutcome::Conflict(Some(other()))),
        Ok(Outcome::Erased) => Ok(WriteOutcome::Erased(Timestamp(result.event_time_micros))),
        Ok(Outcome::Failed | Outcome::Unspecified) | Err(_) => {
            let detail = result.error.unwrap_or_default();
            Err(Error::from_detail(detail).into_door(view))
        }
    }
}

impl Client {
    async fn send(
        &self,
        view: &ViewRef,
        lane: Lane,
        form: Form,
        rows: &[DoorRow],
    ) -> Result<Vec<v1::WriteResult>, DoorError> {
        let reference = view.to_string();
        let told = |error: Error| error.into_door(view);
        if let Form::Encoded(schema) = form {
            let encoded = v1::EncodedRows {
                schema_fingerprint: schema.map_or(0, |schema| schema.0),
                rows: rows.iter().map(encoded_row).collect(),
                lane: wire::lane_to_wire(lane) as i32,
            };
            let request = v1::BatchPutRequest {
                view: reference,
                rows: Some(Rows::Encoded(encoded)),
                ..Default::default()
            };
            return self.batch_put(request).await.map_err(told);
        }
        let definition = self.definition(view, rows).await.map_err(told)?;
        let at = |index: usize| {
            move |error| match error {
                DoorError::Invalid { message, field, help } => {
                    DoorError::Invalid { message, field: format!("rows[{index}].{field}"), help }
                }
                other => other,
            }
        };
        let rows = rows.iter().enumerate();
        if form == Form::Delete {
            let rows = rows.map(|(index, row)| delete_row(&definition, row).map_err(at(index)));
            let rows = rows.collect::<Result<_, _>>()?;
            return self.delete(v1::DeleteRequest { view: reference, rows }).await.map_err(told);
        }
        let rows = rows.map(|(index, row)| values_row(&definition, row).map_err(at(index)));
        let rows = Some(Rows::Values(v1::PutRows { rows: rows.collect::<Result<_, _>>()? }));
        self.batch_put(v1::BatchPutRequest { view: reference, rows, ..Default::default() })
            .await
            .map_err(told)
    }

    /// The view, asked for again where the rows name a feature that it did not have yet.
    async fn definition(&self, view: &ViewRef, rows: &[DoorRow]) -> Result<Arc<KnownView>, Error> {
        let known = self.view(view, false).await?;
        let is_complete = rows.iter().all(|row| match &row.op {
            DoorOp::PutValues(values) => {
                values.iter().all(|(name, _)| known.types.contains_key(name))
            }
            DoorOp::PutRow { .. } | DoorOp::Delete => true,
        });
        if is_complete { Ok(known) } else { self.view(view, true).await }
    }
}

#[async_trait]
impl WriteDoor for Client {
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError> {
        let DoorRequest { view, lane, rows, deadline } = request;
        let cut = messages(&rows)?;
        let mut outcomes: Vec<DoorOutcome> = Vec::with_capacity(rows.len());
        for (form, range) in cut {
            let start = range.start;
            let rows = &rows[range];
            let sent = async {
                check_deadline(deadline)?;
                let sending = self.send(&view, lane, form, rows);
                let results = match deadline {
                    None => sending.await,
                    Some(deadline) => {
                        let late = || trivium_store::Error::Unknown("no answer in time".to_owned());
                        let sent = tokio::time::timeout_at(deadline.into(), sending).await;
                        sent.unwrap_or_else(|_| Err(late().into()))
                    }
                }?;
                if results.len() != rows.len() {
                    let told = format!("{} results for {} rows", results.len(), rows.len());
                    return Err(trivium_store::Error::Unknown(told).into());
                }
                Ok(results)
            };
            match sent.await {
                Ok(results) => {
                    let pairs = rows.iter().zip(results);
                    outcomes.extend(pairs.map(|(row, result)| outcome(&view, row, result)));
                }
                // Nothing was tried yet: the request as a whole has failed.
                Err(error) if outcomes.is_empty() && !is_unknown(&error) => return Err(error),
                Err(error) => {
                    let error = shifted(error, start);
                    outcomes.extend(rows.iter().map(|_| Err(error.clone())));
                }
            }
        }
        Ok(outcomes)
    }
}

/// The server counts rows within the message, the caller within the request.
fn shifted(error: DoorError, start: usize) -> DoorError {
    match error {
        DoorError::Invalid { message, field, help } => {
            let parts = field.strip_prefix("rows[").and_then(|rest| rest.split_once(']'));
            let moved = parts.and_then(|(number, rest)| {
                number.parse::<usize>().ok().map(|number| format!("rows[{}]{rest}", number + start))
            });
            DoorError::Invalid { message, field: moved.unwrap_or(field), help }
        }
        other => other,
    }
}

const fn is_unknown(error: &DoorError) -> bool {
    matches!(error, DoorError::Store(trivium_store::Error::Unknown(_)))
}

#[async_trait]
impl Checkpoints for Client {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, trivium_store::Error> {
        self.load_checkpoint(name).await.map_err(Error::into_store)
    }

    async fn store(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        value: Bytes,
    ) -> Result<bool, trivium_store::Error> {
        let expected = expected.map(Bytes::copy_from_slice);
        self.store_checkpoint(name, expected, value).await.map_err(Error::into_store)
    }
}
