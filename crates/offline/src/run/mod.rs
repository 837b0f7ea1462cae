//! Running a view: the author's SQL by period, then publication.
//!
//! For each period D of the range, in order:
//! 1. the author's SQL, rendered for D, runs on the engine; its rows must have the config's columns,
//!    no null in a join key or event time, no event time after D's end (that would leak the future
//!    into training sets), and no value that could not be shown or served;
//! 2. the quality checks run on those rows. A failed `error` check ends the run: D keeps its old raw
//!    and published partitions, what came before D stays done;
//! 3. the rows become the raw partition of D;
//! 4. the publish SQL (carryover, windows) runs over raw D−k … D and gives the published partition.
//!
//! After the range come those of the k periods behind it that are published already, because they
//! look back on what may have changed.
//!
//! Published D is a pure function of raw D−k … D and the view, and its pointer names a hash of
//! exactly these inputs: where it still holds, step 4 is skipped, and where a crash came between a
//! raw switch and a later published one, the same command finds and mends it. There is no other
//! state: to resume is to run again.
//!
//! The view is locked while a group is written, and not between groups: other runs of it come in
//! between, as they do between [`steps`]. What one of them changed of what this run looked back on is
//! found by the hash of the inputs, under the lock, and is an error, because the period would be
//! published from rows that are no more; what it changed behind the range it publishes itself. What stands behind
//! the range is read when the range is done, so that nothing is missed that came to stand there meanwhile.
//!
//! Author queries and publications of several periods run at once; partitions are switched in the
//! order of their periods, in groups ([`RunOptions::group_periods`]), so that the outcome does not
//! depend on how many run at once.

mod extract;
mod preview;
mod publish;
mod sketches;
pub mod steps;
mod values;
mod write;

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;
use trivium_engine::{QueryEngine, Table};
use trivium_model::{FeatureView, Lane, Timestamp};
use trivium_runtime::Shutdown;
use trivium_sql::AuthorQuery;

use self::write::Written;
use crate::{
    CheckResult, Error, Lake, Layer, Partition, Period, lake::RunSource, periods, schedule,
};

pub use preview::Preview;

/// How to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Periods whose queries run at once, at least 1.
    pub parallel: usize,
    /// Periods whose partitions are made durable together: what a crash can lose, and what a wait
    /// for the disk is shared by.
    pub group_periods: usize,
    /// The engine's name, for the pointers.
    pub engine_name: String,
    /// Ends the run between groups.
    pub shutdown: Shutdown,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            parallel: 2,
            group_periods: 32,
            engine_name: "datafusion".to_owned(),
            shutdown: Shutdown::new(),
        }
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The view, checked.
    pub view: Arc<FeatureView>,
    /// Its SQL, checked against it.
    pub query: Arc<AuthorQuery>,
    /// The tables that the SQL reads.
    pub tables: Vec<Table>,
    /// Start of the first period.
    pub from: Timestamp,
    /// End of the last period.
    pub to: Timestamp,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunReport {
    /// Periods of the range.
    pub periods: usize,
    /// Rows that the author's SQL gave.
    pub raw_rows: u64,
    /// Raw partitions that changed.
    pub raw_changed: usize,
    /// Published partitions that changed; those behind the range too.
    pub published_changed: usize,
    /// Rows in the published partitions that changed.
    pub published_rows: u64,
    /// Published partitions that already said the same.
    pub unchanged: usize,
    /// Failed checks with severity `warn`: the period's folder and the check.
    pub warnings: Vec<(String, CheckResult)>,
}

/// Is told how a run comes along. Called from the run's task: return at once.
pub trait RunProgress: Send + Sync {
    /// So many periods will be run.
    fn started(&self, periods: usize);
    /// A period's partitions are durable (or did not change).
    fn period_done(&self, period: Period, raw_rows: u64);
    /// Comes before it: the hash of the raw rows that are durable.
    fn raw_written(&self, _period: Period, _content_hash: &str) {}
    /// A check with severity `warn` failed.
    fn warned(&self, period: Period, check: &CheckResult);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl RunProgress for Silent {
    fn started(&self, _: usize) {}
    fn period_done(&self, _: Period, _: u64) {}
    fn warned(&self, _: Period, _: &CheckResult) {}
}

/// Runs views. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    engine: Arc<dyn QueryEngine>,
    lake: Lake,
    options: RunOptions,
}

/// A period's rows as the author's SQL gave them, checked and in canonical order.
#[derive(Debug, Clone)]
struct RawRows {
    period: Period,
    /// In the columns of [`crate::columns::raw_schema`].
    rows: RecordBatch,
    content_hash: String,
    /// What its checks found; empty where it was written without any.
    quality: Vec<CheckResult>,
}

/// A raw partition, in the order of periods.
enum Next {
    /// Just run.
    Fresh(RawRows),
    /// Behind the range, as it stands in the lake.
    Behind(RawRows),
}

/// One period, published but not written.
struct Published {
    raw: RawRows,
    /// Whether it was run, and does not only stand behind the range.
    is_fresh: bool,
    /// The hash of what it is made from.
    inputs: String,
    /// Its rows; `None` where the published partition had the same inputs.
    rows: Option<RecordBatch>,
}

impl Runner {
    /// Runs on this engine, into this lake.
    pub fn new(engine: Arc<dyn QueryEngine>, lake: Lake, options: RunOptions) -> Self {
        Self { engine, lake, options }
    }

    /// Runs a view over a range of periods.
    pub async fn run(
        &self,
        request: RunRequest,
        progress: &dyn RunProgress,
    ) -> Result<RunReport, Error> {
        let view = &request.view;
        let reference = view.reference();
        if view.lane != Lane::Batch {
            return Err(Error::invalid(
                "view",
                format!("{reference} is no batch view"),
                "only batch views are run; others get their rows by Put or from a stream",
            ));
        }
        let range = periods(schedule(view)?, request.from, request.to)?;
        let (Some(first), Some(last)) = (range.first().copied(), range.last().copied()) else {
            return Ok(RunReport::default());
        };
        progress.started(range.len());
        self.describe(&request, first).await?;
        let lookback = i64::from(trivium_sql::publish::lookback_periods(view));
        let (before, published) = blocking({
            let (lake, view) = (self.lake.clone(), Arc::clone(view));
            move || {
                let before = first.shifted(-lookback).start..first.start;
                let before = publish::read_raw(&lake, &view, before)?;
                Ok((before, published_inputs(&lake, &view, first.start..last.end)?))
            }
        })
        .await?;
        let mut work = Work {
            runner: self,
            request: &request,
            progress,
            lookback,
            published,
            window: before.into(),
            group: Vec::new(),
            report: RunReport { periods: range.len(), ..RunReport::default() },
        };
        work.fresh(range).await?;
        if lookback > 0 {
            work.behind(last).await?;
        }
        Ok(work.report)
    }
}

/// The inputs of each published partition, by the start of its period.
fn published_inputs(
    lake: &Lake,
    view: &FeatureView,
    starts: Range<Timestamp>,
) -> Result<HashMap<Timestamp, String>, Error> {
    let published = lake.partitions(&view.reference(), Layer::Published, starts)?;
    let inputs = |one: Partition| (one.period.start, one.pointer.source.inputs_sha256);
    Ok(published.into_iter().map(inputs).collect())
}

/// A run under way.
struct Work<'a> {
    runner: &'a Runner,
    request: &'a RunRequest,
    progress: &'a dyn RunProgress,
    lookback: i64,
    published: HashMap<Timestamp, String>,
    /// The raw partitions that the next publication may look back on, oldest first.
    window: VecDeque<RawRows>,
    /// What waits to be written, in order.
    group: Vec<Published>,
    report: RunReport,
}

impl Work<'_> {
    /// Runs and publishes the range.
    async fn fresh(&mut self, range: Vec<Period>) -> Result<(), Error> {
        let parallel = self.runner.options.parallel.max(1);
        let (runner, request) = (self.runner, self.request);
        let fresh = stream::iter(range).map(|period| {
            let (runner, request) = (runner.clone(), request.clone());
            spawn(async move { runner.extract(&request, period).await })
        });
        self.all(fresh.buffered(parallel).map(|ran| ran.map(Next::Fresh))).await
    }

    /// Publishes again what stands behind the range by now.
    async fn behind(&mut self, last: Period) -> Result<(), Error> {
        let starts = last.end..last.shifted(self.lookback + 1).start;
        let (lake, view) = (self.runner.lake.clone(), Arc::clone(&self.request.view));
        let (behind, published) = blocking(move || {
            let behind = publish::read_raw(&lake, &view, starts.clone())?;
            Ok((behind, published_inputs(&lake, &view, starts)?))
        })
        .await?;
        self.published = published;
        self.all(stream::iter(behind.into_iter().map(|raw| Ok(Next::Behind(raw))))).await
    }

    /// Publishes and writes; what came before a failure is whole, and is kept.
    async fn all(&mut self, next: impl Stream<Item = Result<Next, Error>>) -> Result<(), Error> {
        let outcome = self.publish_all(next).await;
        let flushed = self.flush().await;
        outcome.and(flushed)
    }

    async fn publish_all(
        &mut self,
        next: impl Stream<Item = Result<Next, Error>>,
    ) -> Result<(), Error> {
        let parallel = self.runner.options.parallel.max(1);
        let mut next = std::pin::pin!(next.fuse());
        let mut publishing = VecDeque::new();
        let mut failure = None;
        loop {
            while failure.is_none() && publishing.len() < parallel {
                match next.next().await {
                    None => break,
                    Some(Err(error)) => failure = Some(error),
                    Some(Ok(one)) => publishing.extend(self.publish(one)),
                }
            }
            let Some(published) = publishing.pop_front() else { break };
            self.group.push(published.await?);
            if self.group.len() >= self.runner.options.group_periods.max(1) {
                self.flush().await?;
                if self.runner.options.shutdown.is_triggered() {
                    return Err(Error::Stopped);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Puts a raw partition into the window and begins its publication, if it has one.
    fn publish(
        &mut self,
        next: Next,
    ) -> Option<impl Future<Output = Result<Published, Error>> + use<>> {
        let (raw, is_fresh) = match next {
            Next::Fresh(raw) => (raw, true),
            Next::Behind(raw) => (raw, false),
        };
        let period = raw.period;
        let oldest = period.shifted(-self.lookback).start;
        while self.window.front().is_some_and(|raw| raw.period.start < oldest) {
            self.window.pop_front();
        }
        self.window.push_back(raw.clone());
        let known = self.published.get(&period.start);
        if !is_fresh && known.is_none() {
            // Behind the range and never published: it was not asked for.
            return None;
        }
        let known = known.cloned();
        let window: Vec<RawRows> = self.window.iter().cloned().collect();
        let (runner, view) = (self.runner.clone(), Arc::clone(&self.request.view));
        Some(spawn(async move {
            let (inputs, rows) = runner.publish(&view, period, &window, known.as_deref()).await?;
            Ok(Published { raw, is_fresh, inputs, rows })
        }))
    }

    /// Writes what waits and switches its pointers.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.group.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.group);
        for one in &group {
            for check in one.raw.quality.iter().filter(|check| one.is_fresh && !check.passed) {
                self.progress.warned(one.raw.period, check);
                self.report.warnings.push((one.raw.period.folder(), check.clone()));
            }
        }
        let lake = self.runner.lake.clone();
        let view = Arc::clone(&self.request.view);
        let source = RunSource {
            sql_sha256: sha256(self.request.query.text().as_bytes()),
            engine: self.runner.options.engine_name.clone(),
            inputs_sha256: String::new(),
        };
        let Written { periods, report, conflict } =
            blocking(move || write::group(&lake, &view, &source, &group)).await?;
        self.report.raw_rows += report.raw_rows;
        self.report.raw_changed += report.raw_changed;
        self.report.published_changed += report.published_changed;
        self.report.published_rows += report.published_rows;
        self.report.unchanged += report.unchanged;
        for (period, raw_rows, content_hash) in periods {
            self.progress.raw_written(period, &content_hash);
            self.progress.period_done(period, raw_rows);
        }
        conflict.map_or(Ok(()), Err)
    }
}

/// Runs on a thread that may wait for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// Runs beside the caller; ends with it.
fn spawn<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send + 'static {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    async move { joined(task.await) }
}

fn joined<T>(outcome: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    match outcome {
        Ok(result) => result,
        Err(error) => Err(Error::Internal(format!("a task of the run died: {error}"))),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
