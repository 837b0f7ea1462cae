//! Writing a group of periods, under the view's lock, where what they were made from still stands.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::{Duration, Instant},
};

use trivium_model::{FeatureView, Timestamp};
use trivium_sql::publish::lookback_periods;

use super::{Published, RawRows, RunReport, extract::sql_period, publish};
use crate::{
    Error, Lake, Layer, Period,
    lake::{Lock, RunSource, Staged, Staging},
};

/// How long a switch waits for another one of the view: they take moments, a group of days with
/// millions of rows some seconds.
const LOCK_WAIT: Duration = Duration::from_secs(120);
const LOCK_LOOK: Duration = Duration::from_millis(50);

/// The right to write the view, as soon as nobody else has it.
pub(super) fn lock(lake: &Lake, view: &FeatureView) -> Result<Lock, Error> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match lake.lock(view) {
            Err(Error::Locked { .. }) if Instant::now() < until => {
                std::thread::sleep(LOCK_LOOK);
            }
            other => return other,
        }
    }
}

/// Another run changed what a period of this run is made from.
pub(super) fn changed(view: &FeatureView, period: Period) -> Error {
    Error::Overtaken { view: view.reference(), period: period.folder() }
}

/// What became of a group.
pub(super) struct Written {
    /// The periods of the range, how many raw rows each has, and their hash.
    pub periods: Vec<(Period, u64, String)>,
    /// The counts of the group.
    pub report: RunReport,
    /// Why it was not written to its end; what came before that is.
    pub conflict: Option<Error>,
}

/// Stages and commits a group.
pub(super) fn group(
    lake: &Lake,
    view: &FeatureView,
    source: &RunSource,
    group: &[Published],
) -> Result<Written, Error> {
    let _lock = lock(lake, view)?;
    let mut raw = RawHashes { lake, view, known: BTreeMap::new() };
    let mut written = Written { periods: Vec::new(), report: RunReport::default(), conflict: None };
    let report = &mut written.report;
    let mut staged: Vec<Staged> = Vec::new();
    for one in group {
        let RawRows { period, quality, content_hash, .. } = &one.raw;
        if one.is_fresh {
            raw.known.insert(period.start, Some((*period, content_hash.clone())));
        }
        let stands = raw.inputs(*period)? == one.inputs
            // Nothing is written of what was published already: then it must be so still.
            && (one.rows.is_some() || {
                let now = lake.partition(&view.reference(), Layer::Published, *period)?;
                now.is_some_and(|now| now.pointer.source.inputs_sha256 == one.inputs)
            });
        if !stands {
            if one.is_fresh {
                written.conflict = Some(changed(view, *period));
                break;
            }
            // Behind the range: who changed it publishes it.
            continue;
        }
        if one.is_fresh {
            let rows = one.raw.rows.num_rows() as u64;
            report.raw_rows += rows;
            written.periods.push((*period, rows, content_hash.clone()));
            let raw = lake.stage(Staging {
                view,
                layer: Layer::Raw,
                period: *period,
                rows: &one.raw.rows,
                quality: quality.clone(),
                source: source.clone(),
            })?;
            report.raw_changed += usize::from(raw.is_some());
            staged.extend(raw);
        }
        let published = match &one.rows {
            None => None,
            Some(rows) => lake.stage(Staging {
                view,
                layer: Layer::Published,
                period: *period,
                rows,
                quality: quality.clone(),
                source: RunSource { inputs_sha256: one.inputs.clone(), ..source.clone() },
            })?,
        };
        match published {
            None => report.unchanged += 1,
            Some(published) => {
                report.published_changed += 1;
                report.published_rows += published.partition().pointer.rows;
                staged.push(published);
            }
        }
    }
    lake.commit(staged)?;
    Ok(written)
}

/// The hashes of raw partitions as they will be when the group is written, each read once.
struct RawHashes<'a> {
    lake: &'a Lake,
    view: &'a FeatureView,
    known: BTreeMap<Timestamp, Option<(Period, String)>>,
}

impl RawHashes<'_> {
    /// The hash of what a published partition is made from.
    fn inputs(&mut self, period: Period) -> Result<String, Error> {
        let mut hashes = Vec::new();
        for back in (0..=i64::from(lookback_periods(self.view))).rev() {
            let one = period.shifted(-back);
            let known = match self.known.entry(one.start) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let raw = self.lake.partition(&self.view.reference(), Layer::Raw, one)?;
                    unknown.insert(raw.map(|raw| (raw.period, raw.pointer.content_hash)))
                }
            };
            hashes.extend(known.clone());
        }
        let sql = trivium_sql::publish_sql(self.view, &sql_period(period)?);
        let hashes = hashes.iter().map(|(period, hash)| (*period, hash.as_str()));
        Ok(publish::inputs_hash(&sql, hashes))
    }
}
