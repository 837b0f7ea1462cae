//! The schemas that messages are written under, by their ids.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use arc_swap::{ArcSwap, Guard};

use super::schema::Schema;
use crate::{Poison, Reason, Unread};

/// The most that are kept; the one that came first goes first, and is asked for again.
pub(crate) const SCHEMAS_MAX: usize = 1_000;
/// The longest text of a schema.
pub(crate) const SCHEMA_BYTES_MAX: usize = 1 << 20;

/// The schemas that messages are written under, by the ids in front of them. Shared between readers:
/// reading waits for nobody.
#[derive(Debug, Default)]
pub struct AvroSchemas {
    known: ArcSwap<Known>,
}

impl AvroSchemas {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The schema of this id, in JSON. One that cannot be read under is remembered, too: its messages
    /// are poison, and nobody asks for it again until it is put in anew.
    pub fn insert(&self, id: u32, text: &str) -> Result<(), Poison> {
        let parsed = parse(id, text);
        self.known.rcu(|known| {
            let mut known = Known::clone(known);
            known.put(id, parsed.clone());
            known
        });
        parsed.map(|_| ())
    }

    pub(crate) fn known(&self) -> Guard<Arc<Known>> {
        self.known.load()
    }
}

fn parse(id: u32, text: &str) -> Result<Arc<Schema>, Poison> {
    let parsed = if text.len() > SCHEMA_BYTES_MAX {
        let bytes = text.len();
        Err(format!("it has {bytes} bytes, and may have {SCHEMA_BYTES_MAX}"))
    } else {
        Schema::parse(text)
    };
    parsed.map(Arc::new).map_err(|wrong| {
        Poison::new(Reason::Undecodable, format!("the Avro schema {id} is not taken: {wrong}"))
            .at("schema")
    })
}

/// The schemas at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    by_id: HashMap<u32, Result<Arc<Schema>, Poison>>,
    order: VecDeque<u32>,
}

impl Known {
    pub fn get(&self, id: u32) -> Result<&Schema, Unread> {
        match self.by_id.get(&id) {
            Some(Ok(schema)) => Ok(schema),
            Some(Err(poison)) => Err(poison.clone().into()),
            None => Err(Unread::SchemaNeeded(id)),
        }
    }

    fn put(&mut self, id: u32, schema: Result<Arc<Schema>, Poison>) {
        if self.by_id.insert(id, schema).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > SCHEMAS_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.by_id.remove(&first);
        }
    }
}
