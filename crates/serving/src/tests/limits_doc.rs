//! docs/limits.md is the table of limits.

use crate::limits::ALL;

fn page() -> String {
    let mut page = String::from(
        "# Limits of serving\n\nWhat a request may hold. What is beyond a limit is refused as a whole, with \
         the code that stands beside it (HTTP statuses and gRPC codes of the codes: [errors](errors.md)), \
         and changes nothing. This table is printed from `crates/serving/src/limits.rs`.\n\n\
         | limit | value | code |\n| --- | ---: | --- |\n",
    );
    for (what, value, code) in ALL {
        page.push_str(&format!("| {what} | {} | `{code}` |\n", grouped(*value)));
    }
    page.push_str(
        "\nA put that names only some features reads the row, merges and writes it on the condition that \
         the row has not changed; it is tried again until it holds, so many times. The row has one event \
         time, so a put renews the ttl of the whole row. An idempotency key is remembered by the row until \
         the row's next write, and names one put or one delete: the same key on the other verb is another \
         write. `if_rev` 0 means that there is no row; a row whose ttl has passed is still one, and a get \
         tells its rev beside the status `EXPIRED`.\n",
    );
    page
}

fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[test]
fn limits_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "run with UPDATE_EXPECT=1");
}
