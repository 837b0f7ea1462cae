//! The JSON answer of a read, written straight from row bytes.

use trivium_api::ApiError;
use trivium_model::{DataType, json::EXACT_INTEGER_MAX};
use trivium_proto::v1::Status;

use crate::{
    json_out::{write_instant, write_rev, write_value},
    limits::RESPONSE_BYTES_MAX,
    plan::{PlanColumn, ReadPlan},
    read::{RowState, Shown, cell},
};

/// Bytes that a value takes on average, for the first size of the buffer.
const VALUE_BYTES_GUESS: usize = 16;

/// `{"features":[…],"rows":[…]}`; states at index entity × views + view.
pub(crate) fn write_answer(plan: &ReadPlan, states: &[RowState<'_>]) -> Result<Vec<u8>, ApiError> {
    let views = plan.views.len();
    let entities = states.len() / views.max(1);
    let row_guess = plan.columns.len() * VALUE_BYTES_GUESS + views * 96 + 64;
    let mut out = Vec::with_capacity(plan.json_head.len() + entities * row_guess + 2);
    out.extend_from_slice(&plan.json_head);
    let mut statuses: Vec<Status> = Vec::with_capacity(plan.columns.len());
    for (index, row) in states.chunks_exact(views.max(1)).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_row(&mut out, plan, row, &mut statuses);
        if out.len() > RESPONSE_BYTES_MAX {
            return Err(answer_too_large());
        }
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

pub(crate) fn answer_too_large() -> ApiError {
    ApiError::too_large(format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"))
        .help("ask for fewer entities or features in one request")
}

fn write_row(out: &mut Vec<u8>, plan: &ReadPlan, row: &[RowState<'_>], statuses: &mut Vec<Status>) {
    // Filled from the first value on that is not PRESENT: most rows have none.
    statuses.clear();
    out.extend_from_slice(b"{\"values\":[");
    for (index, column) in plan.columns.iter().enumerate() {
        let state = &row[column.view];
        if write_number(out, column, state, index > 0) {
            if !statuses.is_empty() {
                statuses.push(Status::Present);
            }
            continue;
        }
        if index > 0 {
            out.push(b',');
        }
        let (status, shown) = cell(column, state);
        match shown {
            Shown::Own(value) => write_value(out, value, &column.data_type),
            Shown::Default => out.extend_from_slice(&column.default_json),
            Shown::Nothing => out.extend_from_slice(b"null"),
        }
        if status != Status::Present || !statuses.is_empty() {
            statuses.resize(index, Status::Present);
            statuses.push(status);
        }
    }
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
fn write_number(out: &mut Vec<u8>, column: &PlanColumn, state: &RowState<'_>, comma: bool) -> bool {
    match &column.data_type {
        DataType::Float64 => match state.fixed(column).map(f64::from_le_bytes) {
            Some(value) if value.is_finite() => {
                write_short(out, comma, zmij::Buffer::new().format_finite(value));
                true
            }
            _ => false,
        },
        DataType::Float32 => match state.fixed(column).map(f32::from_le_bytes) {
            Some(value) if value.is_finite() => {
                write_short(out, comma, zmij::Buffer::new().format_finite(value));
                true
            }
            _ => false,
        },
        DataType::Int64 => match state.fixed(column).map(i64::from_le_bytes) {
            Some(value) if value.unsigned_abs() <= EXACT_INTEGER_MAX.unsigned_abs() => {
                write_short(out, comma, itoa::Buffer::new().format(value));
                true
            }
            _ => false,
        },
        DataType::Int32 => match state.fixed(column).map(i32::from_le_bytes) {
            Some(value) => {
                write_short(out, comma, itoa::Buffer::new().format(value));
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// More than the longest text of a number (`-1.7976931348623157e308`) and a comma.
const SHORT: usize = 32;

/// Appends a number's text. Its copies have lengths known to the compiler: a call of `memmove` for
/// each value costs as much as making its digits.
#[inline]
pub(crate) fn write_short(out: &mut Vec<u8>, comma: bool, text: &str) {
    let bytes = text.as_bytes();
    let mut padded = [b','; SHORT];
    match bytes.len() {
        16..SHORT => place::<16>(&mut padded, bytes),
        8..16 => place::<8>(&mut padded, bytes),
        4..8 => place::<4>(&mut padded, bytes),
        0..4 => padded[1..].iter_mut().zip(bytes).for_each(|(to, from)| *to = *from),
        // No number of ours is as long.
        SHORT.. => {
            out.extend_from_slice(if comma { b"," } else { b"" });
            out.extend_from_slice(bytes);
            return;
        }
    }
    let end = out.len() + usize::from(comma) + bytes.len();
    if comma {
        out.extend_from_slice(&padded);
    } else {
        out.extend_from_slice(&padded[1..]);
    }
    out.truncate(end);
}

/// Puts between `N` and 2·`N` bytes after the comma, as two pieces that may overlap.
#[inline]
fn place<const N: usize>(padded: &mut [u8; SHORT], bytes: &[u8]) {
    let end = bytes.len() + 1;
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        padded[1..=N].copy_from_slice(first);
        padded[end - N..end].copy_from_slice(last);
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
