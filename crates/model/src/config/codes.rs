//! The codes of diagnostics: one table, from which `docs/config-errors.md` is written.

use super::limits::{
    ACCEPTED_VALUES_MAX, CARRYOVER_PERIODS_MAX, CONFIG_BYTES_MAX, DEFAULT_BYTES_MAX,
    DESCRIPTION_CHARACTERS_MAX, DIAGNOSTICS_MAX, ENTITIES_MAX, EXPRESSION_CHARACTERS_MAX,
    FEATURES_MAX, QUALITY_CHECKS_MAX, RESERVED_COLUMNS, RESERVED_NAMESPACES, ROLLUP_PERIODS_MAX,
    ROLLUP_WINDOWS_MAX, SERVICE_DERIVED_MAX, SERVICE_FEATURES_MAX, SERVICE_INPUTS_MAX,
    SHORT_TEXT_CHARACTERS_MAX, SPAN_DAYS_MAX, TAG_CHARACTERS_MAX, TAGS_MAX, VERSION_MAX,
    WINDOW_TILES_MAX,
};
use super::words::listed;
use crate::name::NAME_BYTES_MAX;
use crate::types::{DECIMAL_PRECISION_MAX, EMBEDDING_DIMENSION_MAX};

/// One kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The word in brackets; never changes its meaning.
    pub code: &'static str,
    /// What it says is wrong.
    pub meaning: &'static str,
    /// What an author does about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal $remedy:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)*
        /// Every code of a config diagnostic, in the order of the documentation.
        pub const CODES: &[Code] = &[
            $(Code { code: $code, meaning: $meaning, remedy: $remedy },)*
        ];
    };
}

codes! {
    SYNTAX "syntax" "The file is not strict JSON." "Mend it at the position; comments, trailing commas and single quotes are not JSON.";
    TOO_LARGE "too-large" "The file or a value is larger than allowed." "Split it, or shorten it.";
    WRONG_FILE_NAME "wrong-file-name" "The file's name is not `<name>.v<N>.json` (`<name>.v<N>.service.json`) of what it holds." "Rename the file, or mend `name` or `version`.";
    WRONG_FOLDER "wrong-folder" "The file's folder is not its namespace." "Move the file, or mend `namespace`.";
    WRONG_SCHEMA "wrong-schema" "`$schema` names another schema (a warning: only editors read it)." "Point it at the schema of this kind of file.";
    UNKNOWN_FIELD "unknown-field" "The field does not exist here." "Take the nearest known name, or remove it.";
    MISSING_FIELD "missing-field" "A required field is absent." "Add it.";
    DUPLICATE_FIELD "duplicate-field" "The same field is written twice in one object." "Keep one.";
    WRONG_TYPE "wrong-type" "The JSON value has another type than the field." "Write the type that the message names.";
    UNKNOWN_WORD "unknown-word" "The text is none of the words that may stand here." "Take one of the words listed.";
    EMPTY "empty" "A text or a list that must say something is empty." "Fill it.";
    TOO_LONG "too-long" "A text has too many characters." "Shorten it.";
    TOO_MANY "too-many" "A list has too many items." "Split it.";
    OUT_OF_RANGE "out-of-range" "A number lies outside its range." "Take a number of the range.";
    MALFORMED_NAME "malformed-name" "A name does not match `[a-z][a-z0-9_]{0,62}`." "Use lower-case letters, digits and `_`.";
    RESERVED_NAME "reserved-name" "The platform keeps this name for itself." "Take another.";
    BAD_DURATION "bad-duration" "A length of time is not a whole number and a unit." "Write it as in `90s`, `15m`, `1h`, `14d`, `2w`.";
    BAD_TIME "bad-time" "An instant is neither a day nor RFC 3339." "Write it as in `2013-01-01` or `2013-01-01T06:00:00Z`.";
    BAD_ZONE "bad-zone" "The time zone is not in the IANA database." "Write it as in `America/New_York`.";
    BAD_TAG "bad-tag" "A tag has characters that tags do not have." "Use lower-case letters, digits, `_`, `-`, `.` and `:`.";
    BAD_TYPE "bad-type" "A type is neither a word nor an object with one field, or its digits do not fit." "Write it as in `\"int64\"` or `{\"decimal\": {\"precision\": 18, \"scale\": 2}}`.";
    NESTED_TYPE "nested-type" "A list of lists or of embeddings." "Lists hold scalars.";
    DUPLICATE_ENTITY "duplicate-entity" "Two join keys have one name." "Rename or remove one.";
    DUPLICATE_FEATURE "duplicate-feature" "Two features have one name." "Rename or remove one.";
    DUPLICATE_ITEM "duplicate-item" "A list names the same thing twice." "Keep one.";
    NAME_COLLISION "name-collision" "A feature, join key, timestamp column, input or derived feature has the name of another." "Rename one.";
    UNKNOWN_SUBJECT "unknown-subject" "`subject` is no join key of the view." "Name one of the entities.";
    BAD_DEFAULT "bad-default" "A default does not fit the feature's type." "Write a value of the type.";
    MISSING_SCHEDULE "missing-schedule" "A batch view has no schedule." "Add `schedule`.";
    WRONG_LANE "wrong-lane" "A setting that views of this lane do not have." "Remove it, or change the lane.";
    BAD_PATH "bad-path" "A column's place in a message is not written as places are, or the format has no such place." "Write `a.b`, `$key`, `$key.a`, `$header.name`, `$time`, or, of change events, `$event.a`.";
    BAD_TOPIC "bad-topic" "A topic's name has characters that topics do not have." "Use letters, digits, `.`, `_` and `-`.";
    BAD_SOURCE "bad-source" "A view's job could not write its `source` as that says." "Write what the message says; the job writes JSON to Kafka, each column under its own name.";
    BAD_PERIOD "bad-period" "Periods of this length do not align with days." "Divide a day evenly, or take whole days.";
    UNALIGNED_START "unaligned-start" "The first period does not start where periods start." "Start at midnight UTC, or a whole number of periods after it.";
    START_OUT_OF_RANGE "start-out-of-range" "The first period lies at the edge of the years 0001 to 9999." "Start a day or more after 0001-01-01, and so that the period ends by 9999-12-30.";
    TTL_TOO_SHORT "ttl-too-short" "Rows would expire before the next period brings new ones." "Make the ttl at least as long as `schedule.every`.";
    UNKNOWN_FEATURE "unknown-feature" "A feature is named that does not exist." "Take the nearest known name.";
    UNKNOWN_COLUMN "unknown-column" "A column is named that the view, or the events of its windows, do not have." "Take the nearest known name.";
    WRONG_COLUMN_TYPE "wrong-column-type" "A check, a rollup or an aggregate does not work on columns of this type, or gives another type." "Take another check, aggregate, column or type.";
    BAD_BOUNDS "bad-bounds" "A check has no bound, or its bounds contradict." "Give `min`, `max` or both, with `min` at most `max`.";
    BAD_VALUE "bad-value" "An accepted value does not fit the column's type." "Write a value of the type.";
    BAD_WINDOW "bad-window" "A rollup window is not a whole number of periods, or a stream's window of slides, or has too many; or a stream's windows lack what they are computed from." "Take a multiple of `schedule.every`, or of `slide`; give the windows a source of events, and every feature an aggregate.";
    BAD_ROLLUP_NAME "bad-rollup-name" "The name `<feature>_<window>` is too long." "Shorten the feature's name.";
    BAD_REFERENCE "bad-reference" "A service's feature is not written `view@version:feature`." "Write it as in `carrier_daily@1:flights`.";
    NO_EFFECT "no-effect" "A setting does nothing in a view of this lane (a warning)." "Remove it.";
    DUPLICATE_VERSION "duplicate-version" "Two files define the same version." "Keep one, or raise the version of the other.";
    KEY_TYPE_CONFLICT "key-type-conflict" "One join key has two types in a namespace." "Use one type, or another name.";
    UNKNOWN_VIEW "unknown-view" "A service reads a view version that does not exist." "Name a version that the namespace has.";
    NOT_ONLINE "not-online" "A service reads a view that is not served online (a warning)." "Set `online` to true, or read it from history only.";
}

/// The text of `docs/config-errors.md`. Of the files of a project `more` codes and limits are known
/// to those who read them.
pub fn documentation(more: &[Code], more_limits: &[(&str, usize)]) -> String {
    let mut text = String::from(
        "# Config errors\n\n\
         Every finding in a config reads `path:line:column: error[code]: what, and what to do`.\n\
         Codes never change their meaning. This page is generated from the tables of codes, first of\n\
         all `crates/model/src/config/codes.rs`, and held by a test of `trivium-cli`. What is found in\n\
         SQL: [sql-errors.md](sql-errors.md).\n\n\
         | code | what is wrong | what to do |\n| --- | --- | --- |\n",
    );
    text.extend(CODES.iter().map(row));
    text.push_str(
        "\n## Files\n\nWhat is said of a file as a whole, or of two that belong together.\n\n\
         | code | what is wrong | what to do |\n| --- | --- | --- |\n",
    );
    text.extend(more.iter().map(row));
    text.push_str("\n## Reserved names\n\n");
    text.push_str(&format!("Columns: {}.\n\n", listed(RESERVED_COLUMNS.iter().copied())));
    text.push_str(&format!("Namespaces: {}.\n", listed(RESERVED_NAMESPACES.iter().copied())));
    text.push_str("\n## Limits\n\n| what | at most |\n| --- | --- |\n");
    let more_limits = more_limits.iter().map(|(what, most)| (*what, most.to_string()));
    for (what, most) in more_limits.chain(limits()) {
        text.push_str(&format!("| {what} | {most} |\n"));
    }
    text
}

/// A row of a page's table.
pub fn row(Code { code, meaning, remedy }: &Code) -> String {
    format!("| `{code}` | {meaning} | {remedy} |\n")
}

/// The limits as the documentation names them.
fn limits() -> [(&'static str, String); 24] {
    [
        ("bytes of a config file", CONFIG_BYTES_MAX.to_string()),
        ("findings shown of one file", DIAGNOSTICS_MAX.to_string()),
        ("bytes of a name", NAME_BYTES_MAX.to_string()),
        ("version", VERSION_MAX.to_string()),
        ("characters of a description", DESCRIPTION_CHARACTERS_MAX.to_string()),
        ("characters of a team or a contact", SHORT_TEXT_CHARACTERS_MAX.to_string()),
        ("tags", TAGS_MAX.to_string()),
        ("characters of a tag", TAG_CHARACTERS_MAX.to_string()),
        ("entities of a view", ENTITIES_MAX.to_string()),
        ("features of a view, windows counted", FEATURES_MAX.to_string()),
        ("features of a service", SERVICE_FEATURES_MAX.to_string()),
        ("inputs of a service", SERVICE_INPUTS_MAX.to_string()),
        ("derived features of a service", SERVICE_DERIVED_MAX.to_string()),
        ("characters of an expression", EXPRESSION_CHARACTERS_MAX.to_string()),
        ("digits of a decimal", DECIMAL_PRECISION_MAX.to_string()),
        ("components of an embedding", EMBEDDING_DIMENSION_MAX.to_string()),
        ("bytes of a default", DEFAULT_BYTES_MAX.to_string()),
        ("days of a length of time", SPAN_DAYS_MAX.to_string()),
        ("periods of a carryover", CARRYOVER_PERIODS_MAX.to_string()),
        ("windows of a rollup", ROLLUP_WINDOWS_MAX.to_string()),
        ("periods of a window", ROLLUP_PERIODS_MAX.to_string()),
        ("slides of a stream's window", WINDOW_TILES_MAX.to_string()),
        ("quality checks of a view", QUALITY_CHECKS_MAX.to_string()),
        ("values of `accepted_values`", ACCEPTED_VALUES_MAX.to_string()),
    ]
}
