//! A run taken apart, for engines that are not in this process: what to ask an engine, and what to
//! make of its answers.
//!
//! The steps of a period D, in order:
//! 1. [`Steps::extraction`]: the author's SQL and the query of the checks;
//! 2. [`Steps::check`]: holds the rows against the config and judges the checks. Writes nothing: what
//!    fails here leaves the raw and the published partition as they are;
//! 3. [`Steps::publish_raw`]: switches the raw partition of D;
//! 4. [`Steps::publications`]: the publish SQL of D, and of what is published behind it already;
//! 5. [`Steps::publish`]: switches the published partitions.
//!
//! Each can be done again at any time: what is there already is not written again. Nothing is
//! locked between steps, so another run may come in between; step 5 knows it by the hash of the inputs.
//! What that run changed behind D, that run publishes; a change of what D itself looks back on is an error, and the
//! period is to be run again from step 4.
//!
//! [`super::Runner`] does the same with an engine in process, and gives the same partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use arrow::record_batch::RecordBatch;
use trivium_model::{FeatureView, Lane};
use trivium_sql::{AuthorQuery, publish::lookback_periods};

use super::{
    RawRows,
    extract::{accept, judge, raw_rows, sql_period},
    publish, sha256, write,
};
use crate::{
    CheckResult, Error, Lake, Layer, Partition, Period,
    lake::{RunSource, Staging},
    period, schedule,
};

/// The steps of one view's runs.
#[derive(Debug, Clone)]
pub struct Steps {
    lake: Lake,
    view: Arc<FeatureView>,
    query: Arc<AuthorQuery>,
    engine_name: String,
}

/// What to ask an engine for a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// The author's SQL, rendered.
    pub sql: String,
    /// The query of the checks, over its rows as the table [`trivium_sql::STAGED`].
    pub quality_sql: String,
}

/// A period's rows, held against the config, whose checks have passed.
#[derive(Debug, Clone)]
pub struct Checked {
    raw: RawRows,
}

impl Checked {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.raw.rows.num_rows()
    }
    /// The hash of the rows, as the raw partition's pointer has it.
    pub fn content_hash(&self) -> &str {
        &self.raw.content_hash
    }
    /// What the checks found: all of them, those that only warn too.
    pub fn quality(&self) -> &[CheckResult] {
        &self.raw.quality
    }
}

/// A published partition to make.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Publication {
    /// Its period.
    pub period: Period,
    /// The publish SQL, over the raw rows as the table [`trivium_sql::RAW`].
    pub sql: String,
    /// The files of the raw partitions that it looks back on.
    pub raw_files: Vec<PathBuf>,
    /// The hash of the SQL and these partitions.
    pub inputs_sha256: String,
}

/// What was published.
#[derive(Debug, Clone, Default)]
pub struct PublishReport {
    /// Partitions that changed.
    pub changed: Vec<Partition>,
    /// Periods whose partitions already said the same.
    pub unchanged: Vec<Period>,
    /// Periods behind the run's own that another run changed meanwhile, and publishes.
    pub left: Vec<Period>,
}

/// Raw partitions by their periods.
type RawPartitions = BTreeMap<Period, Partition>;

impl Steps {
    /// The steps of a view, into this lake; the engine's name is for the pointers.
    pub fn new(
        lake: Lake,
        view: Arc<FeatureView>,
        query: Arc<AuthorQuery>,
        engine_name: &str,
    ) -> Result<Self, Error> {
        if view.lane != Lane::Batch {
            return Err(Error::invalid(
                "view",
                format!("{} is no batch view", view.reference()),
                "only batch views are run; others get their rows by Put or from a stream",
            ));
        }
        Ok(Self { lake, view, query, engine_name: engine_name.to_owned() })
    }

    /// The view.
    pub fn view(&self) -> &Arc<FeatureView> {
        &self.view
    }

    /// What to ask for a period of the view's schedule.
    pub fn extraction(&self, period: Period) -> Result<Extraction, Error> {
        period::periods(schedule(&self.view)?, period.start, period.end)?;
        let within = sql_period(period)?;
        Ok(Extraction {
            sql: self.query.render(&within),
            quality_sql: trivium_sql::quality_sql(&self.view, &within).sql,
        })
    }

    /// Holds rows against the config, and the row of the quality query against the checks.
    pub fn check(
        &self,
        period: Period,
        rows: &[RecordBatch],
        quality: &[RecordBatch],
    ) -> Result<Checked, Error> {
        let query = trivium_sql::quality_sql(&self.view, &sql_period(period)?);
        let results = judge(&self.view, period, &query, quality)?;
        let rows = accept(&self.view, period, rows)?;
        Ok(Checked { raw: raw_rows(&self.view, period, &rows, results)? })
    }

    /// Switches the raw partition; `None` where it already says the same.
    pub fn publish_raw(&self, checked: &Checked) -> Result<Option<Partition>, Error> {
        let _lock = write::lock(&self.lake, &self.view)?;
        let RawRows { period, rows, quality, .. } = &checked.raw;
        let staged = self.lake.stage(Staging {
            view: &self.view,
            layer: Layer::Raw,
            period: *period,
            rows,
            quality: quality.clone(),
            source: self.source(),
        })?;
        Ok(self.lake.commit(staged.into_iter().collect())?.pop())
    }

    /// The published partitions that the raw ones of these periods have a part in and that are not made
    /// from what is there now: their own, and those behind them that are published already, oldest first.
    pub fn publications(&self, own: &[Period]) -> Result<Vec<Publication>, Error> {
        let behind = i64::from(lookback_periods(&self.view));
        let reached: BTreeSet<Period> =
            own.iter().flat_map(|one| (0..=behind).map(|later| one.shifted(later))).collect();
        let raw = self.raw_behind(&reached)?;
        let mut found = Vec::new();
        for one in reached {
            let known = self.lake.partition(&self.view.reference(), Layer::Published, one)?;
            if known.is_none() && !own.contains(&one) {
                continue;
            }
            let Some(publication) = self.publication(one, &raw)? else { continue };
            let same =
                |known: &Partition| known.pointer.source.inputs_sha256 == publication.inputs_sha256;
            if !known.as_ref().is_some_and(same) {
                found.push(publication);
            }
        }
        Ok(found)
    }

    /// The raw partitions that these periods look back on, their own too. Each pointer is read once,
    /// however many periods look back on it.
    fn raw_behind(&self, periods: &BTreeSet<Period>) -> Result<RawPartitions, Error> {
        let back = i64::from(lookback_periods(&self.view));
        let wanted: BTreeSet<Period> =
            periods.iter().flat_map(|one| (0..=back).map(|by| one.shifted(-by))).collect();
        let mut found = RawPartitions::new();
        // By name: a listing would meet the folder of every period that there ever was.
        for one in wanted {
            let raw = self.lake.partition(&self.view.reference(), Layer::Raw, one)?;
            found.extend(raw.map(|raw| (one, raw)));
        }
        Ok(found)
    }

    /// How the published partition of a period is made from these raw ones; `None` without that of the
    /// period itself.
    fn publication(
        &self,
        period: Period,
        raw: &RawPartitions,
    ) -> Result<Option<Publication>, Error> {
        if raw.get(&period).is_none_or(|raw| raw.period != period) {
            return Ok(None);
        }
        let sql = trivium_sql::publish_sql(&self.view, &sql_period(period)?);
        let oldest = period.shifted(-i64::from(lookback_periods(&self.view)));
        let raw = || raw.range(oldest..=period).map(|(_, raw)| raw);
        let hashes = raw().map(|raw| (raw.period, raw.pointer.content_hash.as_str()));
        let inputs_sha256 = publish::inputs_hash(&sql, hashes);
        let raw_files = raw().flat_map(Partition::files).collect();
        Ok(Some(Publication { period, sql, raw_files, inputs_sha256 }))
    }

    /// Switches published partitions, oldest first. `own` are the run's own periods.
    pub fn publish(
        &self,
        own: &[Period],
        made: &[(Publication, Vec<RecordBatch>)],
    ) -> Result<PublishReport, Error> {
        let _lock = write::lock(&self.lake, &self.view)?;
        let raw = self.raw_behind(&made.iter().map(|(one, _)| one.period).collect())?;
        let mut report = PublishReport::default();
        let mut staged = Vec::new();
        for (publication, batches) in made {
            let period = publication.period;
            let now = self.publication(period, &raw)?;
            if now.is_none_or(|now| now.inputs_sha256 != publication.inputs_sha256) {
                if !own.contains(&period) {
                    report.left.push(period);
                    continue;
                }
                return Err(write::changed(&self.view, period));
            }
            let rows = publish::accept(&self.view, period, batches)?;
            let next = self.lake.stage(Staging {
                view: &self.view,
                layer: Layer::Published,
                period,
                rows: &rows,
                quality: raw
                    .get(&period)
                    .map(|raw| raw.pointer.quality.clone())
                    .unwrap_or_default(),
                source: RunSource {
                    inputs_sha256: publication.inputs_sha256.clone(),
                    ..self.source()
                },
            })?;
            match next {
                None => report.unchanged.push(period),
                Some(next) => staged.push(next),
            }
        }
        report.changed = self.lake.commit(staged)?;
        Ok(report)
    }

    fn source(&self) -> RunSource {
        RunSource {
            sql_sha256: sha256(self.query.text().as_bytes()),
            engine: self.engine_name.clone(),
            inputs_sha256: String::new(),
        }
    }
}
