//! Materialization into the embedded store, beside the bare engine doing get + put of the same rows.
//!
//! Ours reads a published Parquet partition, encodes its rows and writes them through serving's
//! door, so it does all of the floor's work and more. Both run in turn, each into a fresh database,
//! both acknowledging what the death of the process cannot take back.

use std::{fs, io::Write as _, path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use arc_swap::ArcSwap;
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, TimestampMicrosecondArray, new_null_array},
    record_batch::RecordBatch,
};
use clap::Parser;
use fjall::{KeyspaceCreateOptions, PersistMode};
use trivium_codec::{KeyShape, RowEncoder, Schema, ValueRef};
use trivium_model::{FeatureView, KeyValue, Lane, Timestamp, config::parse_view};
use trivium_offline::{
    Lake, Layer, MaterializeOptions, Materializer, canonical,
    columns::{arrow_schema, published_columns},
    lake::{RunSource, Staging},
    periods,
    run::Silent,
};
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::{FixedClock, SystemClock};
use trivium_serving::{Definitions, Options, Serving, Stores};
use trivium_store_embedded::EmbeddedStore;

/// As in the `trivium` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2014-01-01T00:00:00Z
const NOW_MICROS: i64 = 1_388_534_400_000_000;

/// Compares materialization with the engine under it.
#[derive(Debug, Parser)]
struct Args {
    /// Rows of the partition, one an entity.
    #[arg(long, default_value_t = 300_000)]
    rows: usize,
    /// Features of a row, float64.
    #[arg(long, default_value_t = 10)]
    features: usize,
    /// Rounds; the table shows the median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rows of the floor's batches.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Where results are appended.
    #[arg(long, default_value = "bench/out/materialize.jsonl")]
    out: std::path::PathBuf,
}

fn view(features: usize) -> Result<FeatureView> {
    let features: Vec<serde_json::Value> = (0..features)
        .map(|n| serde_json::json!({ "name": format!("f{n:02}"), "type": "float64", "description": "A number." }))
        .collect();
    let config = serde_json::json!({
        "namespace": "bench", "name": "drivers", "version": 1, "lane": "batch",
        "description": "Rows to load.",
        "owner": { "team": "bench", "contact": "bench@example.com" },
        "urgency_tier": 3,
        "entities": [{ "name": "driver", "type": "int64" }],
        "event_timestamp": "event_ts",
        "features": features,
        "schedule": { "every": "1d", "start": "2013-12-31" },
        "online": true,
    });
    parse_view("bench/drivers.v1.json", &config.to_string()).map_err(|problems| {
        anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// The value of a feature: spread, so that nothing compresses away.
fn value(row: usize, feature: usize) -> f64 {
    let mixed = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(feature as u32 * 7);
    mixed as f64 / 1e9
}

/// Publishes one partition with so many rows.
fn publish(lake: &Lake, view: &FeatureView, rows: usize) -> Result<()> {
    let schedule = view.schedule.as_ref().context("the view has a schedule")?;
    let period = *periods(schedule, schedule.start, schedule.start.plus(schedule.every))?
        .first()
        .context("one period")?;
    let columns = published_columns(view);
    let schema = arrow_schema(&columns);
    let arrays: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "driver" => Arc::new(Int64Array::from_iter_values(0..rows as i64)) as ArrayRef,
            "event_ts" => Arc::new(
                TimestampMicrosecondArray::from_value(period.end.0, rows).with_timezone("UTC"),
            ),
            name => match name.strip_prefix('f').and_then(|n| n.parse::<usize>().ok()) {
                Some(n) => {
                    Arc::new(Float64Array::from_iter_values((0..rows).map(|row| value(row, n))))
                }
                None => new_null_array(field.data_type(), rows),
            },
        })
        .collect();
    let batch = canonical::sort(&RecordBatch::try_new(schema, arrays)?)?;
    let _lock = lake.lock(view)?;
    let staged = lake
        .stage(Staging {
            view,
            layer: Layer::Published,
            period,
            rows: &batch,
            quality: Vec::new(),
            source: RunSource::default(),
        })?
        .context("the partition is new")?;
    lake.commit(vec![staged])?;
    Ok(())
}

fn snapshot(view: &FeatureView) -> Snapshot {
    let stored = StoredView {
        view: view.clone(),
        config_text: String::new(),
        sql_text: None,
        revision: Revision(1),
        author: "bench".to_owned(),
        at: Timestamp(NOW_MICROS),
        reason: "bench".to_owned(),
    };
    let mut snapshot = Snapshot { revision: Revision(1), ..Snapshot::default() };
    snapshot.layouts.insert(view.reference(), vec![view.served_features()]);
    snapshot.views.insert(view.reference(), Arc::new(stored));
    snapshot
}

/// Rows a second of a materialization into a fresh store.
async fn ours(lake: &Lake, view: &Arc<FeatureView>, rows: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(EmbeddedStore::open(trivium_store_embedded::Options::new(folder.path()))?);
    let definitions = Arc::new(ArcSwap::from_pointee(Definitions::from_snapshot(&snapshot(view))?));
    let serving = Serving::new(
        Stores::of(store.clone()),
        definitions,
        Arc::new(FixedClock(NOW_MICROS)),
        Arc::new(SystemClock),
        Options::default(),
    );
    let materializer =
        Materializer::new(lake.clone(), Arc::new(serving), store, MaterializeOptions::default());
    let begun = Instant::now();
    let report = materializer.run(view.clone(), None, Arc::new(Silent)).await?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(report.rows_written == rows as u64, "{report:?}");
    Ok(rows as f64 / seconds)
}

/// The same keys and rows as ours writes.
fn pairs(view: &FeatureView, rows: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let schema = Schema::of_view(view)?;
    let shape = KeyShape::new(view);
    let mut encoder = RowEncoder::new(&schema);
    (0..rows)
        .map(|row| {
            let values: Vec<Option<ValueRef<'_>>> =
                (0..schema.len()).map(|n| Some(ValueRef::Float64(value(row, n)))).collect();
            let encoded = encoder.encode(Lane::Batch, &values)?;
            let key = shape.encode(&[KeyValue::Int64(row as i64)])?;
            Ok((key.as_bytes().to_vec(), encoded.as_bytes().to_vec()))
        })
        .collect()
}

/// Rows a second of get + put on the bare engine.
fn theirs(pairs: &[(Vec<u8>, Vec<u8>)], batch: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let database = fjall::Database::builder(folder.path()).open()?;
    let rows = database.keyspace("rows", KeyspaceCreateOptions::default)?;
    let begun = Instant::now();
    let mut found = 0;
    for batch in pairs.chunks(batch) {
        let mut write = database.batch().durability(Some(PersistMode::Buffer));
        for (key, row) in batch {
            found += usize::from(rows.get(key)?.is_some());
            write.insert(&rows, key.as_slice(), row.as_slice());
        }
        write.commit()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(found == 0, "the keys are distinct");
    Ok(pairs.len() as f64 / seconds)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn load1() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split(' ').next().and_then(|first| first.parse().ok()))
        .unwrap_or(f64::NAN)
}

fn append(path: &Path, line: &serde_json::Value) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    writeln!(file, "{line}")?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let view = Arc::new(view(args.features)?);
    let folder = tempfile::tempdir()?;
    let lake = Lake::new(folder.path());
    publish(&lake, &view, args.rows)?;
    let pairs = pairs(&view, args.rows)?;

    let (mut our, mut their, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    println!("{} rows x {} features, rows/s", args.rows, args.features);
    println!("{:>6} {:>12} {:>12} {:>7}", "round", "materialize", "get+put", "ratio");
    for round in 1..=args.rounds {
        let one = ours(&lake, &view, args.rows).await?;
        let other = theirs(&pairs, args.batch)?;
        println!("{round:>6} {one:>12.0} {other:>12.0} {:>7.2}", one / other);
        our.push(one);
        their.push(other);
        ratios.push(one / other);
    }
    let (our, their, ratio) = (median(our), median(their), median(ratios));
    println!("{:>6} {our:>12.0} {their:>12.0} {ratio:>7.2}", "median");
    append(
        &args.out,
        &serde_json::json!({
            "bench": "materialize", "case": format!("{}x{}", args.rows, args.features),
            "against": "get+put", "ours": our, "theirs": their, "unit": "rows/s",
            "ratio": ratio, "load1": load1(),
        }),
    )
}
