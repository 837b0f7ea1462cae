//! The schemas that a worker's messages were written under, asked for when one is met.

use std::{collections::BTreeSet, sync::Arc};

use trivium_payload::AvroSchemas;
use trivium_runtime::Shutdown;

use crate::{
    lane::{LaneOptions, Stopped},
    port::{SchemaError, SchemaSource},
};

/// Shared by all lanes of a worker.
pub struct Schemas {
    known: AvroSchemas,
    source: Option<Arc<dyn SchemaSource>>,
}

impl Schemas {
    /// From this source; without one, messages that name a schema wait until there is one.
    pub fn new(source: Option<Arc<dyn SchemaSource>>) -> Self {
        Self { known: AvroSchemas::new(), source }
    }

    pub(crate) fn known(&self) -> &AvroSchemas {
        &self.known
    }

    /// Brings these; gives those that do not exist, whose messages are poison now.
    pub(crate) async fn bring(
        &self,
        ids: &BTreeSet<u32>,
        options: &LaneOptions,
        stop: &Shutdown,
    ) -> Result<Vec<u32>, Stopped> {
        let mut refused = Vec::new();
        for id in ids {
            let mut failures = 0;
            let why = loop {
                let answer = match &self.source {
                    Some(source) => source.schema(*id).await,
                    None => Err(SchemaError::Away(
                        "no schema registry is configured, and a message names a schema".to_owned(),
                    )),
                };
                match answer {
                    Ok(text) => {
                        // One that cannot be read under is remembered as that.
                        if let Err(poison) = self.known.insert(*id, &text) {
                            tracing::warn!(id, %poison, "a schema is not taken");
                        }
                        break None;
                    }
                    Err(SchemaError::Unknown(why)) => break Some(why),
                    Err(SchemaError::Away(why)) => {
                        failures += 1;
                        tracing::warn!(id, why, "a schema is not known yet; it is asked for again");
                        tokio::select! {
                            () = tokio::time::sleep(options.pause(failures)) => {}
                            () = stop.wait() => return Err(Stopped::Asked),
                        }
                    }
                }
            };
            if let Some(why) = why {
                self.known.refuse(*id, &why);
                refused.push(*id);
            }
        }
        Ok(refused)
    }

    /// What does not exist now may, when it is met again.
    pub(crate) fn forget(&self, refused: &[u32]) {
        refused.iter().for_each(|id| self.known.forget(*id));
    }
}
