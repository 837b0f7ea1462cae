//! The rows that everybody loads.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::{Context as _, Result, anyhow, ensure};
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array},
    datatypes::{DataType, Field, Schema as ArrowSchema},
    record_batch::RecordBatch,
};
use parquet::arrow::ArrowWriter;
use trivium_codec::{KeyShape, Row, RowEncoder, RowKey, Schema, ValueRef};
use trivium_model::{FeatureView, KeyValue, Lane, config::parse_view};

/// Features of a row, float64.
pub const FEATURES: usize = 10;
/// Start of the one period.
pub const PERIOD: &str = "2013-12-31";
/// Its end: the event time of all rows, and the data clock.
pub const PERIOD_END: &str = "2014-01-01T00:00:00Z";
/// The same in microseconds since 1970.
pub const PERIOD_END_MICROS: i64 = 1_388_534_400_000_000;

/// A feature's name.
pub fn feature(number: usize) -> String {
    format!("f{number:02}")
}

/// A feature's value: spread, so that nothing compresses away.
pub fn value(row: usize, feature: usize) -> f64 {
    let mixed = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(feature as u32 * 7);
    mixed as f64 / 1e9
}

/// Some rows, from everywhere.
pub fn sample(rows: usize) -> impl Iterator<Item = usize> {
    const ROWS: usize = 20;
    (0..ROWS.min(rows)).map(move |number| (number * 7_919 + 13) % rows)
}

/// The view's config.
pub fn config(name: &str) -> String {
    let features: Vec<serde_json::Value> = (0..FEATURES)
        .map(|n| serde_json::json!({ "name": feature(n), "type": "float64", "description": "A number." }))
        .collect();
    let config = serde_json::json!({
        "namespace": "bench", "name": name, "version": 1, "lane": "batch",
        "description": "Rows to load.",
        "owner": { "team": "bench", "contact": "bench@example.com" },
        "urgency_tier": 3,
        "entities": [{ "name": "driver", "type": "int64", "description": "Who." }],
        "event_timestamp": "event_ts",
        "features": features,
        "schedule": { "every": "1d", "start": PERIOD },
        "online": true,
    });
    config.to_string()
}

/// Its SQL; the source has the view's name.
pub fn sql(name: &str) -> String {
    let features: Vec<String> = (0..FEATURES).map(feature).collect();
    let features = features.join(", ");
    format!("SELECT driver, TIMESTAMP '{{{{ period_end }}}}' AS event_ts, {features} FROM {name}\n")
}

/// The source of the rows, as a file.
pub fn write_source(path: &Path, rows: usize) -> Result<()> {
    let mut fields = vec![Field::new("driver", DataType::Int64, false)];
    fields.extend((0..FEATURES).map(|n| Field::new(feature(n), DataType::Float64, false)));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..rows as i64))];
    columns.extend((0..FEATURES).map(|n| {
        Arc::new(Float64Array::from_iter_values((0..rows).map(|row| value(row, n)))) as ArrayRef
    }));
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns)?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

/// What a store must hold.
pub struct Expected {
    schema: Schema,
    shape: KeyShape,
}

impl Expected {
    /// Of this view.
    pub fn of(name: &str) -> Result<Self> {
        let view: FeatureView = parse_view(&format!("bench/{name}.v1.json"), &config(name))
            .map_err(|problems| {
                anyhow!(
                    "{}",
                    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                )
            })?;
        Ok(Self { schema: Schema::of_view(&view)?, shape: KeyShape::new(&view) })
    }

    /// Where a row is.
    pub fn key(&self, row: usize) -> Result<RowKey> {
        Ok(self.shape.encode(&[KeyValue::Int64(row as i64)])?)
    }

    /// The rows' bytes, in their order.
    pub fn encoded(&self, rows: usize) -> Result<Vec<Row>> {
        let mut encoder = RowEncoder::new(&self.schema);
        (0..rows)
            .map(|row| {
                let values: Vec<Option<ValueRef<'_>>> =
                    (0..FEATURES).map(|n| Some(ValueRef::Float64(value(row, n)))).collect();
                Ok(encoder.encode(Lane::Batch, &values)?)
            })
            .collect()
    }

    /// Fails where a row's values are others.
    pub fn check(&self, row: usize, found: &Row) -> Result<()> {
        let reader = found.reader(&self.schema)?;
        for n in 0..FEATURES {
            let found = reader.get(n)?.with_context(|| format!("row {row} has no f{n:02}"))?;
            ensure!(
                found == ValueRef::Float64(value(row, n)),
                "row {row} has another f{n:02}: {found:?}"
            );
        }
        Ok(())
    }
}
