//! Searching: the index's hits are candidates; what counts is which of them their rows name, read now.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use trivium_api::ApiError;
use trivium_codec::{Row, RowKey, ValueRef};
use trivium_model::{DataType, KeyValue, Timestamp, Value};
use trivium_runtime::Kind;
use trivium_store::{
    Consistency, Error, ReadOptions,
    embedding::{
        Filter, K_MAX, Nearest, Owner, Owners, Visible, check_nearest, check_vector, nearest_named,
    },
};

use super::{draft::said, indexes::of_index};
use crate::{
    Serving,
    definitions::{EmbeddingFeature, Selection, ViewDefinition, feature_index},
    limits,
    plan::ReadPlan,
    read::Rows,
    request::RowPath,
    traced,
};

/// What an answer says about what it saw.
pub(crate) const FRESHNESS: &str = "a search sees a write after the next refresh of the embedding \
     index; a put with wait_for_search waits for it";

/// What is searched: an embedding feature, and its view.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) view: Arc<ViewDefinition>,
    /// Index in the view's embeddings.
    pub(crate) part: usize,
    /// Its full name.
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn feature(&self) -> &EmbeddingFeature {
        &self.view.embeddings[self.part]
    }
    pub(crate) fn data_type(&self) -> &DataType {
        &self.view.fields()[self.feature().field].data_type
    }
}

/// Near what.
pub(crate) enum Near {
    Vector(Vec<f32>),
    /// This entity's own embedding.
    Entity(RowKey),
}

/// A search, its parts checked one by one.
pub(crate) struct Question {
    pub(crate) place: Place,
    pub(crate) near: Near,
    pub(crate) k: usize,
    pub(crate) filter: Option<Filter>,
    pub(crate) score_min: Option<f32>,
    /// What to show beside each hit.
    pub(crate) plan: Option<Arc<ReadPlan>>,
}

/// One entity that was found.
pub(crate) struct Found {
    pub(crate) entity: Vec<KeyValue>,
    pub(crate) score: f32,
    pub(crate) rev: u64,
    pub(crate) event_time: Timestamp,
}

/// What was found.
pub(crate) struct Answer {
    pub(crate) hits: Vec<Found>,
    /// The row of each hit.
    pub(crate) rows: Rows,
    pub(crate) dropped: u64,
    pub(crate) is_cut_off: bool,
}

impl Serving {
    /// The embedding feature of a search.
    pub(crate) fn place(&self, name: &str) -> Result<Place, ApiError> {
        let definitions = self.definitions();
        let Some((view, feature)) = name.split_once(':') else {
            return Err(ApiError::invalid(format!("`{name}` names no feature"))
                .at("feature")
                .help("name one embedding feature, as in `shop/products@1:picture`"));
        };
        let view = definitions.view(view, "feature")?;
        let field = feature_index(view, feature, "feature")?;
        let Some(part) = view.embeddings.iter().position(|known| known.field == field) else {
            let embeddings = view.embeddings.iter().map(|known| known.spec.feature.as_str());
            let embeddings: Vec<&str> = embeddings.collect();
            let help = match embeddings.as_slice() {
                [] => format!("`{}` has no embeddings", view.name),
                some => format!("embeddings of `{}`: {}", view.name, some.join(", ")),
            };
            return Err(ApiError::invalid(format!(
                "`{name}` is {}: only embeddings are searched",
                view.fields()[field].data_type
            ))
            .at("feature")
            .help(help));
        };
        if self.indexes().is_none() {
            return Err(no_index(&format!("`{name}` cannot be searched")).at("feature"));
        }
        Ok(Place { view: view.clone(), part, name: name.to_owned() })
    }

    /// The columns to show beside each hit.
    pub(crate) fn shown<S: AsRef<str>>(
        &self,
        place: &Place,
        k: usize,
        features: Vec<S>,
    ) -> Result<Option<Arc<ReadPlan>>, ApiError> {
        if features.is_empty() {
            return Ok(None);
        }
        for (index, feature) in features.iter().enumerate() {
            let feature = feature.as_ref();
            if feature.split(':').next() != Some(place.view.name.as_str()) {
                return Err(ApiError::invalid(format!(
                    "`{feature}` is of another view than `{}`",
                    place.name
                ))
                .at(format!("features[{index}]"))
                .help("read features of other views with a get of the entities that were found"));
            }
        }
        let plan = self.definitions().plan(&Selection::Features(features))?;
        if k.saturating_mul(plan.columns.len()) > limits::VALUES_MAX {
            return Err(ApiError::invalid(format!(
                "{k} hits with {} features each are more than {} values",
                plan.columns.len(),
                limits::VALUES_MAX
            ))
            .at("features")
            .help("ask for fewer hits or features"));
        }
        Ok(Some(plan))
    }

    /// Answers a search.
    pub(crate) async fn search(&self, question: Question) -> Result<Answer, ApiError> {
        let Some(indexes) = self.indexes() else {
            return Err(no_index("nothing can be searched"));
        };
        let place = &question.place;
        let spec = &place.feature().spec;
        traced::search(&place.view, question.k);
        let (vector, own) = match question.near {
            Near::Vector(vector) => {
                check_vector(spec, &vector)
                    .map_err(|error| ApiError::invalid(said(&error)).at("vector"))?;
                (vector, None)
            }
            Near::Entity(key) => (self.vector_of(place, &key).await?, Some(key)),
        };
        let query = Nearest {
            vector: vector.into(),
            k: question.k,
            filter: question.filter,
            score_min: question.score_min,
        };
        check_nearest(spec, &query)
            .map_err(|error| ApiError::invalid(said(&error)).at("filter"))?;
        let deadline = self.deadline();
        indexes.ensure(spec, deadline).await.map_err(|error| of_index(&error))?;
        let seen = Seen {
            serving: self,
            place,
            own,
            is_own_met: AtomicBool::new(false),
            now: self.data_now(),
            rows: Mutex::default(),
        };
        let found = nearest_named(&*indexes.index, spec, &seen, &query, deadline)
            .await
            .map_err(|error| of_index(&error))?;
        let (own_met, now) = (seen.is_own_met.into_inner(), seen.now);
        let mut read = seen.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut answer = Answer {
            hits: Vec::with_capacity(found.hits.len()),
            rows: Rows { entities: 0, found: Vec::new(), now },
            // The entity that others are to be like was not dropped: nobody asked for it.
            dropped: found.dropped.saturating_sub(u64::from(own_met)),
            is_cut_off: found.is_cut_off,
        };
        let mut keys = Vec::with_capacity(found.hits.len());
        for hit in found.hits {
            let Some(row) = read.remove(&hit.id.key) else { continue };
            let corrupt = |error: trivium_codec::Error| {
                ApiError::new(Kind::DataLoss, format!("a key in the embedding index: {error}"))
            };
            answer.hits.push(Found {
                entity: place.view.keys.decode(&hit.id.key).map_err(corrupt)?,
                score: hit.score,
                rev: row.rev(),
                event_time: row.event_time(),
            });
            answer.rows.found.push(Ok(Some(row)));
            keys.push(hit.id.key);
        }
        if let Some(plan) = question.plan.filter(|plan| !plan.embeddings.is_empty()) {
            let options = ReadOptions { deadline, ..ReadOptions::default() };
            self.fetch_embeddings(&plan, &keys, &mut answer.rows, &options).await;
            answer.drop_moved();
        }
        answer.rows.entities = answer.hits.len();
        Ok(answer)
    }

    /// The embedding of one entity.
    async fn vector_of(&self, place: &Place, key: &RowKey) -> Result<Vec<f32>, ApiError> {
        let plan = self.definitions().plan(&Selection::Features(vec![place.name.as_str()]))?;
        let rows = self.read_rows(&plan, std::slice::from_ref(key), Consistency::Strong).await;
        let missing = |what: &str| ApiError::not_found(what.to_owned()).at("entity");
        let row = match rows.found.first() {
            Some(Ok(Some(row))) if !row.is_deleted() => row,
            Some(Err(error)) => return Err(of_index(error).at("entity")),
            Some(Ok(_)) | None => return Err(missing("there is no row of this entity")),
        };
        if place.view.is_expired(row.event_time(), rows.now) {
            return Err(missing("the row of this entity has expired"));
        }
        let corrupt = |error: trivium_codec::Error| {
            ApiError::new(Kind::DataLoss, format!("the row cannot be read: {error}")).at("entity")
        };
        let reader = place.view.reader(row).map_err(corrupt)?;
        match reader.get(place.feature().field).map_err(corrupt)? {
            Some(ValueRef::Embedding(vector)) => Ok(vector.iter().collect()),
            _ => Err(missing("this entity has no value of the feature")),
        }
    }
}

impl Answer {
    /// Takes out hits whose row has moved since it was found: the score is of another embedding.
    fn drop_moved(&mut self) {
        let found = std::mem::take(&mut self.rows.found);
        let hits = std::mem::take(&mut self.hits);
        for (hit, row) in hits.into_iter().zip(found) {
            match row {
                Ok(row)
                    if row.as_ref().is_none_or(|row| row.is_deleted() || row.rev() != hit.rev) =>
                {
                    self.dropped += 1;
                }
                row => {
                    self.hits.push(hit);
                    self.rows.found.push(row);
                }
            }
        }
    }
}

/// Why a server without an index searches nothing.
pub(crate) fn no_index(what: &str) -> ApiError {
    ApiError::new(Kind::FailedPrecondition, format!("{what}: this server has no embedding index"))
        .help("embeddings are searched where an index is configured; see docs/serving.md")
}

/// How many hits a search may ask for.
pub(crate) fn check_k(k: u64) -> Result<usize, ApiError> {
    match usize::try_from(k) {
        Ok(k) if (1..=K_MAX).contains(&k) => Ok(k),
        _ => Err(ApiError::invalid(format!("k is {k}"))
            .at("k")
            .help(format!("ask for 1 to {K_MAX} hits"))),
    }
}

/// The rows of a search, kept as they were read: what a hit shows is what made it one.
struct Seen<'a> {
    serving: &'a Serving,
    place: &'a Place,
    /// The entity that others are to be like.
    own: Option<RowKey>,
    is_own_met: AtomicBool,
    now: Timestamp,
    rows: Mutex<HashMap<RowKey, Row>>,
}

#[async_trait]
impl Owners for Seen<'_> {
    async fn owners(&self, keys: &[RowKey]) -> Vec<Result<Owner, Error>> {
        let options = ReadOptions { deadline: self.serving.deadline(), ..ReadOptions::default() };
        let read = self.serving.store_read(keys, &options).await;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let view = &self.place.view;
        let judged = keys.iter().zip(read).map(|(key, row)| {
            let Some(row) = row? else { return Ok(Owner::default()) };
            let mut owner = Owner { rev: row.rev(), names: None };
            if self.own.as_ref() == Some(key) {
                self.is_own_met.store(true, Ordering::Relaxed);
            } else if !view.is_expired(row.event_time(), self.now) {
                owner.names = view.named(&row, self.place.feature())?.map(|named| named.rev);
                if owner.names.is_some() {
                    rows.insert(key.clone(), row);
                }
            }
            Ok(owner)
        });
        judged.collect()
    }

    async fn move_up(&self, _: &RowKey, _: u64) -> Result<(), Error> {
        // Searches write nothing.
        Ok(())
    }
}

impl Serving {
    /// What a put that waits for searches asks of the index.
    pub(crate) fn visible(
        &self,
        view: &ViewDefinition,
        wait_for_search: bool,
    ) -> Result<Visible, ApiError> {
        if !wait_for_search {
            return Ok(Visible::Later);
        }
        if view.embeddings.is_empty() {
            return Err(ApiError::invalid(format!("`{}` has no embeddings", view.name))
                .at("wait_for_search")
                .help("there is nothing to wait for: leave it out"));
        }
        if self.indexes().is_none() {
            return Err(no_index("no search will see the put").at("wait_for_search"));
        }
        Ok(Visible::Now)
    }

    /// Refuses vectors that no index takes, before any row of the request is written.
    pub(crate) fn check_embeddings(
        &self,
        view: &ViewDefinition,
        values: &[(usize, Value)],
        path: RowPath,
    ) -> Result<(), ApiError> {
        if view.embeddings.is_empty() || self.indexes().is_none() {
            return Ok(());
        }
        for embedding in &view.embeddings {
            for (field, value) in values {
                if *field == embedding.field
                    && let Value::Embedding(vector) = value
                {
                    check_vector(&embedding.spec, vector).map_err(|error| {
                        ApiError::invalid(said(&error))
                            .at(format!("{path}.values.{}", embedding.spec.feature))
                            .help("give a vector that can be searched for, or null")
                    })?;
                }
            }
        }
        Ok(())
    }
}
