//! Where in trivium.toml a setting stands, for messages.

use toml::de::{DeTable, DeValue};
use trivium_model::LineIndex;

/// A project file's text, and the places of its keys.
pub struct Lines<'t> {
    file: &'t str,
    index: LineIndex<'t>,
    /// None where it is no TOML: then whoever reads it says so.
    table: Option<DeTable<'t>>,
}

impl<'t> Lines<'t> {
    /// Of a file, as it is named in messages, and its text.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        let table = DeTable::parse(text).ok().map(toml::Spanned::into_inner);
        Self { file, index: LineIndex::new(text), table }
    }

    /// The file, as it is named in messages.
    pub fn file(&self) -> &str {
        self.file
    }

    /// Line and column of a setting, or of what it would stand in, both from 1.
    pub fn at(&self, path: &[&str]) -> (u32, u32) {
        let mut at = (1, 1);
        let mut table = self.table.as_ref();
        for name in path {
            let Some((key, value)) = table.and_then(|table| table.get_key_value(*name)) else {
                break;
            };
            at = self.index.position(key.span().start);
            table = match value.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            };
        }
        at
    }

    /// `trivium.toml:12:1: sources.orders.ready`
    pub fn place(&self, path: &[&str]) -> String {
        let (line, column) = self.at(path);
        let is_bare = |c: char| c.is_alphanumeric() || "_-".contains(c);
        // A key may be any text, a line's end too.
        let shown = path.iter().map(|name| match !name.is_empty() && name.chars().all(is_bare) {
            true => (*name).to_owned(),
            false => format!("{name:?}"),
        });
        format!("{}:{line}:{column}: {}", self.file, shown.collect::<Vec<_>>().join("."))
    }

    /// `trivium.toml:12:1`, of an offset in the text.
    pub fn offset(&self, offset: usize) -> String {
        let (line, column) = self.index.position(offset);
        format!("{}:{line}:{column}", self.file)
    }
}
