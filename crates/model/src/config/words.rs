//! Words in messages: suggestions, lists and cuts.

/// The nearest known word, or all of them.
pub(super) fn suggest<'w>(given: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
    match nearest(given, known.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => {
            let known = listed(known);
            if known.is_empty() { "remove it".to_owned() } else { format!("known: {known}") }
        }
    }
}

pub(super) fn nearest<'w>(given: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Long texts cannot be near, and the distance costs their length squared.
    const GIVEN_BYTES_MAX: usize = 128;
    if given.len() > GIVEN_BYTES_MAX {
        return None;
    }
    let given = given.to_lowercase();
    // A typing slip or two in proportion to the length, or the same beginning.
    let slips_max = (given.chars().count() / 3).clamp(1, 3);
    known
        .filter_map(|word| {
            let lower = word.to_lowercase();
            let slips = strsim::damerau_levenshtein(&given, &lower);
            let likeness = strsim::jaro_winkler(&given, &lower);
            (slips <= slips_max || likeness >= 0.8).then_some((slips, likeness, word))
        })
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(_, _, word)| word)
}

/// "`a`, `b`, `c`", cut after a few.
pub(super) fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    const WORDS_MAX: usize = 25;
    let words: Vec<&str> = words.collect();
    let mut text =
        words.iter().take(WORDS_MAX).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    if words.len() > WORDS_MAX {
        text.push_str(" …");
    }
    text
}

/// A text as it may stand in one line of a message.
pub(super) fn short(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let mut shown: String = text
        .chars()
        .take(CHARACTERS_MAX)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
