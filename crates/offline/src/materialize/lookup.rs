//! The newest row of some entities over all partitions.

use std::collections::HashMap;

use arrow::row::{RowConverter, SortField};
use trivium_codec::{Row, RowEncoder};
use trivium_model::{FeatureView, KeyValue, Timestamp};

use super::ViewData;
use crate::{
    Error,
    columns::{SEQUENCE_COLUMN, arrow_type},
    encode::PublishedBatch,
    lake::read_batches,
};

/// An entity as comparable bytes; the same in every partition of a view.
pub(super) type Key = Box<[u8]>;

/// Names a version of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) event_time: Timestamp,
    pub(super) sequence: i64,
}

impl Stamp {
    /// Before everything that a door takes (the year 1): where a retracted row's tombstone stands.
    pub(super) const LOWEST: Self = Self { event_time: Timestamp::FIRST, sequence: 0 };
}

/// An entity whose newest row is to be found.
#[derive(Debug, Clone)]
pub(super) struct Want {
    pub(super) entity: Vec<KeyValue>,
    /// Stamps that are to go.
    pub(super) replaces: Vec<Stamp>,
    /// Whether the newest row is to be written at its stamp.
    pub(super) write: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) want: Want,
    /// The newest row; its bytes only where they are needed.
    pub(super) row: Option<(Stamp, Option<Row>)>,
}

/// Makes comparable bytes of a view's join keys.
pub(super) fn key_converter(view: &FeatureView) -> Result<RowConverter, Error> {
    let fields = view
        .sorted_entities()
        .iter()
        .map(|entity| SortField::new(arrow_type(&entity.key_type.data_type())))
        .collect();
    Ok(RowConverter::new(fields)?)
}

struct Place {
    stamp: Stamp,
    partition: usize,
    row: usize,
}

/// Finds the newest row of each entity among the first `partitions` ones. With `in_head`, an entity
/// that the last of them does not list has none.
pub(super) fn find(
    data: &ViewData,
    wants: HashMap<Key, Want>,
    partitions: usize,
    in_head: bool,
) -> Result<Vec<Found>, Error> {
    let converter = key_converter(&data.view)?;
    let places = locate(data, &converter, &wants, partitions, in_head)?;

    // Bytes only of rows that take another's place.
    let needed = |want: &Want, place: &Place| {
        want.write || want.replaces.iter().any(|old| place.stamp < *old)
    };
    let mut by_partition: HashMap<usize, HashMap<usize, &Key>> = HashMap::new();
    for (key, place) in &places {
        if wants.get(key).is_some_and(|want| needed(want, place)) {
            by_partition.entry(place.partition).or_default().insert(place.row, key);
        }
    }
    let mut encoded: HashMap<Key, Row> = HashMap::new();
    let mut encoder = RowEncoder::new(&data.schema);
    for (partition, rows) in by_partition {
        for_each_batch(data, partition, None, |batch, offset| {
            let mut values = Vec::new();
            for index in 0..batch.len() {
                let Some(key) = rows.get(&(offset + index)) else { continue };
                let row = batch
                    .encode(index, &mut encoder, &mut values)
                    .map_err(|message| batch.refused(&data.view, index, message))?;
                encoded.insert((*key).clone(), row);
            }
            Ok(())
        })?;
    }
    Ok(wants
        .into_iter()
        .map(|(key, want)| {
            let row = places.get(&key).map(|place| (place.stamp, encoded.remove(&key)));
            Found { key, want, row }
        })
        .collect())
}

/// From the newest partition back, until no older one can have a newer row.
fn locate(
    data: &ViewData,
    converter: &RowConverter,
    wants: &HashMap<Key, Want>,
    partitions: usize,
    in_head: bool,
) -> Result<HashMap<Key, Place>, Error> {
    let columns = key_columns(&data.view);
    let mut places: HashMap<Key, Place> = HashMap::with_capacity(wants.len());
    for partition in (0..partitions).rev() {
        let is_head = partition + 1 == partitions;
        // Without rows there is no event time.
        let at_most = data.partitions[partition].pointer.event_time_max_micros;
        let Some(at_most) = at_most else {
            if in_head && is_head {
                break;
            }
            continue;
        };
        let open = |places: &HashMap<Key, Place>| {
            wants.keys().any(|key| match places.get(key) {
                None => is_head || !in_head,
                Some(place) => place.stamp.event_time < at_most,
            })
        };
        if !open(&places) {
            continue;
        }
        for_each_batch(data, partition, Some(&columns), |batch, offset| {
            let keys = converter.convert_columns(batch.key_arrays())?;
            for index in 0..batch.len() {
                let key = keys.row(index);
                let Some((key, _)) = wants.get_key_value(key.as_ref()) else { continue };
                let stamp =
                    Stamp { event_time: batch.event_time(index), sequence: batch.sequence(index) };
                let place = Place { stamp, partition, row: offset + index };
                match places.get_mut(key) {
                    Some(known) if known.stamp >= stamp => {}
                    Some(known) => *known = place,
                    None if is_head || !in_head => {
                        places.insert(key.clone(), place);
                    }
                    None => {}
                }
            }
            Ok(())
        })?;
    }
    Ok(places)
}

/// Adds to what is to be replaced each entity's newest row of every partition, of the first
/// `partitions` ones, that is not older than the oldest of it.
pub(super) fn with_newer(
    data: &ViewData,
    mut wants: HashMap<Key, Want>,
    partitions: usize,
) -> Result<HashMap<Key, Want>, Error> {
    let converter = key_converter(&data.view)?;
    let columns = key_columns(&data.view);
    let floors: HashMap<Key, Timestamp> = wants
        .iter()
        .filter_map(|(key, want)| Some((key.clone(), want.replaces.iter().min()?.event_time)))
        .collect();
    let Some(oldest) = floors.values().min().copied() else { return Ok(wants) };
    for partition in 0..partitions {
        let newest = data.partitions[partition].pointer.event_time_max_micros;
        if newest.is_none_or(|newest| newest < oldest) {
            continue;
        }
        for_each_batch(data, partition, Some(&columns), |batch, _| {
            let keys = converter.convert_columns(batch.key_arrays())?;
            for index in 0..batch.len() {
                let key = keys.row(index);
                let (Some(want), Some(floor)) =
                    (wants.get_mut(key.as_ref()), floors.get(key.as_ref()))
                else {
                    continue;
                };
                let stamp =
                    Stamp { event_time: batch.event_time(index), sequence: batch.sequence(index) };
                if stamp.event_time >= *floor && !want.replaces.contains(&stamp) {
                    want.replaces.push(stamp);
                }
            }
            Ok(())
        })?;
    }
    Ok(wants)
}

/// Join keys, event time and sequence.
pub(super) fn key_columns(view: &FeatureView) -> Vec<String> {
    view.sorted_entities()
        .iter()
        .map(|entity| entity.name.to_string())
        .chain([view.event_timestamp.to_string(), SEQUENCE_COLUMN.to_owned()])
        .collect()
}

/// Reads a partition batch by batch, with the number of the batch's first row.
fn for_each_batch(
    data: &ViewData,
    partition: usize,
    columns: Option<&[String]>,
    mut visit: impl FnMut(&PublishedBatch, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let partition = &data.partitions[partition];
    let mut offset = 0;
    for path in partition.files() {
        for batch in read_batches(&path, columns)? {
            let batch = PublishedBatch::new(&data.view, &data.schema, &batch?)
                .map_err(|message| Error::corrupt(&path, message))?;
            visit(&batch, offset)?;
            offset += batch.len();
        }
    }
    Ok(())
}
