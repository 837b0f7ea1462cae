//! The SQL that makes a published partition: carryover and rollup.
//!
//! Published D is a pure function of the raw partitions D−k … D, where k is
//! [`lookback_periods`]; so backfills may run in parallel, and rewriting raw D means publishing
//! D … D+k again.
//!
//! **Reads** one table, [`RAW`]: the rows of the raw partitions that exist among D−k … D, each with
//! the columns of the view (entities, event timestamp, created timestamp if the view has one,
//! features), cast to the view's types, and [`PERIOD`], the start of the partition's period as a
//! timestamp. Rows of other periods do no harm: the SQL filters.
//!
//! **Gives** the view's columns in this order: entities as the author wrote them, event timestamp,
//! created timestamp if any, features, the windows of the rollup (`FeatureView::served_features`
//! order), and [`CARRIED_FROM`].
//!
//! Which rows there are:
//! - every raw row of D, as it is: `carried_from` is null. A view may have several rows of one
//!   entity in a period (event-level views, such as hourly weather by day); all of them stay, and
//!   all of them show the same windows.
//! - with `carryover: last_value`, for each entity without a row in D that has one in
//!   D−max_periods … D−1: its newest row there (latest period, then event time, then created time
//!   with nulls last, then the smallest values of the other columns, so that the choice never
//!   depends on the order of reading). Its event time is the new period end, its created time
//!   stays, and `carried_from` is the start of the period that it was written in.
//! - without carryover, nothing else: an entity that is absent from D has no row, whatever its
//!   windows would be.
//!
//! Windows: a `7d` window of a daily D covers D−6 … D of the raw partials, whatever was published
//! for them, so carried rows are never counted twice and the windows of absent entities still
//! slide. Several rows of an entity in a period all count. Null partials are left out; a window
//! with nothing but nulls, or with no rows, is null. `mean` is the sum of the sums over the sum of
//! the counts, null where the count is 0. `approx_distinct` is the estimate of the union of the
//! sketches: 0 where all of them are empty, null where there is none; it does not depend on the order of
//! rows or partitions (`docs/decisions/0015-sketches.md`). Types are those of `Aggregate::output_type`.
//! Sums of floats are as exact as the engine's order of adding allows.
//!
//! Rows with a null entity must not reach a raw partition: the quality query refuses them.

use std::fmt::Write as _;

use trivium_model::{
    Aggregate, Carryover, DataType, FeatureView, Timestamp, view::rollup_feature_name,
};

use crate::{Period, literal};

/// The table of raw rows.
pub const RAW: &str = "raw";
/// The column of [`RAW`] with the start of the row's period.
pub const PERIOD: &str = "_period";
/// The column of published rows that says which period a carried row is from; null if fresh.
pub const CARRIED_FROM: &str = "carried_from";

/// How many periods before D a published D depends on: `max(longest window − 1, max_periods)`.
pub fn lookback_periods(view: &FeatureView) -> u32 {
    let windows = view.rollup.iter().flat_map(|rollup| &rollup.windows);
    let window = windows.map(|window| window_periods(view, window.micros())).max().unwrap_or(1);
    (window - 1).max(carried_periods(view))
}

/// The SQL that makes the published partition of a period. `view` has passed validation.
pub fn publish_sql(view: &FeatureView, period: &Period) -> String {
    let fresh = literal::instant(period.start);
    let windows = window_columns(view, period);
    let carried = carried_periods(view);
    let event_timestamp = literal::name(&view.event_timestamp);
    let features = view.features.iter().map(|feature| literal::name(&feature.name));
    let created = view.created_timestamp.iter().map(|name| literal::name(name));
    let entities: Vec<String> =
        view.entities.iter().map(|entity| literal::name(&entity.name)).collect();
    let values: Vec<String> = created.clone().chain(features).collect();

    let mut ctes = Vec::new();
    if carried > 0 {
        // One number per entity over all its rows: where D has a row, no older row is first.
        let mut order = vec![format!("`{PERIOD}` DESC"), format!("{event_timestamp} DESC")];
        order.extend(created.map(|name| format!("{name} DESC NULLS LAST")));
        let scalars = view.features.iter().filter(|feature| is_scalar(&feature.data_type));
        order.extend(
            scalars.map(|feature| format!("{} ASC NULLS FIRST", literal::name(&feature.name))),
        );
        ctes.push(format!(
            "newest AS (\n  SELECT\n    {}, {event_timestamp}, {}, `{PERIOD}`,\n    row_number() OVER (PARTITION BY {} ORDER BY {}) AS `_newest`\n  FROM {RAW}\n  WHERE `{PERIOD}` >= {} AND `{PERIOD}` <= {fresh}\n)",
            entities.join(", "),
            values.join(", "),
            entities.join(", "),
            order.join(", "),
            literal::instant(back(view, period, carried)),
        ));
    }
    if !windows.is_empty() {
        let columns: Vec<String> = windows
            .iter()
            .map(|(name, expression)| format!("    {expression} AS {}", literal::name(name)))
            .collect();
        ctes.push(format!(
            "windows AS (\n  SELECT\n    {},\n{}\n  FROM {RAW}\n  WHERE `{PERIOD}` >= {} AND `{PERIOD}` <= {fresh}\n  GROUP BY {}\n)",
            entities.join(", "),
            columns.join(",\n"),
            literal::instant(back(view, period, longest_window(view) - 1)),
            entities.join(", "),
        ));
    }

    let mut sql = String::new();
    if !ctes.is_empty() {
        let _ = writeln!(sql, "WITH {}", ctes.join(",\n"));
    }
    let is_carried = format!("r.`{PERIOD}` < {fresh}");
    let mut columns: Vec<String> = entities.iter().map(|name| format!("r.{name}")).collect();
    if carried > 0 {
        let end = literal::instant(period.end);
        columns.push(format!(
            "CASE WHEN {is_carried} THEN {end} ELSE r.{event_timestamp} END AS {event_timestamp}"
        ));
    } else {
        columns.push(format!("r.{event_timestamp}"));
    }
    columns.extend(values.iter().map(|name| format!("r.{name}")));
    columns.extend(windows.iter().map(|(name, _)| format!("w.{}", literal::name(name))));
    columns.push(if carried > 0 {
        format!(
            "CASE WHEN {is_carried} THEN r.`{PERIOD}` ELSE CAST(NULL AS TIMESTAMP) END AS `{CARRIED_FROM}`"
        )
    } else {
        format!("CAST(NULL AS TIMESTAMP) AS `{CARRIED_FROM}`")
    });
    let source = if carried > 0 { "newest" } else { RAW };
    let _ = write!(sql, "SELECT\n  {}\nFROM {source} r", columns.join(",\n  "));
    if !windows.is_empty() {
        let on: Vec<String> = entities.iter().map(|name| format!("r.{name} = w.{name}")).collect();
        let _ = write!(sql, "\nLEFT JOIN windows w ON {}", on.join(" AND "));
    }
    let _ = write!(sql, "\nWHERE r.`{PERIOD}` = {fresh}");
    if carried > 0 {
        sql.push_str(" OR r.`_newest` = 1");
    }
    sql.push('\n');
    sql
}

/// Name and expression of each window, in the order of `FeatureView::served_features`.
fn window_columns(view: &FeatureView, period: &Period) -> Vec<(String, String)> {
    let mut columns = Vec::new();
    let Some(rollup) = &view.rollup else { return columns };
    let longest = longest_window(view);
    for (feature, aggregate) in &rollup.features {
        for window in &rollup.windows {
            let periods = window_periods(view, window.micros());
            // The longest window needs no condition: the rows are filtered to it.
            let from = (periods < longest).then(|| back(view, period, periods - 1));
            columns.push((
                rollup_feature_name(feature, *window),
                window_expression(view, feature, aggregate, from),
            ));
        }
    }
    columns
}

fn window_expression(
    view: &FeatureView,
    feature: &str,
    aggregate: &Aggregate,
    from: Option<Timestamp>,
) -> String {
    let input = |name: &str| match from {
        Some(from) => format!(
            "CASE WHEN `{PERIOD}` >= {} THEN {} END",
            literal::instant(from),
            literal::name(name)
        ),
        None => literal::name(name),
    };
    let type_of = |name: &str| {
        view.feature(name).map_or(DataType::Float64, |feature| feature.data_type.clone())
    };
    // Widened before it is added, so that no partial sum overflows.
    let sum = |name: &str, data_type: &DataType| {
        let wide = literal::sql_type(data_type);
        format!("CAST(sum(CAST({} AS {wide})) AS {wide})", input(name))
    };
    match aggregate {
        Aggregate::Sum => sum(feature, &aggregate.output_type(&type_of(feature))),
        Aggregate::Count => sum(feature, &DataType::Int64),
        Aggregate::Min => format!("min({})", input(feature)),
        Aggregate::Max => format!("max({})", input(feature)),
        Aggregate::ApproxDistinct { sketch } => {
            let sketch = input(sketch);
            // A union of registers with themselves forgets the order that values came in, which
            // an estimate would else depend on; of a list it changes nothing.
            format!(
                "CASE WHEN count({sketch}) > 0 THEN hll_sketch_estimate(hll_union(hll_union_agg({sketch}), hll_union_agg({sketch}))) END"
            )
        }
        Aggregate::Mean { sum: total, count } => {
            let total = sum(total, &Aggregate::Sum.output_type(&type_of(total)));
            let count = sum(count, &DataType::Int64);
            format!(
                "CASE WHEN {count} <> 0 THEN CAST({total} AS DOUBLE) / CAST({count} AS DOUBLE) END"
            )
        }
    }
}

fn carried_periods(view: &FeatureView) -> u32 {
    match view.carryover {
        Carryover::None => 0,
        Carryover::LastValue { max_periods } => max_periods,
    }
}

fn longest_window(view: &FeatureView) -> u32 {
    let windows = view.rollup.iter().flat_map(|rollup| &rollup.windows);
    windows.map(|window| window_periods(view, window.micros())).max().unwrap_or(1)
}

/// Periods in a window, at least 1.
fn window_periods(view: &FeatureView, window_micros: i64) -> u32 {
    let every = view.schedule.as_ref().map_or(window_micros, |schedule| schedule.every.micros());
    u32::try_from(window_micros / every.max(1)).unwrap_or(1).max(1)
}

/// The start of the period so many periods earlier; not before the year 1.
fn back(view: &FeatureView, period: &Period, periods: u32) -> Timestamp {
    let every = view.schedule.as_ref().map_or(0, |schedule| schedule.every.micros());
    let micros = every.saturating_mul(i64::from(periods));
    Timestamp(period.start.0.saturating_sub(micros)).max(Timestamp::FIRST)
}

fn is_scalar(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::List(_) | DataType::Embedding { .. })
}

#[cfg(test)]
mod tests;
