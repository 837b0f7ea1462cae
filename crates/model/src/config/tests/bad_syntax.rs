//! Texts that are not strict JSON.

use expect_test::expect;

use super::check_view_text;

#[test]
fn syntax() {
    check_view_text(
        "",
        expect![[r#"
            1:1: error[syntax]: the file is empty, write a JSON object
        "#]],
    );
    check_view_text(
        "   ",
        expect![[r#"
            1:1: error[syntax]: the file is empty, write a JSON object
        "#]],
    );
    check_view_text(
        "[]",
        expect![[r#"
        1:1: error[wrong-type]: the file must hold a JSON object, found an array, start it with `{`
    "#]],
    );
    check_view_text(
        r#""x""#,
        expect![[r#"
        1:1: error[wrong-type]: the file must hold a JSON object, found a string, start it with `{`
    "#]],
    );
    check_view_text(
        "{",
        expect![[r#"
        1:1: error[syntax]: unterminated object, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a" 1}"#,
        expect![[r#"
        1:6: error[syntax]: expected colon after the string or word in object property, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": 1,}"#,
        expect![[r#"
        1:8: error[syntax]: trailing commas are not allowed, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": 1 "b": 2}"#,
        expect![[r#"
        1:8: error[syntax]: expected comma, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        "// a comment\n{}",
        expect![[r#"
        1:1: error[syntax]: comments are not allowed, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        "{'a': 1}",
        expect![[r#"
        1:2: error[syntax]: single-quoted strings are not allowed, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        "{a: 1}",
        expect![[r#"
        1:2: error[syntax]: expected string for object property, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": 01}"#,
        expect![[r#"
        1:8: error[syntax]: expected comma, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": NaN}"#,
        expect![[r#"
        1:7: error[syntax]: unexpected token, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": 1e999}"#,
        expect![[r#"
        1:11: error[syntax]: number out of range, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": +1}"#,
        expect![[r#"
        1:7: error[syntax]: unary plus on numbers is not allowed, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": .5}"#,
        expect![[r#"
        1:7: error[syntax]: leading or trailing decimal points on numbers are not allowed, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": 0x1}"#,
        expect![[r#"
        1:7: error[syntax]: hexadecimal numbers are not allowed, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": "\ud800"}"#,
        expect![[r#"
        1:8: error[syntax]: invalid unicode escape sequence. 'd800 (unpaired high surrogate)' is not a valid UTF8 character, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        "{\"a\": \"\t\"}",
        expect![[r#"
        1:8: error[syntax]: control character (\u0000-\u001F) found while parsing a string, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        "{} {}",
        expect![[r#"
        1:4: error[syntax]: text cannot contain more than one JSON value, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        "\u{feff}{}",
        expect![[r#"
            1:1: error[syntax]: the file starts with a byte order mark, save it as UTF-8 without one
        "#]],
    );
    check_view_text(
        r#"{"a": [1, }"#,
        expect![[r#"
        1:11: error[syntax]: unexpected close brace, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": tru}"#,
        expect![[r#"
        1:7: error[syntax]: unexpected token, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
    check_view_text(
        r#"{"a": "open"#,
        expect![[r#"
        1:7: error[syntax]: unterminated string literal, write strict JSON: no comments, no trailing commas, double quotes
    "#]],
    );
}
