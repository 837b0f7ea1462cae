//! Reading embeddings by key: the row names documents, these are fetched, and the row is put together as
//! a caller knows it. A document that is gone or is another one says that the row has moved since it was
//! read: the row is read again.

use trivium_codec::{Row, RowEncoder, RowKey, ValueRef};
use trivium_store::{Consistency, Error, ReadOptions, embedding::DocumentRef};

use super::{
    documents::{Fetched, Wanted, fetch, lost},
    stored::{Held, corrupt},
};
use crate::{Serving, definitions::ViewDefinition, plan::ReadPlan, read::Rows};

/// Times that a row may move under one read.
const ROUNDS_MAX: usize = 16;

impl Serving {
    /// Replaces each row that names documents of the plan's columns with one that holds them. A row
    /// whose embeddings cannot be had is an error, never one without them.
    pub(crate) async fn fetch_embeddings(
        &self,
        plan: &ReadPlan,
        keys: &[RowKey],
        rows: &mut Rows,
        options: &ReadOptions,
    ) {
        let strong = ReadOptions { deadline: options.deadline, ..ReadOptions::default() };
        let mut is_strong = options.consistency == Consistency::Strong;
        let mut open: Vec<usize> = (0..rows.found.len()).collect();
        let views = plan.views.len().max(1);
        for round in 0..ROUNDS_MAX {
            open.retain(|&place| needs(plan, &plan.views[place % views].view, rows, place));
            if open.is_empty() {
                return;
            }
            let documents = self.documents_of(plan, keys, rows, &open, options).await;
            let mut moved = Vec::new();
            for place in open {
                let view = &plan.views[place % views].view;
                let Some(Ok(Some(row))) = rows.found.get(place) else { continue };
                match assemble(plan, view, row, place, documents.as_ref()) {
                    Ok(Some(whole)) => rows.found[place] = Ok(Some(whole)),
                    Ok(None) => moved.push(place),
                    Err(error) => rows.found[place] = Err(error),
                }
            }
            if moved.is_empty() || round + 1 == ROUNDS_MAX {
                for place in moved {
                    rows.found[place] = Err(Error::Throttled(
                        "the row kept moving while its embedding was read".to_owned(),
                    ));
                }
                return;
            }
            let again: Vec<RowKey> = moved.iter().map(|&place| keys[place].clone()).collect();
            let read = self.store_read(&again, &strong).await;
            for (&place, read) in moved.iter().zip(read) {
                let view = &plan.views[place % views].view;
                let before = named_by(plan, view, &rows.found[place]);
                // Read strongly twice, still naming what is not there: it is gone for good.
                if is_strong && before == named_by(plan, view, &read) && read.is_ok() {
                    let gone = plan.embeddings.iter().find(|(at, _)| *at == place % views);
                    if let Some((_, feature)) = gone {
                        rows.found[place] = Err(lost(&view.embeddings[*feature].spec));
                        continue;
                    }
                }
                rows.found[place] = read;
            }
            is_strong = true;
            open = moved;
        }
    }

    /// The documents that the rows at these places name. `None`: this server has no index.
    async fn documents_of(
        &self,
        plan: &ReadPlan,
        keys: &[RowKey],
        rows: &Rows,
        places: &[usize],
        options: &ReadOptions,
    ) -> Option<Fetched> {
        let indexes = self.indexes()?;
        let views = plan.views.len().max(1);
        let mut wanted = Vec::new();
        for &place in places {
            let Some(Ok(Some(row))) = rows.found.get(place) else { continue };
            let view = &plan.views[place % views].view;
            for &(_, feature) in plan.embeddings.iter().filter(|(at, _)| *at == place % views) {
                let embedding = &view.embeddings[feature];
                // What cannot be read is told when the row is put together.
                if let Ok(Some(reference)) = view.named(row, embedding) {
                    wanted.push(Wanted {
                        place: (place, feature),
                        spec: &embedding.spec,
                        key: &keys[place],
                        reference,
                    });
                }
            }
        }
        Some(fetch(&*indexes.index, wanted, options.deadline).await)
    }
}

/// Whether a row has to be put together: a live one in the stored form, of a view with embeddings in the
/// plan. What is expired shows none.
fn needs(plan: &ReadPlan, view: &ViewDefinition, rows: &Rows, place: usize) -> bool {
    let Some(Ok(Some(row))) = rows.found.get(place) else { return false };
    !row.is_deleted()
        && view.is_stored_form(row)
        && plan.embeddings.iter().any(|(at, _)| *at == place % plan.views.len().max(1))
        && !view.is_expired(row.event_time(), rows.now)
}

/// The documents that a row names for the plan's columns.
fn named_by(
    plan: &ReadPlan,
    view: &ViewDefinition,
    found: &Result<Option<Row>, Error>,
) -> Vec<Option<DocumentRef>> {
    let Ok(Some(row)) = found else { return Vec::new() };
    let of_view = |(at, _): &&(usize, usize)| plan.views[*at].view.reference == view.reference;
    let features = plan.embeddings.iter().filter(of_view);
    features.map(|(_, feature)| view.named(row, &view.embeddings[*feature]).ok()?).collect()
}

/// The row as a caller knows it. `None`: one of its documents is not there.
fn assemble(
    plan: &ReadPlan,
    view: &ViewDefinition,
    row: &Row,
    place: usize,
    documents: Option<&Fetched>,
) -> Result<Option<Row>, Error> {
    let reader = view.reader(row).map_err(|error| corrupt(&error))?;
    let fields = view.fields().len();
    let mut slots: Vec<Option<ValueRef<'_>>> = Vec::with_capacity(fields);
    for field in 0..fields {
        let embedding = view.embeddings.iter().position(|known| known.field == field);
        let Some(feature) = embedding else {
            slots.push(reader.get(field).map_err(|error| corrupt(&error))?);
            continue;
        };
        let views = plan.views.len().max(1);
        let is_asked = plan.embeddings.contains(&(place % views, feature));
        slots.push(match Held::of(&reader, field)? {
            Held::Unset => None,
            Held::Null => Some(ValueRef::Null),
            Held::Inline(vector) => Some(ValueRef::Embedding(vector)),
            Held::Named(_) if !is_asked => None,
            Held::Named(_) => {
                let Some(documents) = documents else {
                    return Err(Error::Unavailable(format!(
                        "the embedding of {} is in an embedding index, and this server has none",
                        view.embeddings[feature].spec
                    )));
                };
                match documents.get(&(place, feature)) {
                    Some(Ok(Some(document))) => Some(ValueRef::Embedding(
                        trivium_codec::EmbeddingRef::new(&document.vector),
                    )),
                    Some(Ok(None)) | None => return Ok(None),
                    Some(Err(error)) => return Err(error.clone()),
                }
            }
        });
    }
    let header = row.header();
    let whole = RowEncoder::new(view.layouts.current())
        .encode(header.lane, &slots)
        .map_err(|error| corrupt(&error))?;
    Ok(Some(whole.with_stamp(header.rev, header.event_time, header.sequence, header.write_id)))
}
