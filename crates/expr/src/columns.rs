//! The columns that an expression may read.

use trivium_model::DataType;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What stands before the point, in `view.feature`.
    pub qualifier: Option<String>,
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
}

/// The columns that an expression may read, numbered as they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

/// What a name stands for.
pub(crate) enum Found<'c> {
    One(usize, &'c Column),
    Several(Vec<&'c Column>),
    None,
}

impl Columns {
    /// No columns.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
    /// Adds a column that is written by its name alone.
    pub fn add(&mut self, name: impl Into<String>, data_type: DataType) -> usize {
        self.push(Column { qualifier: None, name: name.into(), data_type })
    }
    /// Adds a column that is written `qualifier.name`, or by its name alone where no other has that name.
    pub fn add_qualified(
        &mut self,
        qualifier: impl Into<String>,
        name: impl Into<String>,
        data_type: DataType,
    ) -> usize {
        self.push(Column { qualifier: Some(qualifier.into()), name: name.into(), data_type })
    }
    fn push(&mut self, column: Column) -> usize {
        self.0.push(column);
        self.0.len() - 1
    }
    /// The columns, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Column> {
        self.0.iter()
    }
    /// The column of a number.
    pub fn get(&self, index: usize) -> Option<&Column> {
        self.0.get(index)
    }

    /// Case does not count, as in Spark. A column without a qualifier comes before those that have one.
    pub(crate) fn find(&self, qualifier: Option<&str>, name: &str) -> Found<'_> {
        let named = |column: &&Column| column.name.eq_ignore_ascii_case(name);
        let fits = |column: &&Column| match (qualifier, &column.qualifier) {
            (Some(wanted), Some(has)) => has.eq_ignore_ascii_case(wanted),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let found = || self.0.iter().filter(named).filter(fits);
        let bare = found().filter(|column| column.qualifier.is_none());
        let mut first: Vec<&Column> = bare.collect();
        if first.is_empty() {
            first = found().collect();
        }
        match first.as_slice() {
            [] => Found::None,
            [one] => match self.0.iter().position(|column| std::ptr::eq(column, *one)) {
                Some(at) => Found::One(at, one),
                None => Found::None,
            },
            _ => Found::Several(first),
        }
    }

    /// The column that is likely meant.
    pub(crate) fn nearest(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let far = |column: &Column| strsim::osa_distance(&name, &column.name);
        // One letter for another is another name.
        let length = name.chars().count();
        let near = if length < 3 { 0 } else { (length / 3).max(1) };
        let best = self.0.iter().min_by_key(|column| far(column))?;
        (far(best) <= near).then(|| best.written())
    }
}

impl Column {
    /// As an expression names it.
    pub fn written(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{qualifier}.{}", self.name),
            None => self.name.clone(),
        }
    }
}
