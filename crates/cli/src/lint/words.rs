//! Words by which names and descriptions are judged.

/// Parts of names that measures have, and words of which a description then needs one.
const MEASURES: &[(&[&str], &[&str])] = &[
    (
        &["delay", "duration", "age", "latency", "time", "elapsed", "dwell"],
        &[
            "microsecond",
            "millisecond",
            "second",
            "minute",
            "hour",
            "day",
            "week",
            "month",
            "year",
            "ms",
            "min",
        ],
    ),
    (
        &["distance", "length", "height", "altitude", "depth", "width", "visibility"],
        &[
            "mile",
            "km",
            "kilometre",
            "kilometer",
            "metre",
            "meter",
            "foot",
            "feet",
            "inch",
            "inches",
            "cm",
            "mm",
        ],
    ),
    (
        &["amount", "price", "spend", "spent", "revenue", "cost", "balance", "fee", "fare"],
        &[
            "euro",
            "eur",
            "dollar",
            "usd",
            "pound",
            "gbp",
            "cent",
            "money",
            "currency",
            "currencies",
            "franc",
            "yen",
        ],
    ),
    (
        &["speed", "velocity", "gust"],
        &["per", "mile", "km", "metre", "meter", "mph", "km/h", "m/s", "knot"],
    ),
    (&["weight", "mass"], &["gram", "kilogram", "kg", "pound", "tonne", "ton", "lb"]),
    (&["temperature", "dew"], &["degree", "celsius", "fahrenheit", "kelvin", "°c", "°f"]),
    (&["pressure"], &["bar", "millibar", "hpa", "pascal", "psi"]),
    (
        &["share", "ratio", "rate", "fraction", "percent", "percentage", "probability"],
        &["0", "1", "percent", "%", "share", "per", "of"],
    ),
    (&["bytes", "size"], &["byte", "kb", "mb", "kib", "mib", "item", "row", "people", "square"]),
];

/// Join keys that are persons.
const PERSONS: &[&str] = &[
    "user",
    "customer",
    "person",
    "member",
    "patient",
    "passenger",
    "account_holder",
    "subscriber",
    "employee",
    "driver",
    "rider",
    "visitor",
    "email",
    "phone",
];

/// The words of a text in lower case, plurals without their `s`.
pub fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '%' | '°' | '/')))
        .filter(|word| !word.is_empty())
        .map(|word| singular(word).to_owned())
        .collect()
}

/// Without the `s` of a plural, or of whatever else: `celsiu` of `celsius`.
fn singular(word: &str) -> &str {
    word.strip_suffix('s').filter(|word| word.len() > 1).unwrap_or(word)
}

/// Whether a feature of this name is a measure whose unit the description lacks.
pub fn lacks_unit(name: &str, description: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let said = words(description);
    // A unit in the name will do: `air_minutes`.
    let in_name = words(&name.replace('_', " "));
    MEASURES.iter().any(|(measures, units)| {
        // Texts have lost their last `s`; units have one that is theirs: `m/s`.
        let is_unit = |word: &String| units.iter().any(|unit| word == singular(unit));
        parts.iter().any(|part| measures.contains(part))
            && !said.iter().any(is_unit)
            && !in_name.iter().any(is_unit)
    })
}

/// Whether a description says nothing that the name does not.
pub fn repeats_name(name: &str, description: &str) -> bool {
    const EMPTY_WORDS: &[&str] =
        &["the", "a", "an", "of", "feature", "value", "column", "field", "todo", "tbd"];
    let named = words(&name.replace('_', " "));
    words(description)
        .iter()
        .all(|word| named.contains(word) || EMPTY_WORDS.contains(&word.as_str()))
}

/// Whether a join key of this name is a person.
pub fn is_person(key: &str) -> bool {
    let bare = ["_id", "_key", "_uuid", "_hash", "_number"]
        .iter()
        .find_map(|ending| key.strip_suffix(ending))
        .unwrap_or(key);
    PERSONS.contains(&bare) || PERSONS.iter().any(|person| bare.ends_with(&format!("_{person}")))
}
