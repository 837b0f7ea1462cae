//! Debezium's change events; in JSON with the schema beside the payload or without.

use trivium_model::FieldPath;

use crate::{Poison, Reason, Unread, column::Column, leaf::Leaf, places::Places};

/// What a change event does to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is there, as it stands after.
    Put,
    /// It was there already, and is as it stands after.
    Update,
    /// It is not any more; it stood so before.
    Delete,
    /// Nothing about a row.
    Nothing,
}

/// Where a change event's parts stand: once for events as they are, once for those in a `payload`.
#[derive(Debug, Clone)]
pub(crate) struct ChangePlaces {
    places: Places,
    columns: usize,
}

const WRAPPERS: [&[&str]; 2] = [&[], &["payload"]];

impl ChangePlaces {
    pub fn new(columns: &[Column]) -> Self {
        let mut places = Places::default();
        let count = columns.len();
        for (wrapper, prefix) in WRAPPERS.into_iter().enumerate() {
            let place = |steps: &[&str], rest: &[String]| -> Vec<String> {
                let known = prefix.iter().chain(steps).map(|step| (*step).to_owned());
                known.chain(rest.iter().cloned()).collect()
            };
            let first = wrapper * Self::numbers(count);
            places.want(&place(&["op"], &[]), first);
            for (index, column) in columns.iter().enumerate() {
                let (after, before) = (first + 1 + index, first + 1 + count + index);
                match &column.path {
                    FieldPath::Value(steps) => {
                        places.want(&place(&["after"], steps), after);
                        places.want(&place(&["before"], steps), before);
                    }
                    FieldPath::Event(steps) => {
                        places.want(&place(&[], steps), after);
                        places.want(&place(&[], steps), before);
                    }
                    FieldPath::Key(_) | FieldPath::Header(_) | FieldPath::Time => {}
                }
            }
        }
        Self { places, columns: count }
    }

    /// Of one wrapper: what is done, and each column's value after and before.
    const fn numbers(columns: usize) -> usize {
        1 + 2 * columns
    }

    /// What the event does, and the columns' values in the row that it is about.
    pub fn read<'m>(
        &self,
        document: impl FnOnce(&Places, &mut [Leaf<'m>]) -> Result<(), Unread>,
    ) -> Result<(Change, Vec<Leaf<'m>>), Unread> {
        let numbers = Self::numbers(self.columns);
        let mut found = vec![Leaf::Absent; WRAPPERS.len() * numbers];
        document(&self.places, &mut found)?;
        let wrapped = found.split_off(numbers);
        let event = match (&found[0], &wrapped[0]) {
            (Leaf::Absent, null) if null.is_null() => return Ok((Change::Nothing, Vec::new())),
            (Leaf::Absent, op) if !op.is_absent() => wrapped,
            _ => found,
        };
        let mut event = event.into_iter();
        let op = event.next().unwrap_or_default();
        let change = of_op(op.text())?;
        let side = usize::from(change == Change::Delete) * self.columns;
        Ok((change, event.skip(side).take(self.columns).collect()))
    }
}

fn of_op(op: Option<&str>) -> Result<Change, Poison> {
    let poison = |message: String| Poison::new(Reason::Undecodable, message);
    match op {
        Some("c" | "r") => Ok(Change::Put),
        Some("u") => Ok(Change::Update),
        Some("d") => Ok(Change::Delete),
        Some("m") => Ok(Change::Nothing),
        Some("t") => {
            let message = "the table was truncated, which deletes no entity by name";
            Err(poison(message.to_owned())
                .at("op")
                .help("delete the view's rows by an erasure or a new version, then drop this"))
        }
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            Err(poison(format!("`{other}` is no operation of a change event")).at("op"))
        }
        None => Err(poison("it is no change event: it has no `op`".to_owned())
            .help("see the source's format")),
    }
}
