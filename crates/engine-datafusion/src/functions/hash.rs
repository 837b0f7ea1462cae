//! Digests as hexadecimal text.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringArray},
    datatypes::{DataType, Field, Int32Type},
};
use datafusion::{
    common::{Result, config::ConfigOptions},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

use super::{SparkFunction, Takes};
use crate::error::unsupported_error;

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// One of DataFusion's digests over bytes.
fn digest(function: &ScalarUDF, bytes: &ArrayRef) -> Result<ArrayRef> {
    let gives = function.return_type(&[DataType::Binary])?;
    function
        .invoke_with_args(ScalarFunctionArgs {
            args: vec![ColumnarValue::Array(Arc::clone(bytes))],
            arg_fields: vec![Arc::new(Field::new("bytes", DataType::Binary, true))],
            number_rows: bytes.len(),
            return_field: Arc::new(Field::new("digest", gives, true)),
            config_options: Arc::new(ConfigOptions::default()),
        })?
        .into_array(bytes.len())
}

fn md5(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let text = digest(&datafusion::functions::crypto::md5(), &args[0])?;
    Ok(arrow::compute::cast(&text, &DataType::Utf8)?)
}

fn sha2(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let bits = args[1].as_primitive::<Int32Type>();
    if bits.is_empty() || bits.is_null(0) {
        return Ok(arrow::array::new_null_array(&DataType::Utf8, args[0].len()));
    }
    let function = match bits.value(0) {
        0 | 256 => datafusion::functions::crypto::sha256(),
        224 => datafusion::functions::crypto::sha224(),
        384 => datafusion::functions::crypto::sha384(),
        512 => datafusion::functions::crypto::sha512(),
        other => return Err(unsupported_error(format!("sha2 with {other} bits"))),
    };
    let digests = arrow::compute::cast(&digest(&function, &args[0])?, &DataType::Binary)?;
    Ok(Arc::new(
        digests
            .as_binary::<i32>()
            .iter()
            .map(|bytes| bytes.map(hexadecimal))
            .collect::<StringArray>(),
    ))
}

fn crc32(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let result: Int64Array = args[0]
        .as_binary::<i32>()
        .iter()
        .map(|bytes| {
            bytes.map(|bytes| {
                let mut crc = u32::MAX;
                for byte in bytes {
                    crc ^= u32::from(*byte);
                    for _ in 0..8 {
                        crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
                    }
                }
                i64::from(!crc)
            })
        })
        .collect();
    Ok(Arc::new(result))
}

/// This module's functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    use Takes::{Bytes, Int};
    vec![
        SparkFunction::fixed("md5", &[Bytes], 0, DataType::Utf8, md5),
        SparkFunction::fixed("sha2", &[Bytes, Int], 0, DataType::Utf8, sha2),
        SparkFunction::fixed("crc32", &[Bytes], 0, DataType::Int64, crc32),
    ]
}
