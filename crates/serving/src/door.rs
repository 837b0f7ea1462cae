//! The write door in process: what the materializer and other producers of this process write
//! through. Over the wire it is `BatchPut` with encoded rows, which comes here too.

use std::sync::Arc;

use async_trait::async_trait;
use trivium_api::ApiError;
use trivium_model::{KeyValue, Lane, Value};
use trivium_store::{
    DoorError, DoorOp, DoorOutcome, DoorRequest, DoorRow, Order, WriteDoor, embedding::Visible,
};

use crate::{
    Serving,
    definitions::ViewDefinition,
    error::to_door,
    limits,
    request::{RowPath, check_event_time, check_row_count, check_values},
    write::{Op, Write},
};

#[async_trait]
impl WriteDoor for Serving {
    async fn write(&self, request: DoorRequest) -> Result<Vec<DoorOutcome>, DoorError> {
        let _entered = self.enter("process").map_err(|_| {
            DoorError::Store(trivium_store::Error::Throttled(
                "too many requests are under way".to_owned(),
            ))
        })?;
        let definitions = self.definitions();
        let Some(view) = definitions.find(&request.view) else {
            return Err(DoorError::UnknownView(request.view));
        };
        definitions.view(&view.name, "view").map_err(to_door)?;
        check_row_count(request.rows.len(), limits::ENCODED_ROWS_MAX, "rows").map_err(to_door)?;
        check_lane(view, request.lane).map_err(to_door)?;
        let mut writes = Vec::with_capacity(request.rows.len());
        let mut places = Vec::with_capacity(request.rows.len());
        for (index, row) in request.rows.into_iter().enumerate() {
            // A pipeline's rows stand for themselves: one that is refused stops no other.
            match self.door_write(view, row, RowPath::At(index)) {
                Ok(write) => {
                    writes.push(write);
                    places.push(None);
                }
                Err(error) => places.push(Some(Err(to_door(error)))),
            }
        }
        let deadline = request.deadline.or_else(|| self.deadline());
        let visible = Visible::Later;
        let outcomes = self.execute(view, request.lane, writes, visible, deadline).await;
        let mut outcomes = outcomes.into_iter();
        let missing = || {
            Err(DoorError::Store(trivium_store::Error::Unknown("no outcome was given".to_owned())))
        };
        Ok(places
            .into_iter()
            .map(|place| place.unwrap_or_else(|| outcomes.next().unwrap_or_else(missing)))
            .collect())
    }
}

/// A view has one producing lane; direct callers may write beside it.
pub(crate) fn check_lane(view: &ViewDefinition, lane: Lane) -> Result<(), ApiError> {
    if lane == view.lane || lane == Lane::Direct {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "`{}` is produced by its {} lane, not by the {} lane",
        view.name,
        word(view.lane),
        word(lane)
    ))
    .at("lane")
    .help("write it through its own lane, or put features directly"))
}

fn word(lane: Lane) -> &'static str {
    match lane {
        Lane::Batch => "batch",
        Lane::Stream => "stream",
        Lane::Direct => "direct",
    }
}

impl Serving {
    fn door_write(
        &self,
        view: &Arc<ViewDefinition>,
        row: DoorRow,
        path: RowPath,
    ) -> Result<Write, ApiError> {
        let event_time = match row.order {
            Order::At { event_time, .. } => Some(event_time),
            Order::Replacing { new_event_time, .. } => Some(new_event_time),
            Order::Now { .. } => None,
        };
        if let Some(event_time) = event_time {
            check_event_time(self, event_time, || format!("{path}.event_time"))?;
        }
        let op = match row.op {
            DoorOp::Delete => Op::Delete,
            DoorOp::PutRow { row, schema } => Op::Row(check_row(view, row, schema, path)?),
            DoorOp::PutValues(values) => {
                Op::Values(check_values(view, values, path, |data_type, value: Value| {
                    if value.fits(data_type) {
                        Ok(value)
                    } else {
                        Err(format!("expected {data_type}, found a value of another type"))
                    }
                })?)
            }
        };
        Ok(Write {
            key: self.door_key(view, &row.entity, path)?,
            op,
            order: row.order,
            condition: row.condition,
            write_id: row.write_id,
        })
    }

    fn door_key(
        &self,
        view: &ViewDefinition,
        entity: &[KeyValue],
        path: RowPath,
    ) -> Result<trivium_codec::RowKey, ApiError> {
        view.keys
            .encode(entity)
            .map_err(|error| ApiError::invalid(error.to_string()).at(format!("{path}.entity")))
    }
}

/// An encoded row is taken as it is, if its layout is known and its size within the limit.
pub(crate) fn check_row(
    view: &ViewDefinition,
    row: trivium_codec::Row,
    schema: trivium_codec::Fingerprint,
    path: RowPath,
) -> Result<trivium_codec::Row, ApiError> {
    let field = || format!("{path}.row");
    if row.is_deleted() {
        return Err(ApiError::invalid("the encoded row is a tombstone")
            .at(field())
            .help("to remove a row, send a delete"));
    }
    if row.fingerprint() != schema {
        return Err(ApiError::invalid(format!(
            "the row was encoded under schema {}, the request says {schema}",
            row.fingerprint()
        ))
        .at(field()));
    }
    if !view.layouts.knows(schema) {
        return Err(ApiError::invalid(format!("schema {schema} is none of `{}`", view.name))
            .at("schema_fingerprint")
            .help(format!(
                "its current schema is {}; a server that has not seen the newest definitions yet says \
                 this too: retry",
                view.layouts.current().fingerprint()
            )));
    }
    if row.as_bytes().len() > limits::ROW_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "the row takes {} bytes, more than the limit of {}",
            row.as_bytes().len(),
            limits::ROW_BYTES_MAX
        ))
        .at(field()));
    }
    Ok(row)
}
