use std::borrow::Cow;

use trivium_model::{DataType, Timestamp, Value};

use crate::{
    Columns, Datum, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, Expression,
    fuzzing::{check, columns, row},
    like::Pattern,
};

fn parse(text: &str) -> Expression {
    match Expression::parse(text, &columns()) {
        Ok(expression) => expression,
        Err(problem) => unreachable!("{text}: {problem} at {}", problem.offset),
    }
}

fn value_over(text: &str, row: &[Value]) -> Value {
    let expression = parse(text);
    let value =
        expression.evaluate(&|column| row.get(column).map_or(Datum::Null, Datum::of)).into_value();
    assert!(
        value.fits(expression.data_type()),
        "{text} gives {value:?}, a {}",
        expression.data_type()
    );
    value
}

fn value(text: &str) -> Value {
    value_over(text, &row())
}

#[test]
fn values() {
    let text = |text: &str| Value::String(text.to_owned());
    let cases = [
        ("i + 1", Value::Int32(8)),
        ("i + 2147483647", Value::Null),
        ("l * 9223372036854775807", Value::Null),
        ("-l", Value::Int64(5)),
        ("i / 2", Value::Float64(3.5)),
        ("i / 0", Value::Null),
        ("d / 0.0", Value::Null),
        ("d * 0.5", Value::Float64(1.25)),
        ("i % 0", Value::Null),
        ("l % 3", Value::Int64(-2)),
        ("l DIV 2", Value::Int64(-2)),
        ("i DIV 2 + 1", Value::Int64(4)),
        ("f + f", Value::Float32(3.0)),
        ("f + i", Value::Float64(8.5)),
        ("abs(l)", Value::Int64(5)),
        ("carrier.delay - airport.delay", Value::Float64(13.5)),
        ("CARRIER.Delay", Value::Float64(12.5)),
        ("flights", Value::Int64(3)),
        ("`i`", Value::Int32(7)),
        ("i > 6.5 AND l < 0", Value::Bool(true)),
        ("p = 12.5", Value::Bool(true)),
        ("p > i", Value::Bool(true)),
        ("i BETWEEN 1 AND 7.5", Value::Bool(true)),
        ("i NOT BETWEEN l AND 6", Value::Bool(true)),
        ("i IN (1, 2, 7)", Value::Bool(true)),
        ("i IN (1, NULL)", Value::Null),
        ("i NOT IN (1, 2)", Value::Bool(true)),
        ("NULL <=> NULL", Value::Bool(true)),
        ("i <=> NULL", Value::Bool(false)),
        ("i IS NOT NULL AND items IS NOT NULL", Value::Bool(true)),
        ("b OR NULL", Value::Bool(true)),
        ("b AND NULL", Value::Null),
        ("NOT (b AND NULL)", Value::Null),
        ("FALSE AND NULL", Value::Bool(false)),
        ("CASE WHEN i > 100 THEN 1 WHEN i > 5 THEN 2 ELSE 3 END", Value::Int32(2)),
        ("CASE i WHEN 1 THEN 'one' WHEN 7.0 THEN 'seven' END", text("seven")),
        ("CASE i WHEN NULL THEN 1 ELSE 0 END", Value::Int32(0)),
        ("if(i > 100, 1, 2.5e0)", Value::Float64(2.5)),
        ("coalesce(nullif(i, 7), l)", Value::Int64(-5)),
        ("nullif(i, 7.0)", Value::Null),
        ("greatest(i, NULL, l)", Value::Int64(7)),
        ("least(i, NULL, l)", Value::Int64(-5)),
        ("round(2.5e0)", Value::Float64(3.0)),
        ("round(-2.5e0)", Value::Float64(-3.0)),
        ("round(2.345e0, 2)", Value::Float64(2.35)),
        ("round(1e300, 2)", Value::Float64(1e300)),
        ("round(4e-300, 2)", Value::Float64(0.0)),
        ("round(CAST(1.15 AS FLOAT), 1)", Value::Float32(1.1)),
        ("round(CAST(0.35 AS FLOAT), 1)", Value::Float32(0.3)),
        ("floor(-2.5e0)", Value::Int64(-3)),
        ("ceil(-2.5e0)", Value::Int64(-2)),
        ("floor(1e300)", Value::Int64(i64::MAX)),
        ("sqrt(d * 10)", Value::Float64(5.0)),
        ("ln(0)", Value::Null),
        ("pow(2, 10)", Value::Float64(1024.0)),
        ("s || '!'", text("Kiruna, Søndre!")),
        ("concat(s, NULL)", Value::Null),
        ("upper(s)", text("KIRUNA, SØNDRE")),
        ("length(s)", Value::Int32(14)),
        ("substring(s, 9, 2)", text("Sø")),
        ("substring(s, -5)", text("øndre")),
        ("left(s, 3)", text("Kir")),
        ("right(s, 5)", text("øndre")),
        ("right(s, 99)", text("Kiruna, Søndre")),
        ("s LIKE 'Kir%, S_nd%'", Value::Bool(true)),
        ("s NOT LIKE '%x%'", Value::Bool(true)),
        ("startswith(s, 'Kir')", Value::Bool(true)),
        ("contains(s, \"o'clock\")", Value::Bool(false)),
        ("trim('  a b ')", text("a b")),
        ("CAST('12' AS INT)", Value::Int32(12)),
        ("CAST('12x' AS INT)", Value::Null),
        ("CAST(' 1.5d ' AS DOUBLE)", Value::Float64(1.5)),
        ("CAST(1e300 AS INT)", Value::Null),
        ("d::int", Value::Int32(2)),
        ("CAST(p AS DECIMAL(4, 1))", Value::Decimal(125)),
        ("CAST(p AS DECIMAL(2, 1))", Value::Null),
        ("CAST(2.345e0 AS DECIMAL(5, 2))", Value::Decimal(235)),
        ("CAST(p AS STRING)", text("12.50")),
        ("CAST(at AS STRING)", text("2013-03-04 17:30:59.25")),
        (
            "CAST('2013-03-04 18:00:00+01:00' AS TIMESTAMP)",
            Value::Timestamp(Timestamp(1_362_416_400_000_000)),
        ),
        ("CAST('2013-02-30' AS DATE)", Value::Null),
        ("CAST(9223372036854775807 AS TIMESTAMP)", Value::Null),
        ("CAST('99999-01-01' AS DATE)", Value::Null),
        ("hour(at)", Value::Int32(17)),
        ("minute(at) * 60 + second(at)", Value::Int32(1859)),
        ("dayofweek(at)", Value::Int32(2)),
        ("weekday(at)", Value::Int32(0)),
        ("EXTRACT(YEAR FROM day)", Value::Int32(2013)),
        ("unix_micros(at)", Value::Int64(1_362_418_259_250_000)),
        ("unix_seconds(at)", Value::Int64(1_362_418_259)),
        ("datediff(at, DATE '2013-03-01')", Value::Int32(3)),
        ("timestampdiff(HOUR, DATE '2013-03-04', at)", Value::Int64(17)),
        ("timestampdiff(HOUR, at, DATE '2013-03-04')", Value::Int64(-17)),
        ("timestampdiff(MICROSECOND, at, at)", Value::Int64(0)),
        ("at >= TIMESTAMP '2013-03-04 17:30:59'", Value::Bool(true)),
        ("day = DATE '2013-03-04'", Value::Bool(true)),
        ("at > day", Value::Bool(true)),
        ("raw", Value::Bytes(vec![1, 255])),
        ("raw = raw", Value::Bool(true)),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn floats_have_one_nan_above_all_and_one_zero() {
    let nan = "CAST('NaN' AS DOUBLE)";
    for (expression, expected) in [
        (format!("{nan} = {nan}"), Value::Bool(true)),
        (format!("{nan} > CAST('Infinity' AS DOUBLE)"), Value::Bool(true)),
        (format!("{nan} BETWEEN 1 AND 2"), Value::Bool(false)),
        (format!("{nan} IN (1, {nan})"), Value::Bool(true)),
        ("-0e0 = 0e0".to_owned(), Value::Bool(true)),
        (format!("isnan({nan})"), Value::Bool(true)),
        (format!("nanvl({nan}, d)"), Value::Float64(2.5)),
    ] {
        assert_eq!(value(&expression), expected, "{expression}");
    }
    assert!(
        matches!(value(&format!("greatest(d, {nan})")), Value::Float64(value) if value.is_nan())
    );
}

/// A null and what is not set are one thing, whatever is done with it.
#[test]
fn nothing_gives_nothing_or_an_answer() {
    let nothing = vec![Value::Null; 14];
    for expression in [
        "i + l",
        "d / i",
        "-f",
        "abs(l)",
        "i > l",
        "i BETWEEN 1 AND 2",
        "i IN (1)",
        "s LIKE 'a%'",
        "s || 'a'",
        "upper(s)",
        "substring(s, 1, 2)",
        "sqrt(d)",
        "pow(d, 2)",
        "round(d, 1)",
        "floor(d)",
        "hour(at)",
        "year(day)",
        "datediff(day, at)",
        "unix_micros(at)",
        "CAST(s AS INT)",
        "CAST(p AS DOUBLE)",
        "nullif(i, 1)",
        "b AND TRUE",
        "NOT b",
        "timestampdiff(DAY, at, day)",
        "greatest(i, l)",
        "coalesce(i, l)",
        "contains(s, 'a')",
    ] {
        assert_eq!(value_over(expression, &nothing), Value::Null, "{expression}");
        assert_eq!(value_over(expression, &[]), Value::Null, "{expression}, unset");
    }
    for (expression, expected) in [
        ("i IS NULL", true),
        ("items IS NULL", true),
        ("b IS TRUE", false),
        ("b IS NOT TRUE", true),
        ("i <=> l", true),
        ("isnan(d)", false),
        ("coalesce(b, TRUE)", true),
        ("isnull(carrier.delay)", true),
    ] {
        assert_eq!(value_over(expression, &nothing), Value::Bool(expected), "{expression}");
    }
}

/// A value of another type than was declared is nothing; it does not panic.
#[test]
fn values_of_other_types_are_nothing() {
    let wrong: Vec<Value> = row().into_iter().map(|_| Value::String("x".to_owned())).collect();
    for expression in [
        "i + l",
        "NOT b",
        "hour(at)",
        "d / i",
        "p > 1",
        "floor(d)",
        "datediff(day, at)",
        "b AND TRUE",
    ] {
        assert_eq!(value_over(expression, &wrong), Value::Null, "{expression}");
    }
}

#[test]
fn what_is_wrong_and_where() {
    let mut wrong = Vec::new();
    for (text, offset, message, help) in [
        ("", 0, "is empty", "write what is computed"),
        ("i + x", 4, "there is no `x`", "there are `i`"),
        ("i + flihgts", 4, "there is no `flihgts`", "did you mean `airport.flights`?"),
        ("  delay", 2, "several columns", "`carrier.delay` or `airport.delay`"),
        ("i +", 3, "cannot be read", ""),
        ("i + 1 1", 6, "`1` is not expected here", ""),
        ("1.5D", 3, "`D` is not expected here", "no suffix"),
        ("i + s", 4, "`+` of string", "cast it to a number"),
        ("i * 1.5", 4, "`*` of decimal(2, 1)", "1.5E0"),
        ("i = s", 4, "`=` of int32 and string", "cast one of them"),
        ("i AND b", 0, "AND needs a bool, not int32", "compare it"),
        ("upperr(s)", 0, "no function `upperr`", "did you mean `upper`?"),
        ("sum(i)", 0, "no function `sum`", ""),
        ("now()", 0, "no function `now`", ""),
        ("lower(s, s)", 0, "`lower` takes one argument, not 2", ""),
        ("lower(i)", 6, "needs a string, not int32", "cast it"),
        ("i DIV l", 6, "`DIV` by what is not known", ""),
        ("i DIV 0", 6, "`DIV` by what is not known", ""),
        ("s LIKE s", 7, "the pattern of LIKE is no literal", "startswith"),
        ("CAST(d AS STRING)", 5, "no cast of float64 to STRING", "DECIMAL"),
        ("CAST(i AS BINARY)", 5, "no cast to BINARY", ""),
        ("CAST(i AS DECIMAL(39, 2))", 5, "there is no DECIMAL(39,2)", "1 to 38"),
        ("items", 0, "the expression is a list<string>", "IS NULL"),
        ("items = items", 8, "`=` of list<string>", ""),
        ("NULL", 0, "always null", "cast it"),
        ("i < 1 = b", 0, "not clear", "parentheses"),
        ("s || 'a' || i + 1", 0, "not clear", "parentheses"),
        ("(SELECT 1)", 1, "an expression holds no query", ""),
        ("i > (\nSELECT 1)", 6, "an expression holds no query", ""),
        ("at + INTERVAL 1 DAY", 5, "an expression holds no interval", ""),
        ("'a\\n'", 2, "a backslash", ""),
        ("'a''b'", 0, "a doubled quote", "other kind"),
        ("DATE '2013-02-30'", 5, "'2013-02-30' is no date", ""),
        ("99999999999999999999", 0, "beyond bigint", ""),
        ("timestampdiff(MONTH, at, at)", 14, "the unit", "HOUR"),
        ("'ø' || x", 8, "there is no `x`", ""),
        ("items[0]", 5, "`[` has no place", ""),
        ("round(d, i)", 9, "the digits of `round`", ""),
        ("carrier.delay.x", 0, "is no column", ""),
        ("'abc", 0, "cannot be read", "close quotes"),
        ("row_number() OVER (ORDER BY i)", 13, "holds no window", ""),
    ] {
        let Err(problem) = Expression::parse(text, &columns()) else {
            unreachable!("{text} was read")
        };
        let found = problem.message.contains(message) && problem.help.contains(help);
        if !found || problem.offset != offset {
            wrong.push(format!("{text}: {problem} at {}", problem.offset));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn columns_are_told() {
    let expression = parse("coalesce(carrier.delay, d, carrier.delay) > i");
    assert_eq!(expression.columns(), [0, 3, 10]);
    assert_eq!(*expression.data_type(), DataType::Bool);
}

#[test]
fn text_nesting_and_sums_are_bounded() {
    let long = format!("i + {}1", " ".repeat(EXPRESSION_BYTES_MAX));
    let sum = |terms: usize| vec!["i"; terms].join("+");
    let nested = |depth: usize| format!("{}i{}", "abs(".repeat(depth), ")".repeat(depth));
    for text in [
        long,
        sum(EXPRESSION_DEPTH_MAX + 1),
        sum(EXPRESSION_BYTES_MAX / 2),
        nested(200),
        "(".repeat(EXPRESSION_BYTES_MAX),
        format!("{}i{}", "(".repeat(12), ")".repeat(12)),
        "NOT ".repeat(1000) + "b",
        "- ".repeat(2000) + "i",
        "CASE ".repeat(800),
        "CAST(".repeat(800),
        "trim(".repeat(800),
        "extract(hour from ".repeat(200),
        "i between ".repeat(400),
        "i in (".repeat(600),
        "f(a, ".repeat(800),
        "'a' 'b' ".repeat(400),
    ] {
        let Err(problem) = Expression::parse(&text, &columns()) else {
            unreachable!("{text} was read")
        };
        assert!(problem.offset <= text.len());
    }
    assert_eq!(value(&sum(EXPRESSION_DEPTH_MAX)), Value::Int32(700));
    assert_eq!(value(&nested(20)), Value::Int32(7));
}

/// What stands once in an expression is computed once: nested, it would otherwise be computed 2^n times.
#[test]
fn nested_operands_are_evaluated_once() {
    let mut text = "i".to_owned();
    for depth in 0..15 {
        text = match depth % 3 {
            0 => format!("nullif({text}, 99)"),
            1 => format!("CASE {text} WHEN 98 THEN 98 ELSE 7 END"),
            _ => format!("if({text} BETWEEN 0 AND 9.5, 7, 8)"),
        };
    }
    let expression = parse(&text);
    let asked = std::cell::Cell::new(0);
    let value = expression.evaluate(&|_| {
        asked.set(asked.get() + 1);
        Datum::Int32(7)
    });
    assert_eq!((value, asked.get()), (Datum::Int32(7), 1));
}

#[test]
fn texts_are_bounded() {
    let long = "x".repeat(40 << 10);
    let columns = {
        let mut columns = Columns::new();
        columns.add("s", DataType::String);
        columns
    };
    let over = |text: &str| {
        let Ok(expression) = Expression::parse(text, &columns) else { unreachable!("{text}") };
        expression.evaluate(&|_| Datum::String(Cow::Borrowed(&long))).into_value()
    };
    assert_eq!(over("length(concat(s, 'x'))"), Value::Int32((40 << 10) + 1));
    assert_eq!(over("concat(s, s)"), Value::Null);
    // Looked for at every place of the text, and at none found.
    let pattern = "x_".repeat(125);
    assert_eq!(over(&format!("s LIKE '%{pattern}y%'")), Value::Bool(false));
}

/// Deterministic numbers: tests fail the same way twice.
struct Dice(u64);
impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % most as u64).unwrap_or(0)
    }
}

/// The plain definition of LIKE.
fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| like(&text[skip..], rest)),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest),
        [first, rest @ ..] => text.first() == Some(first) && like(&text[1..], rest),
    }
}

#[test]
fn like_is_its_definition() {
    let mut dice = Dice(1);
    let mut word = |letters: &[char], most: usize| -> String {
        let length = dice.below(most);
        (0..length).map(|_| letters[dice.below(letters.len())]).collect()
    };
    let mut matched = 0;
    for _ in 0..20_000 {
        let (text, pattern) = (word(&['a', 'b', 'ø'], 9), word(&['a', 'b', 'ø', '%', '%', '_'], 7));
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        let expected = like(&chars(&text), &chars(&pattern));
        assert_eq!(Pattern::new(&pattern).matches(&text), expected, "{text} LIKE {pattern}");
        matched += usize::from(expected);
    }
    assert!(matched > 1_000, "{matched}");
}

/// Whatever the text and the values are: no panic, a value of the type, a problem within the text.
#[test]
fn mutations() {
    const SEEDS: [&str; 12] = [
        "CASE WHEN carrier.delay > 1.5 THEN round(d / nullif(i, 0), 2) ELSE coalesce(f, l) END",
        "timestampdiff(HOUR, at, TIMESTAMP '2013-01-01 10:00:00+01:00') DIV 24",
        "s LIKE '%a_b%' AND s NOT IN ('x', upper(s), NULL) OR b IS NOT TRUE",
        "CAST(CAST(p AS STRING) AS DECIMAL(20, 4)) BETWEEN -1.25 AND 1e3",
        "substring(s, -3, i) || left(trim(s), 2) <=> right(s, i)",
        "EXTRACT(DOY FROM day) + weekofyear(at) * -hour(at) % 7",
        "if(isnan(d), greatest(i, l, f), nanvl(d, atan2(d, f)))",
        "nullif(unix_millis(at), 1) / 1000.0e0 - unix_date(day)",
        "CASE s WHEN 'a' THEN DATE '2013-01-01' ELSE CAST(s AS DATE) END",
        "floor(-d) * ceil(f) + abs(l) - mod(i, 3) :: bigint",
        "`carrier`.`delay` != ALL_THE -- a comment\n + 1",
        "concat(lower(\"it's\"), 'ø', CAST(b AS STRING)) = ''",
    ];
    const PIECES: [&str; 24] = [
        "(",
        ")",
        " NULL ",
        "-",
        "'",
        "\"",
        "`",
        "%",
        " AND ",
        " NOT ",
        "9223372036854775808",
        "1e309",
        ".",
        " DIV ",
        "CAST(",
        " AS INT)",
        "ø",
        "\u{0}",
        " IN (",
        "--",
        "/*",
        "::",
        " CASE ",
        "[",
    ];
    let (mut dice, mut read) = (Dice(7), 0);
    for _ in 0..4_000 {
        let mut text = SEEDS[dice.below(SEEDS.len())].to_owned();
        for _ in 0..dice.below(4) {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let (from, to) = (places[dice.below(places.len())], places[dice.below(places.len())]);
            match dice.below(4) {
                0 => text.insert_str(from, PIECES[dice.below(PIECES.len())]),
                1 => text.replace_range(from.min(to)..from.max(to), ""),
                2 => {
                    let piece = text[from.min(to)..from.max(to)].to_owned();
                    text.insert_str(from, &piece);
                }
                _ => text.insert_str(from, SEEDS[dice.below(SEEDS.len())]),
            }
            if text.is_empty() {
                break;
            }
        }
        read += usize::from(check(&text));
    }
    assert!(read > 500, "{read} could be read");
}

#[test]
fn sql_for_engines_cannot_fail() {
    let sql = |text: &str| parse(text).to_sql(&|column| format!("c{column}"));
    assert_eq!(sql("i + 1"), "TRY_CAST((CAST(c0 AS BIGINT) + CAST(1 AS BIGINT)) AS INT)");
    assert_eq!(sql("d / i"), "(c3 / nullif(TRY_CAST(c0 AS DOUBLE), 0E0))");
    assert_eq!(sql("s = \"it's\""), "(c4 = CAST(X'69742773' AS STRING))");
    assert_eq!(sql("CAST(s AS INT) > -1"), "(TRY_CAST(c4 AS INT) > CAST('-1' AS INT))");
}

/// The corpus that fuzzing starts from.
#[test]
fn corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/fuzz/expr");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Ok(text) = std::fs::read_to_string(entry.path()) {
            read += usize::from(check(&text));
        }
    }
    assert!(read >= 11, "{read}");
}
