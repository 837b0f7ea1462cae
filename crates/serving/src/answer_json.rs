//! The JSON answer of a read, written straight from row bytes.

use trivium_api::ApiError;
use trivium_model::{DataType, json::EXACT_INTEGER_MAX};
use trivium_proto::v1::Status;

use crate::{
    json_buffer::JsonBuffer,
    json_out::{write_instant, write_rev, write_value},
    limits::RESPONSE_BYTES_MAX,
    on_demand::{Inputs, compute},
    plan::{PlanColumn, ReadPlan},
    read::{RowState, Shown, cell},
};

/// The largest first size of a buffer: rows may be missing, and vectors are large.
const FIRST_BYTES_MAX: usize = 1 << 20;

/// `{"features":[…],"rows":[…]}`; states at index entity × views + view.
pub(crate) fn write_answer(
    plan: &ReadPlan,
    states: &[RowState<'_>],
    inputs: &Inputs,
) -> Result<Vec<u8>, ApiError> {
    let views = plan.views.len();
    let entities = states.len() / views.max(1);
    let rows_bytes = (entities * plan.json_row_bytes).min(FIRST_BYTES_MAX);
    let mut out = JsonBuffer::with_capacity(plan.json_head.len() + rows_bytes + 2);
    out.append(|out| out.extend_from_slice(&plan.json_head));
    let mut statuses: Vec<Status> = Vec::with_capacity(plan.names.len());
    let mut whole: Vec<Option<&[u8]>> = Vec::with_capacity(views);
    for (index, row) in states.chunks_exact(views.max(1)).enumerate() {
        whole.clear();
        whole.extend(row.iter().map(RowState::whole));
        out.append(|out| {
            let head: &[u8] = if index > 0 { b",{\"values\":[" } else { b"{\"values\":[" };
            out.extend_from_slice(head);
        });
        write_values(&mut out, plan, row, &whole, &mut statuses);
        write_computed(&mut out, plan, row, (inputs, index), &mut statuses);
        out.append(|out| write_rest(out, plan, row, &statuses));
        if out.len() > RESPONSE_BYTES_MAX {
            return Err(answer_too_large());
        }
    }
    out.append(|out| out.extend_from_slice(b"]}"));
    Ok(out.into_bytes())
}

pub(crate) fn answer_too_large() -> ApiError {
    ApiError::too_large(format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"))
        .help("ask for fewer entities or features in one request")
}

/// The values of one row. Fills `statuses` if there is a value that is not PRESENT: most rows have
/// none.
fn write_values(
    out: &mut JsonBuffer,
    plan: &ReadPlan,
    row: &[RowState<'_>],
    whole: &[Option<&[u8]>],
    statuses: &mut Vec<Status>,
) {
    statuses.clear();
    for (index, column) in plan.columns.iter().enumerate() {
        let state = &row[column.view];
        let comma = index > 0;
        if write_number(out, column, state, whole[column.view], comma) {
            if !statuses.is_empty() {
                statuses.push(Status::Present);
            }
            continue;
        }
        let (status, shown) = cell(column, state);
        out.append(|out| {
            if comma {
                out.push(b',');
            }
            match shown {
                Shown::Own(value) => write_value(out, value, &column.data_type),
                Shown::Default => out.extend_from_slice(&column.default_json),
                Shown::Nothing => out.extend_from_slice(b"null"),
            }
        });
        if status != Status::Present || !statuses.is_empty() {
            statuses.resize(index, Status::Present);
            statuses.push(status);
        }
    }
}

/// What is computed for an entity, behind its values.
fn write_computed(
    out: &mut JsonBuffer,
    plan: &ReadPlan,
    row: &[RowState<'_>],
    (inputs, entity): (&Inputs, usize),
    statuses: &mut Vec<Status>,
) {
    for (index, feature) in plan.computed().iter().enumerate() {
        let (status, value) = compute(plan, feature, inputs, entity, row);
        out.append(|out| {
            out.push(b',');
            write_value(out, value.as_row(), feature.data_type());
        });
        if status != Status::Present || !statuses.is_empty() {
            statuses.resize(plan.columns.len() + index, Status::Present);
            statuses.push(status);
        }
    }
}

/// The values of one row and their end, for answers of another shape.
pub(crate) fn write_row_values(out: &mut JsonBuffer, plan: &ReadPlan, row: &[RowState<'_>]) {
    let whole: Vec<Option<&[u8]>> = row.iter().map(RowState::whole).collect();
    let mut statuses = Vec::new();
    write_values(out, plan, row, &whole, &mut statuses);
    out.append(|out| write_statuses(out, &statuses));
}

/// The end of the values, and their statuses if there are any.
fn write_statuses(out: &mut Vec<u8>, statuses: &[Status]) {
    out.push(b']');
    if !statuses.is_empty() {
        out.extend_from_slice(b",\"statuses\":[");
        for (index, status) in statuses.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(status.as_str_name().as_bytes());
            out.push(b'"');
        }
        out.push(b']');
    }
}

/// What comes after the values of a row.
fn write_rest(out: &mut Vec<u8>, plan: &ReadPlan, row: &[RowState<'_>], statuses: &[Status]) {
    write_statuses(out, statuses);
    if row.iter().any(|state| state.stamp().is_some()) {
        out.extend_from_slice(b",\"event_times\":{");
        write_by_view(out, plan, row, |out, state| {
            state.stamp().map(|(event_time, _)| write_instant(out, event_time))
        });
        out.extend_from_slice(b"},\"revs\":{");
        write_by_view(out, plan, row, |out, state| {
            state.stamp().map(|(_, rev)| write_rev(out, rev))
        });
        out.push(b'}');
    }
    out.push(b'}');
}

/// The short way of most cells: a number that is there. False: nothing was written.
#[inline]
fn write_number(
    out: &mut JsonBuffer,
    column: &PlanColumn,
    state: &RowState<'_>,
    whole: Option<&[u8]>,
    comma: bool,
) -> bool {
    match &column.data_type {
        DataType::Float64 => match fixed(column, state, whole).map(f64::from_le_bytes) {
            Some(value) if value.is_finite() => {
                out.number(comma, zmij::Buffer::new().format_finite(value));
                true
            }
            _ => false,
        },
        DataType::Float32 => match fixed(column, state, whole).map(f32::from_le_bytes) {
            Some(value) if value.is_finite() => {
                out.number(comma, zmij::Buffer::new().format_finite(value));
                true
            }
            _ => false,
        },
        DataType::Int64 => match fixed(column, state, whole).map(i64::from_le_bytes) {
            Some(value) if value.unsigned_abs() <= EXACT_INTEGER_MAX.unsigned_abs() => {
                out.number(comma, itoa::Buffer::new().format(value));
                true
            }
            _ => false,
        },
        DataType::Int32 => match fixed(column, state, whole).map(i32::from_le_bytes) {
            Some(value) => {
                out.number(comma, itoa::Buffer::new().format(value));
                true
            }
            None => false,
        },
        _ => false,
    }
}

#[inline]
fn fixed<const WIDTH: usize>(
    column: &PlanColumn,
    state: &RowState<'_>,
    whole: Option<&[u8]>,
) -> Option<[u8; WIDTH]> {
    match (whole, &column.slot) {
        (Some(section), Some(slot)) => slot.read(section),
        _ => state.fixed(column),
    }
}

/// `"view":…` for each view for which there is something to write.
fn write_by_view(
    out: &mut Vec<u8>,
    plan: &ReadPlan,
    row: &[RowState<'_>],
    write: impl Fn(&mut Vec<u8>, &RowState<'_>) -> Option<()>,
) {
    let mut first = true;
    for (planned, state) in plan.views.iter().zip(row) {
        let start = out.len();
        if !first {
            out.push(b',');
        }
        out.extend_from_slice(&planned.json_name);
        if write(out, state).is_some() {
            first = false;
        } else {
            out.truncate(start);
        }
    }
}
