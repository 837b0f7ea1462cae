//! The schemas that a worker's messages were written under, asked for when one is met.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

    /// Brings these; those that do not exist are told apart, whose messages are poison.
    pub(crate) async fn bring(
        &self,
        ids: &BTreeSet<u32>,
        refused: &mut BTreeMap<u32, String>,
        options: &LaneOptions,
        stop: &Shutdown,
    ) -> Result<(), Stopped> {
        for id in ids {
            let mut failures = 0;
            loop {
                let asked = async {
                    match &self.source {
                        Some(source) => source.schema(*id).await,
                        None => Err(SchemaError::Away(
                            "no schema registry is configured, and a message names a schema"
                                .to_owned(),
                        )),
                    }
                };
                let answer = tokio::select! {
                    answer = asked => answer,
                    () = stop.wait() => return Err(Stopped::Asked),
                };
                match answer {
                    Ok(text) => {
                        // One that cannot be read under is remembered as that.
                        if let Err(poison) = self.known.insert(*id, &text) {
                            tracing::warn!(id, %poison, "a schema is not taken");
                        }
                        break;
                    }
                    Err(SchemaError::Unknown(why)) => {
                        refused.insert(*id, why);
                        break;
                    }
                    Err(SchemaError::Away(why)) => {
                        failures += 1;
                        tracing::warn!(id, why, "a schema is not known yet; it is asked for again");
                        tokio::select! {
                            () = tokio::time::sleep(options.pause(failures)) => {}
                            () = stop.wait() => return Err(Stopped::Asked),
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
