//! The nearest known name, for messages about unknown ones.

/// The known name that is nearest to a mistyped one, if any is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may differ; swaps count once.
    let distance_max = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, name)| name)
}

/// `did you mean \`x\`?`, or which names there are (at most so many as one reads), or nothing.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const LISTED_MAX: usize = 20;
    if let Some(name) = nearest(word, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    let mut names = known.into_iter();
    let listed: Vec<String> =
        names.by_ref().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    if listed.is_empty() {
        return String::new();
    }
    let more = if names.next().is_some() { ", …" } else { "" };
    format!("known: {}{more}", listed.join(", "))
}
