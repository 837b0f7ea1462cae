//! What a backfill would do, and to whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Serialize;
use sha2::{Digest, Sha256};
use trivium_api::ApiError;
use trivium_model::{FeatureView, Owner, Timestamp, ViewRef};
use trivium_offline::{Lake, Layer, Partition, Period, periods, periods_read, schedule};
use trivium_registry::{Snapshot, StoredView};
use trivium_sql::{AuthorQuery, publish::lookback_periods};

use super::journal::Finished;
use crate::{
    args_author::BackfillArgs,
    failure::{self, Failure},
    output, parts,
    project::Project,
    sources::Sources,
    verbs::run,
};

/// The plan of a backfill.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The view.
    pub view: String,
    /// A hash of all that decides about the view's rows.
    pub definition: String,
    /// The first period.
    pub from: String,
    /// The last period.
    pub to: String,
    /// Periods of the range.
    pub periods: usize,
    /// Those that are published already.
    pub published: Vec<String>,
    /// Those that are not.
    pub missing: Vec<String>,
    /// Those that this definition has finished in an earlier go: not run.
    pub finished: Vec<String>,
    /// How many rows the SQL will give, by what the partitions around have; null where there are none.
    pub estimated_rows: Option<u64>,
    /// Published periods behind the range that look back on it: published again.
    pub behind: Vec<String>,
    /// Who reads the view.
    pub read_by: Readers,
    /// What was made from the periods that change, and is to be run again by its owners.
    pub downstream: Vec<Downstream>,
    /// Whether it is served online.
    pub online: bool,
    /// Partitions that may have to be loaded online again.
    pub to_load: usize,
    /// The first period and the last.
    #[serde(skip)]
    pub range: (Period, Period),
    /// What is run.
    #[serde(skip)]
    pub to_run: Vec<Period>,
    /// Where the journal is.
    #[serde(skip)]
    pub journal: PathBuf,
    /// Whether the journal is begun anew.
    #[serde(skip)]
    pub is_new: bool,
}

/// Periods of a view that read what a backfill changes.
#[derive(Debug, Serialize)]
pub struct Downstream {
    /// The view.
    pub view: String,
    /// Its published periods, oldest first.
    pub published: Vec<String>,
    /// When the first of them begins.
    pub from: String,
    /// When the last of them begins.
    pub to: String,
}

/// Who reads a view.
#[derive(Debug, Serialize)]
pub struct Readers {
    /// Feature services.
    pub services: Vec<String>,
    /// Views whose SQL reads the view's partitions.
    pub views: Vec<String>,
}

impl Plan {
    /// Looks at the lake and the journal; changes nothing.
    pub fn make(
        project: &Project,
        snapshot: &Snapshot,
        stored: &StoredView,
        args: &BackfillArgs,
    ) -> Result<Self, Failure> {
        let view = &stored.view;
        let reference = view.reference();
        let offline = |error: trivium_offline::Error| failure::offline(&error);
        let now = Timestamp(project.data_clock().now_micros());
        let (from, to) = run::range(view, Some(args.from), Some(args.to), now)?;
        let range = periods(schedule(view).map_err(offline)?, from, to).map_err(offline)?;
        let (Some(first), Some(last)) = (range.first().copied(), range.last().copied()) else {
            return Err(ApiError::internal("a range without periods").into());
        };
        let lake = parts::lake(project);
        let by_period = |layer| -> Result<BTreeMap<Timestamp, Partition>, Failure> {
            let found = lake.all_partitions(&reference, layer).map_err(offline)?;
            Ok(found.into_iter().map(|one| (one.period.start, one)).collect())
        };
        let (raw, published) = (by_period(Layer::Raw)?, by_period(Layer::Published)?);

        let definition = definition(stored)?;
        let name = |period: Period| -> String {
            let folder = period.folder();
            folder.split_once('=').map_or(folder.clone(), |(_, name)| name.to_owned())
        };
        let journal =
            project.data_dir.join("backfills").join(view.namespace.as_str()).join(format!(
                "{}.v{}.{}.{}.{}.jsonl",
                view.name,
                view.version,
                name(first),
                name(last),
                definition.get(..16).unwrap_or(&definition),
            ));
        let journaled = Finished::read(&journal)?;
        // What `--again` has begun it goes on with, or a kill would send it back for ever.
        let is_new = args.again && (journaled.is_complete || !journaled.is_again);
        // Airflow runs all of them: the journal is of runs here.
        let is_journaled = args.airflow.is_none();
        let is_finished = |period: &Period| {
            let hash = journaled.periods.get(&period.folder());
            is_journaled
                && !is_new
                && published.contains_key(&period.start)
                && hash.is_some_and(|hash| {
                    raw.get(&period.start).is_some_and(|one| one.pointer.content_hash == *hash)
                })
        };
        let (finished, mut to_run): (Vec<Period>, Vec<Period>) =
            range.iter().partition(|period| is_finished(period));
        // Killed after the last period of the range and before what is behind it: the last one
        // again leads there.
        if to_run.is_empty() && (is_new || !journaled.is_complete) {
            to_run.push(last);
        }
        let lookback = i64::from(lookback_periods(view));
        let behind: Vec<String> = published
            .range(last.end..last.shifted(lookback + 1).start)
            .map(|(_, partition)| partition.period.folder())
            .collect();
        let reading = reading_views(snapshot, &project.sources, &reference);
        let changing: BTreeSet<Period> = match to_run.is_empty() {
            true => BTreeSet::new(),
            false => to_run
                .iter()
                .copied()
                .chain((1..=lookback).map(|later| last.shifted(later)))
                .filter(|period| to_run.contains(period) || published.contains_key(&period.start))
                .collect(),
        };
        let downstream = downstream(&lake, view, &reading, &changing)?;
        let folders = |is_published: bool| -> Vec<String> {
            range
                .iter()
                .filter(|period| published.contains_key(&period.start) == is_published)
                .map(Period::folder)
                .collect()
        };
        let to_load = if to_run.is_empty() { 0 } else { to_run.len() + behind.len() };
        Ok(Self {
            view: reference.to_string(),
            definition,
            from: first.folder(),
            to: last.folder(),
            periods: range.len(),
            published: folders(true),
            missing: folders(false),
            finished: finished.iter().map(Period::folder).collect(),
            estimated_rows: estimate(&raw, &to_run),
            behind: if to_run.is_empty() { Vec::new() } else { behind },
            read_by: Readers {
                services: snapshot
                    .readers(&reference)
                    .map(|stored| stored.service.reference().to_string())
                    .collect(),
                views: reading.iter().map(|stored| stored.view.reference().to_string()).collect(),
            },
            downstream,
            online: view.online,
            to_load: if view.online { to_load } else { 0 },
            range: (first, last),
            to_run,
            journal,
            is_new,
        })
    }

    /// What is run, as ranges without gaps: first and last period of each.
    pub fn segments(&self) -> Vec<(Period, Period)> {
        let mut segments: Vec<(Period, Period)> = Vec::new();
        for period in &self.to_run {
            match segments.last_mut() {
                Some((_, last)) if last.end == period.start => *last = *period,
                _ => segments.push((*period, *period)),
            }
        }
        segments
    }

    /// For people.
    pub fn print(&self, args: &BackfillArgs) {
        output::line(format!(
            "{} {}: {} periods, {} to {}",
            output::paint(output::GOOD, "backfill"),
            output::paint(output::STRONG, &self.view),
            self.periods,
            self.from,
            self.to,
        ));
        let fact = |name: &str, value: String| {
            let name = output::paint(output::FAINT, format!("{:<17}", format!("{name}:")));
            output::line(format!("  {name} {value}"));
        };
        let listed = |periods: &[String]| match periods {
            [] => "none".to_owned(),
            [only] => format!("1 ({only})"),
            [first, .., last] => format!("{} ({first} … {last})", periods.len()),
        };
        fact("published already", listed(&self.published));
        fact("missing", listed(&self.missing));
        if !self.finished.is_empty() {
            fact(
                "finished before",
                format!(
                    "{}, by this definition: skipped (--again runs them)",
                    listed(&self.finished)
                ),
            );
        }
        let rows = match self.estimated_rows {
            Some(rows) => format!("about {rows}, by the partitions around"),
            None => "unknown: no partition is there to judge by".to_owned(),
        };
        fact("rows from SQL", rows);
        if !self.behind.is_empty() {
            let behind = listed(&self.behind);
            fact("behind the range", format!("{behind}: looked back on it, published again"));
        }
        let readers: Vec<&str> =
            self.read_by.services.iter().chain(&self.read_by.views).map(String::as_str).collect();
        let readers = if readers.is_empty() { "nobody".to_owned() } else { readers.join(", ") };
        fact("read by", readers);
        for one in &self.downstream {
            fact(
                "made from it",
                format!(
                    "{} {}: afterwards `trivium backfill {} --from {} --to {} --again`",
                    one.view,
                    listed(&one.published),
                    one.view,
                    one.from,
                    one.to,
                ),
            );
        }
        let load = match (self.online, args.materialize) {
            (false, _) => "not served online".to_owned(),
            (true, true) => format!("up to {} partitions, loaded at the end", self.to_load),
            (true, false) => format!(
                "up to {} partitions to load afterwards: `trivium materialize {}`",
                self.to_load, self.view
            ),
        };
        fact("online", load);
        if self.to_run.is_empty() {
            output::line(format!(
                "{} all of it is finished by this definition; --again runs it anyhow",
                output::paint(output::GOOD, "nothing to run:")
            ));
        }
    }
}

/// A hash of the SQL and of all in the config that decides about rows and their publication; not of
/// what only people read.
fn definition(stored: &StoredView) -> Result<String, Failure> {
    let mut view = stored.view.clone();
    let nobody = Owner { team: String::new(), contact: String::new() };
    (view.description, view.owner, view.urgency_tier) = (String::new(), nobody, 0);
    view.tags.clear();
    for feature in &mut view.features {
        (feature.description, feature.owner) = (String::new(), None);
        feature.tags.clear();
    }
    for entity in &mut view.entities {
        entity.description = None;
    }
    let mut hasher = Sha256::new();
    let text = serde_json::to_vec(&view).map_err(|error| {
        ApiError::internal(format!("the definition of {}: {error}", view.reference()))
    })?;
    hasher.update(text);
    hasher.update([0]);
    hasher.update(stored.sql_text.as_deref().unwrap_or_default());
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the partitions of the periods themselves have, or those nearest to them on both sides.
fn estimate(raw: &BTreeMap<Timestamp, Partition>, to_run: &[Period]) -> Option<u64> {
    let rows = |partition: &Partition| partition.pointer.rows as f64;
    let of_period = |period: &Period| {
        let before = raw.range(..=period.start).next_back();
        if let Some((start, partition)) = before
            && *start == period.start
        {
            return Some(rows(partition));
        }
        let before = before.map(|(_, partition)| rows(partition));
        let after = raw.range(period.start..).next().map(|(_, partition)| rows(partition));
        match (before, after) {
            (Some(before), Some(after)) => Some(f64::midpoint(before, after)),
            (one, other) => one.or(other),
        }
    };
    to_run.iter().map(of_period).sum::<Option<f64>>().map(|rows| rows.round() as u64)
}

/// Views whose SQL reads the view's partitions.
fn reading_views<'s>(
    snapshot: &'s Snapshot,
    sources: &Sources,
    view: &ViewRef,
) -> Vec<&'s StoredView> {
    let is_read = |stored: &&StoredView| {
        let text = stored.sql_text.as_deref().unwrap_or_default();
        AuthorQuery::parse("accepted", text)
            .is_ok_and(|query| query.tables().iter().any(|name| sources.view(name) == Some(view)))
    };
    snapshot.views.values().map(|stored| &**stored).filter(is_read).collect()
}

/// The published periods of these views that read one of those that change.
fn downstream(
    lake: &Lake,
    view: &FeatureView,
    reading: &[&StoredView],
    changing: &BTreeSet<Period>,
) -> Result<Vec<Downstream>, Failure> {
    let offline = |error: trivium_offline::Error| failure::offline(&error);
    let upstream = schedule(view).map_err(offline)?;
    let mut found = Vec::new();
    for stored in reading {
        let reference = stored.view.reference();
        let reads = |period: &Period| {
            periods_read(upstream, *period).iter().any(|one| changing.contains(one))
        };
        let mut made = lake.all_partitions(&reference, Layer::Published).map_err(offline)?;
        made.retain(|partition| reads(&partition.period));
        if let (Some(first), Some(last)) = (made.first(), made.last()) {
            found.push(Downstream {
                view: reference.to_string(),
                from: first.period.start.to_string(),
                to: last.period.start.to_string(),
                published: made.iter().map(|partition| partition.period.folder()).collect(),
            });
        }
    }
    Ok(found)
}
