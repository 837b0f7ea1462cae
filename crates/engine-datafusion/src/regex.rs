//! Java's regular expressions as ours, for the part where both mean the same.

/// The text that a pattern stands for, if it stands for one text alone.
pub fn literal(pattern: &str) -> Option<String> {
    let mut result = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c) if c.is_ascii_punctuation() => result.push(c),
                Some('t') => result.push('\t'),
                Some('n') => result.push('\n'),
                _ => return None,
            },
            '.' | '[' | ']' | '{' | '}' | '(' | ')' | '*' | '+' | '?' | '^' | '$' | '|' => {
                return None;
            }
            c => result.push(c),
        }
    }
    Some(result)
}

const DIGIT: &str = "0-9";
const WORD: &str = "a-zA-Z_0-9";
const SPACE: &str = r" \t\n\x0B\f\r";
/// What Java's `.` does not match.
const LINE_ENDS: &str = r"\n\r\x{85}\x{2028}\x{2029}";

/// The same pattern for the `regex` crate, or `None` if it uses what differs or is not proven
/// (look-around, back references, possessive quantifiers, boundaries, classes of classes, flags).
/// `$` also matches before a last line end in Java; only a search for existence can say so here.
pub fn translate(pattern: &str, only_finds: bool) -> Option<String> {
    let mut result = String::new();
    let mut chars = pattern.chars().peekable();
    let mut after_quantifier = false;
    while let Some(c) = chars.next() {
        let mut is_quantifier = false;
        match c {
            '\\' => match chars.next()? {
                'd' => result.push_str(&format!("[{DIGIT}]")),
                'D' => result.push_str(&format!("[^{DIGIT}]")),
                'w' => result.push_str(&format!("[{WORD}]")),
                'W' => result.push_str(&format!("[^{WORD}]")),
                's' => result.push_str(&format!("[{SPACE}]")),
                'S' => result.push_str(&format!("[^{SPACE}]")),
                't' => result.push_str(r"\t"),
                'n' => result.push_str(r"\n"),
                c if c.is_ascii_punctuation() => result.push_str(&regex_syntax_escape(c)),
                _ => return None,
            },
            '.' => result.push_str(&format!("[^{LINE_ENDS}]")),
            '$' => {
                if !only_finds || chars.peek().is_some() {
                    return None;
                }
                result.push_str(&format!(r"(?:\r\n|[{LINE_ENDS}])?\z"));
            }
            '^' => {
                // Elsewhere than at the start it is rare, and easily meant otherwise.
                if !result.is_empty() {
                    return None;
                }
                result.push_str(r"\A");
            }
            '[' => {
                result.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    result.push('^');
                }
                let mut first = true;
                loop {
                    match chars.next()? {
                        ']' if !first => break,
                        '\\' => match chars.next()? {
                            'd' => result.push_str(DIGIT),
                            'w' => result.push_str(WORD),
                            's' => result.push_str(SPACE),
                            't' => result.push_str(r"\t"),
                            'n' => result.push_str(r"\n"),
                            c if c.is_ascii_punctuation() => {
                                result.push_str(&regex_syntax_escape(c))
                            }
                            _ => return None,
                        },
                        '[' | ']' | '^' => return None,
                        '&' | '~' => return None,
                        '-' => {
                            // A range, or a literal at either end; twice in a row is ours alone.
                            if chars.peek() == Some(&'-') {
                                return None;
                            }
                            result.push('-');
                        }
                        c => result.push(c),
                    }
                    first = false;
                }
                result.push(']');
            }
            '(' => {
                if chars.peek() == Some(&'?') {
                    chars.next();
                    if chars.next()? != ':' {
                        return None;
                    }
                    result.push_str("(?:");
                } else {
                    result.push('(');
                }
            }
            '*' | '+' | '?' => {
                if after_quantifier && c == '+' {
                    return None;
                }
                is_quantifier = true;
                result.push(c);
            }
            '{' => {
                let mut count = String::new();
                loop {
                    match chars.next()? {
                        '}' => break,
                        c if c.is_ascii_digit() || c == ',' => count.push(c),
                        _ => return None,
                    }
                }
                if count.is_empty() || count.starts_with(',') {
                    return None;
                }
                is_quantifier = true;
                result.push_str(&format!("{{{count}}}"));
            }
            '}' | ']' => return None,
            c @ (')' | '|') => result.push(c),
            c => result.push_str(&regex_syntax_escape(c)),
        }
        after_quantifier = is_quantifier;
    }
    ::regex::Regex::new(&result).is_ok().then_some(result)
}

fn regex_syntax_escape(c: char) -> String {
    ::regex::escape(&c.to_string())
}

/// How many groups a translated pattern has.
pub fn groups(translated: &str) -> usize {
    ::regex::Regex::new(translated).map_or(0, |regex| regex.captures_len() - 1)
}

/// The greatest group that a replacement names, of one that [`replacement`] takes.
pub fn greatest_group(replacement: &str) -> usize {
    let named = replacement.split('$').skip(1);
    named.filter_map(|rest| rest.get(..1)?.parse().ok()).max().unwrap_or(0)
}

/// The replacement text for the `regex` crate: Java's `$1` is one digit group after the other.
pub fn replacement(text: &str) -> Option<String> {
    let mut result = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => return None,
            '$' => {
                let digit = chars.next().filter(char::is_ascii_digit)?;
                // `$12` is group 12 if there is one, else group 1 and a 2.
                if chars.peek().is_some_and(char::is_ascii_digit) {
                    return None;
                }
                result.push_str(&format!("${{{digit}}}"));
            }
            c => result.push(c),
        }
    }
    Some(result)
}
