use super::*;

#[test]
fn times_are_those_of_grpc() {
    for (text, expected) in [
        ("1H", 3_600_000_000_000),
        ("02M", 120_000_000_000),
        ("3S", 3_000_000_000),
        ("99999999m", 99_999_999_000_000),
        ("5u", 5_000),
        ("0n", 0),
    ] {
        assert_eq!(parse(text).map(|time| time.as_nanos()), Some(expected), "{text}");
    }
    for text in ["", "m", "5", "-5m", "+5m", "5 m", "123456789m", "5x", "5ms", "1.5S", "5é"] {
        assert_eq!(parse(text), None, "{text}");
    }
}
