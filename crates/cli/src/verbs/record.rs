//! `trivium record`, and what `trivium show --partitions` prints.

use axum::http::Method;
use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_model::{FeatureView, Lane, Timestamp, ViewRef};
use trivium_offline::{
    Layer, Partition,
    record::{RunFacts, record_of, sql_sha256},
};
use trivium_registry::{PartitionRecord, partition::RECORDS_MAX};
use trivium_registry_api::{
    partitions::{PartitionShape, PartitionsAnswer, RecordAnswer},
    shapes::ViewHistoryAnswer,
};
use trivium_runtime::Kind;
use trivium_sql::AuthorQuery;

use crate::{
    args::{Global, Output, RecordArgs},
    args_record::PeriodArgs,
    catalog::Catalog,
    failure::{self, Failure},
    output, parts,
    project::{Project, show_instant},
    target::{Need, Target},
    verbs::apply,
};

/// Bytes of one request: below what the registry takes.
const REQUEST_BYTES: usize = 8 << 20;
/// Partitions that are shown.
const SHOWN: usize = 50;

/// A view's forms as the registry accepted them, and its published partitions.
pub struct Published {
    /// The newest form.
    pub view: FeatureView,
    /// The newest form's SQL.
    pub sql: String,
    /// What was accepted, newest first, by the hash of its SQL.
    forms: Vec<(String, AuthorQuery)>,
    /// The partitions, oldest first.
    pub partitions: Vec<Partition>,
}

impl Published {
    /// Reads the project's lake, and asks the registry what the view is.
    pub async fn read(
        global: &Global,
        target: &Target,
        name: &str,
        periods: PeriodArgs,
    ) -> Result<Self, Failure> {
        let catalog = Catalog::ask(target).await?;
        let view = catalog.view(name)?;
        let reference = view.reference();
        if view.lane != Lane::Batch {
            return Err(ApiError::new(
                Kind::FailedPrecondition,
                format!("{reference} is not a batch view"),
            )
            .at(name)
            .help("only batch views have partitions")
            .into());
        }
        let path = format!("/v1/feature-views/{}", name.replace('@', "/"));
        let answer: ViewHistoryAnswer = target.ask(Method::GET, &path, None).await?;
        let texts: Vec<String> =
            answer.revisions.into_iter().rev().filter_map(|form| form.sql).collect();
        // What an older release accepted and this one cannot read says nothing of where columns come from.
        let forms = texts.iter().filter_map(|text| {
            let query = AuthorQuery::parse(&format!("{reference} (SQL)"), text).ok()?;
            Some((sql_sha256(text), query))
        });
        let forms = forms.collect();
        let sql = texts.into_iter().next().unwrap_or_default();
        let project = Project::find(global)?;
        let partitions = find(&project, &reference, periods)?;
        Ok(Self { view: view.clone(), sql, forms, partitions })
    }

    /// What the registry is told of a partition.
    pub fn record(
        &self,
        partition: &Partition,
        facts: &RunFacts,
    ) -> Result<PartitionRecord, Failure> {
        let made_by = &partition.pointer.source.sql_sha256;
        let query = self.forms.iter().find(|(hash, _)| hash == made_by).map(|(_, query)| query);
        record_of(&self.view, query, partition, facts).map_err(|error| failure::offline(&error))
    }
}

fn find(project: &Project, view: &ViewRef, periods: PeriodArgs) -> Result<Vec<Partition>, Failure> {
    let PeriodArgs { date, from, to } = periods;
    let first = date.or(from).map_or(Timestamp(i64::MIN), |at| at.0);
    let last = date.or(to).map_or(Timestamp(i64::MAX), |at| at.0);
    if last < first {
        return Err(ApiError::invalid("the range ends before it begins")
            .at("--to")
            .help("name a period at or after --from; both are included")
            .into());
    }
    let after = Timestamp(last.0.saturating_add(1));
    let found = parts::lake(project)
        .partitions(view, Layer::Published, first..after)
        .map_err(|error| failure::offline(&error))?;
    if found.is_empty() {
        let which = match (date, from, to) {
            (Some(date), ..) => format!("no partition of {view} that begins at {}", date.0),
            (None, None, None) => format!("no partition of {view}"),
            _ => format!("no partition of {view} between --from and --to"),
        };
        return Err(ApiError::not_found(format!("{which} is published"))
            .at(parts::lake(project).view_folder(view).display().to_string())
            .help("`trivium run` publishes partitions")
            .into());
    }
    Ok(found)
}

/// Records partitions that are published.
pub async fn run(global: &Global, args: &RecordArgs) -> Result<(), Failure> {
    let target = Target::open_quietly(global, Need::Registry).await?;
    let published = Published::read(global, &target, &args.view, args.periods).await?;
    let facts = RunFacts {
        run: args.run_id.clone(),
        started: args.started.map(|at| at.0),
        finished: args.finished.map(|at| at.0),
    };
    let author = args.author.clone().unwrap_or_else(apply::author);
    let mut told = Vec::new();
    let mut waiting = Waiting::default();
    for partition in &published.partitions {
        let record = published.record(partition, &facts)?;
        if waiting.is_full() {
            waiting.send(&target, &author, &mut told).await?;
        }
        waiting.push(partition.period.folder(), record)?;
    }
    waiting.send(&target, &author, &mut told).await?;
    match global.output {
        Output::Json => {
            let partitions: Vec<Json> = told
                .iter()
                .map(|(period, revision, outcome)| {
                    json!({ "period": period, "revision": revision, "outcome": outcome })
                })
                .collect();
            output::json(&json!({ "view": published.view.reference(), "partitions": partitions }));
        }
        Output::Table => {
            let count = |wanted: &str| told.iter().filter(|(.., one)| one == wanted).count();
            output::line(format!(
                "{} {}: {} partitions recorded, {} known already, {} older than what is known",
                output::paint(output::GOOD, "recorded"),
                published.view.reference(),
                count("RECORDED"),
                count("UNCHANGED"),
                count("SUPERSEDED"),
            ));
        }
    }
    Ok(())
}

/// Records on their way to the registry.
#[derive(Default)]
struct Waiting {
    periods: Vec<(String, u64)>,
    records: Vec<Json>,
    bytes: usize,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX || self.bytes >= REQUEST_BYTES
    }

    fn push(&mut self, period: String, record: PartitionRecord) -> Result<(), Failure> {
        self.periods.push((period, record.revision));
        let shape = serde_json::to_value(PartitionShape::from(record))
            .map_err(|error| ApiError::internal(error.to_string()))?;
        self.bytes += shape.to_string().len();
        self.records.push(shape);
        Ok(())
    }

    async fn send(
        &mut self,
        target: &Target,
        author: &str,
        told: &mut Vec<(String, u64, String)>,
    ) -> Result<(), Failure> {
        let Self { periods, records, .. } = std::mem::take(self);
        if records.is_empty() {
            return Ok(());
        }
        let body = json!({ "partitions": records, "author": author });
        let answer: RecordAnswer = target.ask(Method::POST, "/v1/partitions", Some(&body)).await?;
        let pairs = periods.into_iter().zip(answer.outcomes);
        told.extend(pairs.map(|((period, revision), outcome)| (period, revision, outcome)));
        Ok(())
    }
}

/// Prints the newest recorded partitions of a view.
pub async fn list(global: &Global, target: &Target, view: &FeatureView) -> Result<(), Failure> {
    let reference = view.reference();
    let path = format!("/v1/partitions?view={reference}&limit={SHOWN}");
    let answer: PartitionsAnswer = target.ask(Method::GET, &path, None).await?;
    if global.output == Output::Json {
        output::json(&answer);
        return Ok(());
    }
    if answer.partitions.is_empty() {
        output::line(format!(
            "no partition of {reference} is recorded: `trivium record {reference}`"
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = answer
        .partitions
        .iter()
        .map(|one| {
            let failed = one.quality.iter().filter(|check| !check.passed).count();
            let checks = match (one.quality.len(), failed) {
                (0, _) => "none".to_owned(),
                (all, 0) => format!("{all} passed"),
                (all, failed) => format!("{failed} of {all} failed"),
            };
            vec![
                show_instant(Timestamp(one.start_micros)),
                one.revision.to_string(),
                one.rows.to_string(),
                checks,
                one.engine.clone(),
                show_instant(Timestamp(one.finished_micros)),
                one.author.clone(),
            ]
        })
        .collect();
    let headings = ["period", "revision", "rows", "checks", "engine", "published", "recorded by"];
    output::table(&headings, &rows, |_, column, cell| {
        if column == 3 && cell.ends_with("failed") { output::WARN } else { output::plain(0, 0, "") }
    });
    if answer.next.is_some() {
        output::note(format!("older ones: `--output json`, or GET {path}&after=…"));
    }
    Ok(())
}
