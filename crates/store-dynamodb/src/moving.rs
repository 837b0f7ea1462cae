//! Where an item is, in a store of two tables: the one place that decides it. `docs/decisions/0010-…`
//! says why it is right.
//!
//! An item's authority is the table whose marker is *not* the newest of the two; without markers it is
//! where a plain item stands, the first table first. Tables are read in turn, each strongly, and only the
//! answer of the table that was read *last* counts: a marker stays until its own table is written by a
//! later generation, so what it said when it was read still holds as long as the other one has none that
//! is newer.

use std::time::Instant;

use aws_sdk_dynamodb::types::ReturnValue;
use trivium_codec::RowKey;
use trivium_store::{Error, check_deadline};

use crate::{
    expression::Expression,
    guards::{Creates, Made},
    item::{Item, Stored},
    marks::{Mark, Standing, Token, confirmation, is_plain, marker, when_standing},
    step::{Must, Step, Updated},
    store::{Inner, Pauses, Table},
};

/// An item moves once in a migration: who finds it elsewhere this often meets something else.
const TURNS_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Second,
}

impl Place {
    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What has been found out about an item so far.
#[derive(Debug)]
pub(crate) struct Search {
    /// The table to read next; in the end, the authority.
    pub(crate) place: Place,
    /// What the table that was read before said; `None`: nothing was read yet.
    other: Option<Mark>,
}

/// What the authority holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The item, as it stands.
    Plain,
    /// The item, whose marks are to be removed before it is written: this token was handed over.
    Arrived(Token),
    /// No item. Something without meaning may stand in its place.
    Nothing(Standing),
    /// No item in either table, and no marker. What stands here has no meaning.
    Nowhere,
}

impl Search {
    pub(crate) fn new() -> Self {
        Self { place: Place::First, other: None }
    }

    /// Takes in what the table holds; `None`: read the other one.
    pub(crate) fn see(
        &mut self,
        item: Option<&Item>,
        identity_of: impl Fn(Place) -> String,
    ) -> Result<Option<Found>, Error> {
        let standing = Standing::of(item)?;
        let own = standing.mark.generation;
        match &self.other {
            Some(other) if other.generation > own => {
                return Ok(Some(if standing.is_plain() {
                    Found::Plain
                } else if let Some(token) = &standing.staged
                    && other.token.as_ref() == Some(token)
                {
                    Found::Arrived(token.clone())
                } else {
                    Found::Nothing(standing)
                }));
            }
            _ if standing.is_plain() => return Ok(Some(Found::Plain)),
            Some(other) if other.generation == 0 && own == 0 => return Ok(Some(Found::Nowhere)),
            _ => {}
        }
        let next = self.place.other();
        if own > 0 && standing.mark.to != identity_of(next) {
            return Err(moved_to(&standing.mark.to));
        }
        self.other = Some(standing.mark);
        self.place = next;
        Ok(None)
    }
}

/// Says what nobody must take for an absent row.
#[cold]
pub(crate) fn moved_to(table: &str) -> Error {
    Error::Unavailable(format!(
        "this row has moved to the table `{table}`, and this node's config does not know of it: set \
         `dynamodb.moving_to`, or `dynamodb.table` where all rows have moved"
    ))
}

/// The item of a store that knows one table.
pub(crate) fn here(item: Option<Item>) -> Result<Option<Item>, Error> {
    match item {
        Some(item) if !is_plain(&item) => {
            let standing = Standing::of(Some(&item))?;
            if standing.staged.is_some() {
                return Err(Error::Unavailable(
                    "this row is on its way into this table, and this node's config does not know from where: \
                     set `dynamodb.moving_to`, or finish the migration"
                        .to_owned(),
                ));
            }
            Err(moved_to(&standing.mark.to))
        }
        item => Ok(item),
    }
}

impl Inner {
    /// The table at a place.
    pub(crate) fn at(&self, place: Place) -> &Table {
        match (place, &self.second) {
            (Place::Second, Some(second)) => second,
            _ => &self.first,
        }
    }

    fn identity_of(&self, place: Place) -> String {
        self.at(place).options.identity()
    }

    /// Rows by key, strongly consistent, in the order of the keys, from wherever they are. A key that could
    /// not be read is an error.
    pub(crate) async fn read(
        &self,
        keys: &[RowKey],
        deadline: Option<Instant>,
    ) -> Vec<Result<Stored, Error>> {
        if let Err(error) = check_deadline(deadline).and_then(|()| self.may_serve()) {
            return vec![Err(error); keys.len()];
        }
        let parse = |mut item: Option<Item>| Stored::parse(item.as_mut());
        if self.second.is_none() {
            let found = self.first.read(keys, deadline).await;
            return found.into_iter().map(|item| parse(here(item?)?)).collect();
        }
        let mut answers: Vec<Option<Result<Stored, Error>>> = vec![None; keys.len()];
        let mut open: Vec<(usize, Search)> =
            (0..keys.len()).map(|place| (place, Search::new())).collect();
        let mut table = Place::First;
        for _ in 0..TURNS_MAX {
            if open.is_empty() {
                break;
            }
            // All that are open are at the same table: each round ends, or takes every one to the other.
            let wanted: Vec<RowKey> = open.iter().map(|(place, _)| keys[*place].clone()).collect();
            let found = self.at(table).read(&wanted, deadline).await;
            let mut left = Vec::new();
            for ((place, mut search), item) in open.into_iter().zip(found) {
                let seen = item.and_then(|item| {
                    Ok((search.see(item.as_ref(), |place| self.identity_of(place))?, item))
                });
                answers[place] = match seen {
                    Err(error) => Some(Err(error)),
                    Ok((None, _)) => {
                        left.push((place, search));
                        None
                    }
                    Ok((Some(Found::Plain | Found::Arrived(_)), item)) => Some(parse(item)),
                    Ok((Some(Found::Nothing(_) | Found::Nowhere), _)) => {
                        Some(Ok(Stored::default()))
                    }
                };
            }
            open = left;
            table = table.other();
        }
        let restless = || Err(Error::Unavailable("the row was moved again and again".to_owned()));
        answers.into_iter().map(|answer| answer.unwrap_or_else(restless)).collect()
    }

    /// One item of any kind, from wherever it is; tries again until `end`.
    pub(crate) async fn get_item(&self, key: Item, end: Instant) -> Result<Option<Item>, Error> {
        self.may_serve()?;
        if self.second.is_none() {
            return here(self.first.get_item(key, end).await?);
        }
        let mut search = Search::new();
        for _ in 0..TURNS_MAX {
            let item = self.at(search.place).get_item(key.clone(), end).await?;
            match search.see(item.as_ref(), |place| self.identity_of(place))? {
                None => {}
                Some(Found::Plain | Found::Arrived(_)) => return Ok(item),
                Some(Found::Nothing(_) | Found::Nowhere) => return Ok(None),
            }
        }
        Err(Error::Unavailable("the item was moved again and again".to_owned()))
    }

    /// Does the write where the item is.
    pub(crate) async fn perform(&self, step: &Step, end: Instant) -> Result<Updated, Error> {
        self.may_serve()?;
        if self.second.is_none() {
            return match self.first.act(step, Must::Nothing, end).await? {
                Updated::Refused(item) => Ok(Updated::Refused(here(item)?)),
                done => Ok(done),
            };
        }
        // The likely case first: it has not moved.
        let (mut place, mut must) = (Place::First, Must::Exist);
        let mut pauses = Pauses::until(end);
        for turn in 0..TURNS_MAX {
            match self.at(place).act(step, must, end).await? {
                Updated::Refused(None) if must == Must::Nothing => {
                    return Ok(Updated::Refused(None));
                }
                Updated::Refused(Some(item)) if is_plain(&item) => {
                    return Ok(Updated::Refused(Some(item)));
                }
                Updated::Refused(_) => {}
                done => return Ok(done),
            }
            if turn > 1 && !pauses.sleep().await {
                break;
            }
            (place, must) = self.locate(&step.key, &step.stub, end).await?;
        }
        Err(Error::Throttled("the row was moved again and again; nothing was changed".to_owned()))
    }

    /// The table that the item is to be written in, and whether it is there. What stands in the way of a
    /// write without meaning anything is removed; an item that is nowhere is made.
    pub(crate) async fn locate(
        &self,
        key: &Item,
        stub: &Item,
        end: Instant,
    ) -> Result<(Place, Must), Error> {
        let mut pauses = Pauses::until(end);
        let mut search = Search::new();
        // What stands in the first table without being an item.
        let mut leftover = Standing::default();
        loop {
            let place = search.place;
            let table = self.at(place);
            let item = table.get_item(key.clone(), end).await?;
            if place == Place::First {
                leftover = Standing::of(item.as_ref())?;
            }
            let made = match search.see(item.as_ref(), |place| self.identity_of(place))? {
                None => continue,
                Some(Found::Plain) => return Ok((place, Must::Exist)),
                Some(Found::Arrived(token)) => {
                    let update = confirmation(&token);
                    table.update(key.clone(), update, ReturnValue::None, end).await?;
                    return Ok((place, Must::Exist));
                }
                // The first table's marker says that it is made in the second one, by whoever is first.
                Some(Found::Nothing(standing)) => {
                    if standing.is_there {
                        let mut same = Expression::default();
                        when_standing(&mut same, &standing);
                        table.delete(key.clone(), same, end).await?;
                    }
                    if place == Place::Second {
                        return Ok((place, Must::Nothing));
                    }
                    self.make(key, stub, end).await
                }
                Some(Found::Nowhere) => {
                    // Staged, and since then read as gone from where it came: it never counts.
                    if leftover.is_there {
                        let mut same = Expression::default();
                        when_standing(&mut same, &leftover);
                        self.first.delete(key.clone(), same, end).await?;
                    }
                    self.make(key, stub, end).await
                }
            };
            match made {
                Ok(()) => {}
                // A stub or a marker that may come late changes nothing that anybody sees.
                Err(Error::Throttled(_) | Error::Unknown(_)) if pauses.sleep().await => {}
                Err(error) => return Err(error),
            }
            search = Search::new();
        }
    }

    /// Makes the item in the first table, or a marker that lets it be made in the second.
    async fn make(&self, key: &Item, stub: &Item, end: Instant) -> Result<(), Error> {
        let guard = self.guards.of(&self.first, key, end).await?;
        let item = match guard.creates {
            Creates::First => stub.clone(),
            Creates::Second => {
                marker(key.clone(), guard.generation, &self.identity_of(Place::Second), None)
            }
            Creates::Nowhere => {
                self.guards.forget(key)?;
                return Err(Error::Unavailable(
                    "rows move between these tables in the other direction: this node's config names the \
                     wrong one as `dynamodb.table`"
                        .to_owned(),
                ));
            }
        };
        if self.first.make(item, guard, end).await? == Made::Outdated {
            self.guards.forget(key)?;
        }
        Ok(())
    }
}
