//! Frames.

use arrow::array::AsArray;

use trivium_model::Name;

use super::*;

#[test]
fn further_columns_of_a_csv_frame_stay_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    let text = "\u{feff}carrier,number,zip,price,flag,on,seats,event_timestamp\n\
                AA,007,00501,1.50,TRUE,2013-1-1,150,2013-07-04T12:00:00Z\n\
                7,12,,1e3,no,x,,2013-07-05\n";
    std::fs::write(&path, text).unwrap();
    let keys = [("carrier", KeyType::String), ("number", KeyType::Int64)];
    let inputs = [ServiceInput {
        name: Name::new("seats").unwrap(),
        data_type: DataType::Int32,
        description: String::new(),
    }];
    let Ok(Source::Batches { schema, batches }) =
        read_csv(&path, "event_timestamp", &keys, &inputs)
    else {
        panic!("not read")
    };
    let types: Vec<String> =
        schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    assert_eq!(
        types.join(", "),
        "carrier Utf8, number Int64, zip Utf8, price Utf8, flag Utf8, on Utf8, \
         seats Int32, event_timestamp Timestamp(µs, \"UTC\")"
    );
    let column = |name: &str| -> Vec<Option<String>> {
        let column = batches[0].column_by_name(name).unwrap().as_string::<i32>();
        column.iter().map(|text| text.map(str::to_owned)).collect()
    };
    let some = |texts: [&str; 2]| texts.map(|text| Some(text.to_owned())).to_vec();
    assert_eq!(column("carrier"), some(["AA", "7"]));
    assert_eq!(column("zip"), [Some("00501".to_owned()), None]);
    assert_eq!(column("price"), some(["1.50", "1e3"]));
    assert_eq!(column("flag"), some(["TRUE", "no"]));
    assert_eq!(column("on"), some(["2013-1-1", "x"]));
}
