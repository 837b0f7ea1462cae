//! The answer of a batch as its bytes on the wire: `BatchGetResponse`, without ever being one.
//!
//! A column of numbers is gathered from the rows' own bytes straight into the message, where both
//! are little-endian and of fixed width; everything else goes the general way.

use bytes::{BufMut, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{self, WireType},
};
use trivium_api::ApiError;
use trivium_codec::FixedSlot;
use trivium_model::DataType;

use crate::{
    answer_grpc::{self, computed_column, gather_column},
    answer_json::answer_too_large,
    limits::RESPONSE_BYTES_MAX,
    on_demand::Inputs,
    plan::{PlanColumn, ReadPlan},
    read::RowState,
};

/// Fields of `BatchGetResponse`.
const FEATURES: u32 = 1;
const COLUMNS: u32 = 2;
const ROWS: u32 = 3;
/// The field of every `…List` that holds its values, packed.
const VALUES: u32 = 1;
/// Tag and length of a column, of its list and of the list's values, at most.
const COLUMN_HEAD_BYTES_MAX: usize = 3 * (1 + 5);

/// The names of a plan's columns, as every answer begins.
pub(crate) fn encode_names(names: &[String]) -> Vec<u8> {
    let mut head = Vec::new();
    encoding::string::encode_repeated(FEATURES, names, &mut head);
    head
}

/// The answer for many entities; states at index entity × views + view.
pub(crate) fn encode_columns(
    plan: &ReadPlan,
    states: &[RowState<'_>],
    inputs: &Inputs,
) -> Result<Bytes, ApiError> {
    let views = plan.views.len().max(1);
    let entities = states.len() / views;
    // Where every row of a view has all its values, its numbers are only copied.
    let whole: Vec<Option<Vec<&[u8]>>> = (0..plan.views.len())
        .map(|view| states.iter().skip(view).step_by(views).map(RowState::whole).collect())
        .collect();
    let numbers = plan.columns.iter().filter_map(|column| packed(&column.data_type));
    let columns: usize =
        numbers.map(|packed| packed.width * entities + COLUMN_HEAD_BYTES_MAX).sum();
    let stamps: usize =
        plan.views.iter().map(|planned| planned.view.name.len() + 16 * entities + 24).sum();
    let mut answer = BytesMut::with_capacity(plan.wire_head.len() + columns + stamps);
    answer.put_slice(&plan.wire_head);
    // What texts, bytes, lists and vectors need, counted while they are gathered: before they are
    // written once more.
    let mut bytes = 0;
    for column in &plan.columns {
        let sections = whole[column.view].as_deref();
        if !sections.is_some_and(|sections| put_numbers(column, sections, &mut answer)) {
            let rows = answer_grpc::Rows { states, views };
            let column = gather_column(column, rows, &mut bytes);
            if bytes > RESPONSE_BYTES_MAX {
                return Err(answer_too_large());
            }
            encoding::message::encode(COLUMNS, &column, &mut answer);
        }
        if answer.len() > 2 * RESPONSE_BYTES_MAX {
            return Err(answer_too_large());
        }
    }
    for feature in plan.computed() {
        let rows = answer_grpc::Rows { states, views };
        let column = computed_column(plan, feature, inputs, rows, &mut bytes);
        if bytes > RESPONSE_BYTES_MAX || answer.len() > 2 * RESPONSE_BYTES_MAX {
            return Err(answer_too_large());
        }
        encoding::message::encode(COLUMNS, &column, &mut answer);
    }
    for row in answer_grpc::row_columns(plan, states) {
        encoding::message::encode(ROWS, &row, &mut answer);
    }
    Ok(answer.freeze())
}

/// A list whose bytes on the wire are those of a row, one after the other.
struct Packed {
    /// In the oneof of `FeatureColumn`.
    field: u32,
    width: usize,
}

fn packed(data_type: &DataType) -> Option<Packed> {
    let (field, width) = match data_type {
        DataType::Float64 => (1, 8),
        DataType::Float32 => (2, 4),
        DataType::Int64 => (3, 8),
        DataType::Int32 => (4, 4),
        DataType::Timestamp => (8, 8),
        DataType::Date => (9, 4),
        _ => return None,
    };
    Some(Packed { field, width })
}

/// Writes a column of numbers that are all there; `false`: it is none, and nothing was written.
fn put_numbers(column: &PlanColumn, sections: &[&[u8]], answer: &mut BytesMut) -> bool {
    let (Some(Packed { field, width }), Some(slot)) = (packed(&column.data_type), &column.slot)
    else {
        return false;
    };
    let start = answer.len();
    let values = sections.len() * width;
    // A list without values is written as the general way does: present, and empty.
    let list = match values {
        0 => 0,
        _ => encoding::key_len(VALUES) + encoding::encoded_len_varint(values as u64) + values,
    };
    let whole = encoding::key_len(field) + encoding::encoded_len_varint(list as u64) + list;
    put_head(COLUMNS, whole, answer);
    put_head(field, list, answer);
    if values > 0 {
        put_head(VALUES, values, answer);
    }
    let place = answer.len();
    answer.resize(place + values, 0);
    let is_all = match width {
        8 => copy::<8>(slot, sections, &mut answer[place..]),
        _ => copy::<4>(slot, sections, &mut answer[place..]),
    };
    if !is_all {
        answer.truncate(start);
    }
    is_all
}

fn put_head(field: u32, length: usize, answer: &mut BytesMut) {
    encoding::encode_key(field, WireType::LengthDelimited, answer);
    encoding::encode_varint(length as u64, answer);
}

fn copy<const WIDTH: usize>(slot: &FixedSlot, sections: &[&[u8]], places: &mut [u8]) -> bool {
    let (places, _) = places.as_chunks_mut::<WIDTH>();
    sections.iter().zip(places).all(|(section, place)| match slot.read::<WIDTH>(section) {
        Some(value) => {
            *place = value;
            true
        }
        None => false,
    })
}

/// The same, decoded: for callers within the process.
pub(crate) fn decoded(answer: Bytes) -> Result<trivium_proto::v1::BatchGetResponse, ApiError> {
    trivium_proto::v1::BatchGetResponse::decode(answer)
        .map_err(|error| ApiError::internal(format!("an answer cannot be read: {error}")))
}
