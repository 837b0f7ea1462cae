//! What stands in items whose table is being replaced: see the crate's `migrate` for the protocol.
//!
//! | attribute | type | what |
//! | --- | --- | --- |
//! | `moved` | N | a *marker*: the item's authority is in the other table, since the migration of this generation |
//! | `moved_to` | S | which table that is: `region/table` |
//! | `moved_as` | B | the token of the staged item that was handed over; left out where there was no item |
//! | `moved_rev`, `moved_sum` | N, B | the row's rev and a checksum at that moment, for `verify` |
//! | `staged` | B | a token: this item counts only if the other table's marker names that token |

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest as _, Sha256};
use trivium_store::Error;

use crate::{
    expression::{Expression, number},
    item::{
        self, BARRIER_DEADLINE, BARRIER_EPOCH, BARRIER_RAISED, DEAD, EVENT_TIME, EXPIRES_AT, Item,
        PK, REV, ROW_BYTES, SEQ, SK, SUBJECT, WRITE_ID, binary, corrupt, text,
    },
    people::JOB,
};

pub(crate) const MOVED: &str = "moved";
pub(crate) const MOVED_TO: &str = "moved_to";
pub(crate) const MOVED_AS: &str = "moved_as";
pub(crate) const MOVED_REV: &str = "moved_rev";
pub(crate) const MOVED_SUM: &str = "moved_sum";
pub(crate) const STAGED: &str = "staged";

const MARKS: [&str; 6] = [MOVED, MOVED_TO, MOVED_AS, MOVED_REV, MOVED_SUM, STAGED];
/// What may change, or come, without the row's rev.
const UNSUMMED: [&str; 4] = [BARRIER_EPOCH, BARRIER_DEADLINE, BARRIER_RAISED, EXPIRES_AT];
/// What an item may lack and get later without losing anything else: it is then another one.
const OPTIONAL: [&str; 10] = [
    BARRIER_DEADLINE,
    BARRIER_EPOCH,
    BARRIER_RAISED,
    DEAD,
    EVENT_TIME,
    EXPIRES_AT,
    REV,
    SEQ,
    SUBJECT,
    WRITE_ID,
];

/// Names one item's content as one migration staged it.
pub(crate) type Token = Vec<u8>;

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// 0: there is no marker.
    pub(crate) generation: u64,
    pub(crate) token: Option<Token>,
    pub(crate) to: String,
}

/// What an item is to a migration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    pub(crate) is_there: bool,
    pub(crate) mark: Mark,
    pub(crate) staged: Option<Token>,
}

impl Standing {
    pub(crate) fn of(item: Option<&Item>) -> Result<Self, Error> {
        let Some(item) = item else { return Ok(Self::default()) };
        let to = match item.get(MOVED_TO) {
            Some(AttributeValue::S(to)) => to.clone(),
            None => String::new(),
            Some(_) => return Err(corrupt(MOVED_TO)),
        };
        let generation = item::number(item, MOVED)?.unwrap_or(0);
        Ok(Self {
            is_there: true,
            mark: Mark { generation, token: bytes(item, MOVED_AS)?, to },
            staged: bytes(item, STAGED)?,
        })
    }

    /// The item counts as it stands, as long as the other table has no newer marker.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_there && self.mark.generation == 0 && self.staged.is_none()
    }
}

/// Neither a marker nor staged.
pub(crate) fn is_plain(item: &Item) -> bool {
    !item.contains_key(MOVED) && !item.contains_key(STAGED)
}

fn bytes(item: &Item, attribute: &str) -> Result<Option<Token>, Error> {
    match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::B(blob)) => Ok(Some(blob.as_ref().to_vec())),
        Some(_) => Err(corrupt(attribute)),
    }
}

/// A marker of an item that was handed over; without a token one that was not there.
pub(crate) fn marker(key: Item, generation: u64, to: &str, handed_over: Option<&Item>) -> Item {
    let mut marker = key;
    marker.insert(MOVED.to_owned(), number(generation));
    marker.insert(MOVED_TO.to_owned(), text(to));
    if let Some(item) = handed_over {
        marker.insert(MOVED_AS.to_owned(), binary(token(item, generation)));
        marker.insert(MOVED_SUM.to_owned(), binary(sum(item)));
        if let Some(rev) = item.get(REV) {
            marker.insert(MOVED_REV.to_owned(), rev.clone());
        }
    }
    marker
}

/// The item as it is staged by a migration, over what stands in its place.
pub(crate) fn staged(item: &Item, generation: u64, over: Option<&Item>) -> Item {
    let mut staged = item.clone();
    staged.insert(STAGED.to_owned(), binary(token(item, generation)));
    // An older marker stays until the other table has a newer one: it says where the authority is.
    for name in [MOVED, MOVED_TO, MOVED_AS] {
        if let Some(value) = over.and_then(|over| over.get(name)) {
            staged.insert(name.to_owned(), value.clone());
        }
    }
    staged
}

/// Turns a staged item into one that counts; only where the other table's marker names the token.
pub(crate) fn confirmation(token: &[u8]) -> Expression {
    let mut update = Expression::default();
    when_staged(&mut update, token);
    for name in MARKS {
        update.remove(name);
    }
    update
}

pub(crate) fn when_staged(expression: &mut Expression, token: &[u8]) {
    let token = expression.value(binary(token.to_vec()));
    expression.when(format!("{STAGED} = {token}"));
}

/// The item is this one as far as a migration is concerned.
pub(crate) fn when_standing(expression: &mut Expression, standing: &Standing) {
    if !standing.is_there {
        return expression.when(format!("attribute_not_exists({PK})"));
    }
    match &standing.staged {
        Some(token) => when_staged(expression, token),
        None => expression.when(format!("attribute_not_exists({STAGED})")),
    }
    match standing.mark.generation {
        0 => expression.when(format!("attribute_not_exists({MOVED})")),
        generation => {
            let generation = expression.number(generation);
            expression.when(format!("{MOVED} = {generation}"));
        }
    }
}

/// The item is exactly this one. What is large is named by what is small: a row by its rev, a
/// checkpoint by its generation, a part of one by its key, an erasure's record by its tombstone's version.
pub(crate) fn when_same(expression: &mut Expression, item: &Item) {
    expression.when(format!("attribute_exists({PK})"));
    let mut names: Vec<&String> = item.keys().collect();
    names.sort_unstable();
    for name in names {
        if [PK, SK, ROW_BYTES, JOB, crate::checkpoints::CONTENT].contains(&name.as_str()) {
            continue;
        }
        let value = expression.value(item[name].clone());
        expression.when(format!("{name} = {value}"));
    }
    for name in OPTIONAL.into_iter().chain([MOVED, STAGED]) {
        if !item.contains_key(name) {
            expression.when(format!("attribute_not_exists({name})"));
        }
    }
}

/// All of an item but its marks, and the generation: no two generations have a token in common.
pub(crate) fn token(item: &Item, generation: u64) -> Token {
    digest(item, generation, &MARKS)
}

/// What a row keeps for as long as it keeps its rev.
pub(crate) fn sum(item: &Item) -> Vec<u8> {
    digest(item, 0, &[&MARKS[..], &UNSUMMED].concat())
}

fn digest(item: &Item, generation: u64, without: &[&str]) -> Vec<u8> {
    let mut names: Vec<&String> =
        item.keys().filter(|name| !without.contains(&name.as_str())).collect();
    names.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(generation.to_le_bytes());
    for name in names {
        part(&mut digest, name.as_bytes());
        value(&mut digest, &item[name]);
    }
    digest.finalize()[..16].to_vec()
}

/// Length first, so that no two lists of parts are the same bytes.
fn part(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

fn value(digest: &mut Sha256, of: &AttributeValue) {
    match of {
        AttributeValue::B(blob) => {
            part(digest, b"B");
            part(digest, blob.as_ref());
        }
        AttributeValue::S(text) => {
            part(digest, b"S");
            part(digest, text.as_bytes());
        }
        AttributeValue::N(digits) => {
            part(digest, b"N");
            part(digest, digits.as_bytes());
        }
        AttributeValue::L(list) => {
            part(digest, b"L");
            digest.update((list.len() as u64).to_le_bytes());
            for item in list {
                value(digest, item);
            }
        }
        // Flags, and whatever a later layout may bring, by how the SDK shows it.
        other => part(digest, format!("{other:?}").as_bytes()),
    }
}
