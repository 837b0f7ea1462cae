//! Tables too large to keep: read again, batch by batch, for every query.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use chrono_tz::Tz;
use datafusion::{
    catalog::streaming::StreamingTable,
    datasource::TableProvider,
    execution::TaskContext,
    physical_plan::{
        SendableRecordBatchStream, stream::RecordBatchReceiverStreamBuilder,
        streaming::PartitionStream,
    },
};
use trivium_engine::Error;

use super::{csv, read_parquet};
use crate::error::{carry, from_datafusion};

/// Batches read ahead of the query.
const BATCHES_AHEAD: usize = 4;

#[derive(Debug)]
struct Files {
    paths: Vec<PathBuf>,
    is_csv: bool,
    null: Option<String>,
    zone: Option<Tz>,
    schema: SchemaRef,
}

/// The files as a table.
pub fn table(
    paths: Vec<PathBuf>,
    is_csv: bool,
    null: Option<String>,
    zone: Option<Tz>,
    schema: SchemaRef,
) -> Result<Arc<dyn TableProvider>, Error> {
    let files = Files { paths, is_csv, null, zone, schema: Arc::clone(&schema) };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(files)]).map_err(from_datafusion)?))
}

impl PartitionStream for Files {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_AHEAD);
        let sender = builder.tx();
        let (paths, is_csv, null, zone, schema) = (
            self.paths.clone(),
            self.is_csv,
            self.null.clone(),
            self.zone,
            Arc::clone(&self.schema),
        );
        builder.spawn_blocking(move || {
            for path in &paths {
                let batches: Box<dyn Iterator<Item = _>> = if is_csv {
                    Box::new(csv::read(path, &schema, null.as_deref(), zone).map_err(carry)?)
                } else {
                    Box::new(read_parquet(path, &schema, zone).map_err(carry)?)
                };
                for batch in batches {
                    let is_error = batch.is_err();
                    // The query is gone, or fails: nobody needs the rest, and a reader may fail for ever.
                    if sender.blocking_send(batch.map_err(carry)).is_err() || is_error {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}
