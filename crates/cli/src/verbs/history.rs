//! `trivium history`

mod place;

use std::{fs::File, io::Cursor, path::Path, sync::Arc, time::Instant};

use arrow::{
    csv::{ReaderBuilder, reader::Format},
    datatypes::{DataType as Arrow, Field, Schema, SchemaRef, TimeUnit},
    ipc::{reader::StreamReader, writer::StreamWriter},
    record_batch::RecordBatch,
};
use futures::{StreamExt, stream};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use trivium_api::ApiError;
use trivium_engine::Source;
use trivium_model::{DataType, FeatureView, KeyType, ServiceInput, ServiceRef};
use trivium_offline::{
    History, HistoryQuery, Selection, TrainingSet, columns::arrow_type, history::write_parquet,
};

use crate::{
    args::{Global, HistoryArgs, Output},
    catalog::Catalog,
    failure::{self, Failure},
    grpc, output, parts,
    project::Project,
    target::{self, Address},
};

/// Makes the training set.
pub async fn run(global: &Global, args: &HistoryArgs) -> Result<(), Failure> {
    let started = Instant::now();
    // Before the join: it may take long, and would be lost.
    let out = place::of_training_set(&args.out, &args.entities)?;
    let (set, columns) = match target::address(global)? {
        Some(Address::Rest(base) | Address::Grpc(base)) => remote(&base, global, args).await?,
        None => local(global, args).await?,
    };
    let rows = write_parquet(set, &out).await.map_err(|error| failure::offline(&error))?;
    let seconds = started.elapsed().as_secs_f64();
    match global.output {
        Output::Json => output::json(
            &json!({ "out": args.out.display().to_string(), "rows": rows, "columns": columns, "seconds": seconds }),
        ),
        Output::Table => output::line(format!(
            "{} {}: {rows} rows, {columns} columns, {seconds:.1} s",
            output::paint(output::GOOD, "wrote"),
            args.out.display()
        )),
    }
    Ok(())
}

async fn local(global: &Global, args: &HistoryArgs) -> Result<(TrainingSet, usize), Failure> {
    let project = Project::find(global)?;
    let snapshot = Arc::new(parts::snapshot(&project).await?);
    let catalog = Catalog::from(&*snapshot);
    let (_, views) = catalog.select(&[], &args.features, args.service.as_deref())?;
    let query = HistoryQuery {
        selection: selection(args),
        frame: frame(args, &views, inputs(&catalog, args))?,
        event_timestamp: args.event_timestamp.clone(),
        full_names: false,
    };
    let history = History::new(parts::engine()?, parts::lake(&project), snapshot);
    let set = history.join(query).await.map_err(|error| failure::offline(&error))?;
    let columns = set.schema.fields().len();
    Ok((set, columns))
}

fn selection(args: &HistoryArgs) -> Selection {
    let features =
        args.features.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    Selection { features: features.collect(), service: args.service.clone() }
}

/// Sends the frame, and reads the answer as it comes.
async fn remote(
    base: &str,
    global: &Global,
    args: &HistoryArgs,
) -> Result<(TrainingSet, usize), Failure> {
    let client = grpc::Client::connect(base, global).await?;
    let catalog = client.catalog().await?;
    let (_, views) = catalog.select(&[], &args.features, args.service.as_deref())?;
    let broken = |error: arrow::error::ArrowError| -> Failure {
        ApiError::invalid(error.to_string()).into()
    };
    let (schema, batches) = match frame(args, &views, inputs(&catalog, args))? {
        Source::Batches { schema, batches } => (schema, batches),
        Source::Parquet(_) => read_parquet(&args.entities)?,
        Source::Csv { .. } => return Err(ApiError::internal("a CSV frame was not read").into()),
    };
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(broken)?;
    for batch in &batches {
        writer.write(batch).map_err(broken)?;
    }
    let bytes = writer.into_inner().map_err(broken)?;
    let answer = client.history(selection(args), bytes, &args.event_timestamp).await?;
    let reader = StreamReader::try_new(Cursor::new(answer), None).map_err(broken)?;
    let schema = reader.schema();
    let rows: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(broken)?;
    let columns = schema.fields().len();
    let set = TrainingSet {
        frame_columns: batches.first().map_or(0, RecordBatch::num_columns),
        schema,
        rows: stream::iter(rows.into_iter().map(Ok)).boxed(),
        features: Vec::new(),
        types: Vec::new(),
    };
    Ok((set, columns))
}

/// What the frame of a service may have as inputs.
fn inputs<'c>(catalog: &'c Catalog, args: &HistoryArgs) -> &'c [ServiceInput] {
    let service = args.service.as_ref().and_then(|service| service.parse::<ServiceRef>().ok());
    let service = service.and_then(|service| catalog.services.get(&service));
    service.map_or(&[], |service| &service.inputs)
}

/// The entity frame. Parquet says its own types; of CSV, join keys and inputs have the definitions' types, the event
/// time is an instant, and the rest is text: a guess would make 501 of the label 00501.
fn frame(
    args: &HistoryArgs,
    views: &[&FeatureView],
    inputs: &[ServiceInput],
) -> Result<Source, Failure> {
    let path = &args.entities;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending {
        "parquet" => Ok(Source::Parquet(vec![path.clone()])),
        "csv" => {
            let keys = views.iter().flat_map(|view| &view.entities);
            let keys: Vec<(&str, KeyType)> =
                keys.map(|key| (key.name.as_str(), key.key_type)).collect();
            read_csv(path, &args.event_timestamp, &keys, inputs)
        }
        _ => Err(ApiError::invalid("the entity frame is neither .parquet nor .csv")
            .at(path.display().to_string())
            .help("write it as Parquet or CSV, and name it so")
            .into()),
    }
}

fn read_parquet(path: &Path) -> Result<(SchemaRef, Vec<RecordBatch>), Failure> {
    let file = File::open(path).map_err(|error| failure::file(path, &error))?;
    let wrong = |message: String| -> Failure {
        ApiError::invalid(message)
            .at(path.display().to_string())
            .help("is it a Parquet file?")
            .into()
    };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| wrong(error.to_string()))?;
    let schema = Arc::clone(builder.schema());
    let reader = builder.build().map_err(|error| wrong(error.to_string()))?;
    let batches = reader.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    Ok((schema, batches))
}

fn read_csv(
    path: &Path,
    event_timestamp: &str,
    keys: &[(&str, KeyType)],
    inputs: &[ServiceInput],
) -> Result<Source, Failure> {
    let open = || File::open(path).map_err(|error| failure::file(path, &error));
    let wrong = |error: arrow::error::ArrowError| -> Failure {
        ApiError::invalid(error.to_string())
            .at(path.display().to_string())
            .help("write it with a header line, instants as 2013-01-31T05:00:00Z")
            .into()
    };
    // No row is looked at: only the names count.
    let (header, _) =
        Format::default().with_header(true).infer_schema(open()?, Some(0)).map_err(wrong)?;
    let fields: Vec<Field> = header
        .fields()
        .iter()
        .map(|field| {
            let name = field.name().trim_start_matches('\u{feff}');
            let key = keys.iter().find(|(key, _)| *key == name);
            let input = inputs.iter().find(|input| *input.name == *name);
            let data_type = match key.map(|(_, key_type)| key_type) {
                _ if name == event_timestamp => instant(),
                Some(KeyType::Int64) => Arrow::Int64,
                Some(KeyType::Bool) => Arrow::Boolean,
                Some(KeyType::Date) => Arrow::Date32,
                Some(KeyType::Timestamp) => instant(),
                Some(KeyType::String | KeyType::Bytes) => Arrow::Utf8,
                None => match input.map(|input| &input.data_type) {
                    // Bytes have no one spelling in CSV: the join says that text is none.
                    None | Some(DataType::Bytes) => Arrow::Utf8,
                    Some(data_type) => arrow_type(data_type),
                },
            };
            Field::new(name, data_type, true)
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let reader =
        ReaderBuilder::new(Arc::clone(&schema)).with_header(true).build(open()?).map_err(wrong)?;
    let batches = reader.collect::<Result<_, _>>().map_err(wrong)?;
    Ok(Source::Batches { schema, batches })
}

fn instant() -> Arrow {
    Arrow::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[cfg(test)]
mod tests;
