//! A message of a stream view as a producer in Rust makes it: key, value, and what the worker will make
//! of them. `cargo run -p trivium-payload --example produce`; `docs/producers.md` tells of it.

use std::{error::Error, io::Write as _};

use trivium_codec::KeyShape;
use trivium_model::{KeyValue, Name, Timestamp, Value, config::parse_view};
use trivium_payload::{AvroSchemas, Decoder, Message, payload};

const FILE: &str = "configs/flights/plane_live.v1.json";
const VIEW: &str = include_str!("../../../configs/flights/plane_live.v1.json");

fn main() -> Result<(), Box<dyn Error>> {
    let view = parse_view(FILE, VIEW).map_err(|wrong| format!("{wrong:?}"))?;
    let plane = KeyValue::String("N3ALAA".to_owned());
    let at = Timestamp::parse("2013-07-10T12:00:00Z").ok_or("no instant")?;
    let values = [
        (Name::new("in_the_air")?, Value::Bool(true)),
        (Name::new("flight")?, Value::String("AA181".to_owned())),
        (Name::new("delay_minutes")?, Value::Null),
    ];

    // Values in the order of the join keys' names.
    let key = KeyShape::new(&view).encode(std::slice::from_ref(&plane))?;
    let value = payload(&view, &[(Name::new("tailnum")?, plane)], at, Some(&values));

    // In the producer's tests: the worker reads it by the same code.
    let key = key.partition();
    let message =
        Message { key: Some(key.as_bytes()), value: Some(&value), headers: &[], time: None };
    let event = Decoder::new(&view)?.reader().read(&message, &AvroSchemas::new());
    let event = event.map_err(|unread| format!("{unread:?}"))?.ok_or("it is about nothing")?;
    let is_put = event.row.is_some();
    writeln!(std::io::stdout(), "{key}: {} bytes, at {at}, a row: {is_put}", value.len())?;
    Ok(())
}
