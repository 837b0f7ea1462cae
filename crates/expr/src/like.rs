//! Patterns of LIKE. Between two `%` stands a piece, which is looked for once from where the last ended: no pattern
//! makes a search go back.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    pieces: Vec<Piece>,
    /// Whether the text must begin with the first piece, and end with the last.
    starts: bool,
    ends: bool,
}

/// What stands between two `%`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// No `_` in it.
    Plain(String),
    /// `None` is any character.
    Holes(Vec<Option<char>>),
}

impl Piece {
    fn new(text: &str) -> Self {
        if text.contains('_') {
            Self::Holes(text.chars().map(|c| (c != '_').then_some(c)).collect())
        } else {
            Self::Plain(text.to_owned())
        }
    }
    /// The bytes of the text's start that it takes.
    fn at_start(&self, text: &str) -> Option<usize> {
        match self {
            Self::Plain(plain) => text.starts_with(plain.as_str()).then_some(plain.len()),
            Self::Holes(wanted) => {
                let mut chars = text.char_indices();
                for want in wanted {
                    let (_, found) = chars.next()?;
                    if want.is_some_and(|want| want != found) {
                        return None;
                    }
                }
                Some(chars.offset())
            }
        }
    }
    /// Where it ends when it stands as early as it can.
    fn find(&self, text: &str) -> Option<usize> {
        match self {
            Self::Plain(plain) => text.find(plain.as_str()).map(|at| at + plain.len()),
            Self::Holes(_) => text
                .char_indices()
                .map(|(at, _)| at)
                .find_map(|at| Some(at + self.at_start(&text[at..])?)),
        }
    }
    /// Whether the text ends with it.
    fn at_end(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => text.ends_with(plain.as_str()),
            Self::Holes(wanted) => {
                let last = wanted.len().checked_sub(1);
                let start = last.and_then(|last| text.char_indices().rev().nth(last));
                start.is_some_and(|(at, _)| self.at_start(&text[at..]).is_some())
            }
        }
    }
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pieces: text.split('%').filter(|piece| !piece.is_empty()).map(Piece::new).collect(),
            starts: !text.starts_with('%'),
            ends: !text.ends_with('%'),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        let mut pieces = self.pieces.as_slice();
        if self.text.is_empty() {
            return text.is_empty();
        }
        if self.starts {
            let [first, others @ ..] = pieces else { return false };
            let Some(taken) = first.at_start(rest) else { return false };
            rest = &rest[taken..];
            if others.is_empty() && self.ends {
                return rest.is_empty();
            }
            pieces = others;
        }
        let mut last = None;
        if self.ends
            && let [others @ .., ends] = pieces
        {
            last = Some(ends);
            pieces = others;
        }
        for piece in pieces {
            let Some(end) = piece.find(rest) else { return false };
            rest = &rest[end..];
        }
        last.is_none_or(|piece| piece.at_end(rest))
    }
}
