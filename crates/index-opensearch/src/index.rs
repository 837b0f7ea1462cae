//! The port's calls.

use std::{collections::VecDeque, time::Instant};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use opensearch::{auth::Credentials, http::Method};
use serde_json::{Value, json};
use trivium_store::{
    Error,
    embedding::{
        Document, DocumentId, EmbeddingIndex, Ensured, Hit, IndexSpec, ListPage, Listing, Nearest,
        PutOutcome, Visible, by_nearness, check_document, check_id, check_nearest, check_spec,
    },
};

use crate::{
    Options,
    client::Client,
    document,
    failure::{self, About, strange},
    mapping, names,
    query::{self, Effort},
};

/// A bulk is sent when it has so many bytes, or the next but one limit of documents. OpenSearch takes 100 MB;
/// small ones are refused one by one, and retried, for less.
const BULK_BYTES: usize = 4 << 20;
const BULK_DOCUMENTS: usize = 500;
/// Bytes of vectors that one answer is asked for.
const GET_BYTES: usize = 4 << 20;
const GET_DOCUMENTS: usize = 500;
/// Ids on a page.
const PAGE: usize = 500;

/// Embedding indexes in an OpenSearch cluster.
#[derive(Debug)]
pub struct OpenSearchIndex {
    pub(crate) client: Client,
}

/// Of one document or id of a call.
type One<T> = Result<T, Error>;

impl OpenSearchIndex {
    /// Speaks to the cluster of the options. Asks nothing yet.
    pub fn new(options: Options, credentials: Option<Credentials>) -> Result<Self, crate::Error> {
        Ok(Self { client: Client::new(options, credentials)? })
    }

    fn alias(&self, spec: &IndexSpec) -> String {
        names::alias(&self.client.options.prefix, spec)
    }

    /// Whether there is an index of this feature.
    pub async fn is_there(
        &self,
        spec: &IndexSpec,
        deadline: Option<Instant>,
    ) -> Result<bool, Error> {
        Ok(self.found(&self.alias(spec), deadline).await?.is_some())
    }

    /// The index behind the alias with its mapping, if there is one.
    async fn found(
        &self,
        alias: &str,
        deadline: Option<Instant>,
    ) -> Result<Option<(String, Value)>, Error> {
        let answer =
            self.client.send(Method::Get, &format!("/{alias}/_mapping"), None, deadline).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        match answer.good()? {
            Value::Object(mut indexes) if indexes.len() == 1 => Ok(indexes
                .iter_mut()
                .next()
                .map(|(name, index)| (name.clone(), index["mappings"].take()))),
            other => Err(Error::Invalid(format!(
                "{}: `{alias}` is not the alias of one index, but of these: {:?}; leave it to one",
                failure::WHO,
                other.as_object().map(|indexes| indexes.keys().collect::<Vec<_>>())
            ))),
        }
    }

    /// Sends one bulk; a result for each action, in order.
    async fn bulk(
        &self,
        alias: &str,
        body: Vec<u8>,
        actions: usize,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<One<(u16, Value)>> {
        let refresh = match visible {
            Visible::Later => "",
            Visible::Now => "&refresh=wait_for",
        };
        let path = format!("/{alias}/_bulk?require_alias=true{refresh}");
        let answer = self.client.send(Method::Post, &path, Some(body), deadline).await;
        let answer = answer.and_then(|answer| answer.good());
        let items = answer.and_then(|mut answer| match answer["items"].take() {
            Value::Array(items) if items.len() == actions => Ok(items),
            _ => Err(strange("has not a result for each document")),
        });
        match items {
            Err(error) => vec![Err(error); actions],
            Ok(items) => items
                .into_iter()
                .map(|mut item| {
                    // `{"create": {"status": 201, …}}`
                    let result = item.as_object_mut().and_then(|item| item.values_mut().next());
                    let result = result.map(Value::take).unwrap_or_default();
                    let status =
                        result["status"].as_u64().and_then(|status| status.try_into().ok());
                    status.map(|status| (status, result)).ok_or_else(|| strange("lacks a status"))
                })
                .collect(),
        }
    }

    /// Puts documents that were checked.
    async fn put_some(
        &self,
        spec: &IndexSpec,
        documents: &[&Document],
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<One<PutOutcome>> {
        let mut body = Vec::new();
        for document in documents {
            if let Err(error) = document::write_creation(&mut body, spec, document) {
                return vec![Err(error); documents.len()];
            }
        }
        let items = self.bulk(&self.alias(spec), body, documents.len(), visible, deadline).await;
        let mut there = Vec::new();
        let mut outcomes: Vec<One<PutOutcome>> = items
            .into_iter()
            .enumerate()
            .map(|(at, item)| match item? {
                (201 | 200, _) => Ok(PutOutcome::Stored),
                (409, _) => {
                    there.push(at);
                    Ok(PutOutcome::Taken)
                }
                (status, item) => {
                    Err(failure::sort_answer(About::Documents, status, &item["error"]))
                }
            })
            .collect();
        // Something has these ids: ours, from an attempt whose answer was lost, or somebody else's.
        let ids: Vec<DocumentId> = there.iter().map(|&at| documents[at].id.clone()).collect();
        let found = self.get(spec, &ids, deadline).await;
        // The put that stored it may not have waited to be seen.
        let seen = match visible {
            Visible::Now if !ids.is_empty() => self.refresh(spec, deadline).await,
            Visible::Now | Visible::Later => Ok(()),
        };
        for (at, found) in there.into_iter().zip(found) {
            outcomes[at] = match found {
                Ok(Some(found)) if found.is_same(documents[at]) => {
                    seen.clone().map(|()| PutOutcome::Stored)
                }
                Ok(Some(_)) => Ok(PutOutcome::Taken),
                Ok(None) => Err(Error::Unavailable(format!(
                    "{}: a document was there and is gone; put it again",
                    failure::WHO
                ))),
                Err(error) => Err(error),
            };
        }
        outcomes
    }

    async fn get_some(
        &self,
        spec: &IndexSpec,
        ids: &[&DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<One<Option<Document>>> {
        let path = format!("/{}/_mget?realtime=true", self.alias(spec));
        let body = json!({ "ids": ids.iter().map(|id| names::id(id)).collect::<Vec<_>>() });
        let answer = self.client.send_json(Method::Post, &path, &body, deadline).await;
        let documents = answer.and_then(|answer| answer.good()).and_then(|mut answer| {
            match answer["docs"].take() {
                Value::Array(documents) if documents.len() == ids.len() => Ok(documents),
                _ => Err(strange("has not a result for each id")),
            }
        });
        match documents {
            Err(error) => vec![Err(error); ids.len()],
            Ok(documents) => documents
                .iter()
                .zip(ids)
                .map(|(found, id)| match (&found["found"], &found["error"]) {
                    (Value::Bool(true), _) => document::read(spec, id, &found["_source"]).map(Some),
                    (Value::Bool(false), Value::Null) => Ok(None),
                    // It says no status here: nothing was changed, so it may be asked again.
                    (_, error) => Err(failure::sort_answer(About::Documents, 503, error)),
                })
                .collect(),
        }
    }

    async fn delete_some(
        &self,
        spec: &IndexSpec,
        ids: &[&DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<One<bool>> {
        let mut body = Vec::new();
        for id in ids {
            body.extend(json!({ "delete": { "_id": names::id(id) } }).to_string().into_bytes());
            body.push(b'\n');
        }
        let items = self.bulk(&self.alias(spec), body, ids.len(), Visible::Later, deadline).await;
        items
            .into_iter()
            .map(|item| match item? {
                (200, _) => Ok(true),
                // The same status says that there is no such index: then there is an error.
                (404, item) if item["error"].is_null() => Ok(false),
                (status, item) => {
                    Err(failure::sort_answer(About::Documents, status, &item["error"]))
                }
            })
            .collect()
    }

    /// Checks each, has `work` done on those that pass, some at a time, and puts results in order.
    async fn in_parts<'a, I: Sync, T: Send, F>(
        &self,
        items: &'a [I],
        check: impl Fn(&I) -> Result<(), Error>,
        parts: impl FnOnce(Vec<&'a I>) -> Vec<Vec<&'a I>>,
        work: impl Fn(Vec<&'a I>) -> F,
    ) -> Vec<One<T>>
    where
        F: Future<Output = Vec<One<T>>> + Send,
    {
        let checked: Vec<Result<(), Error>> = items.iter().map(check).collect();
        let good: Vec<&I> =
            items.iter().zip(&checked).filter(|(_, ok)| ok.is_ok()).map(|(item, _)| item).collect();
        let futures: Vec<F> = parts(good).into_iter().map(work).collect();
        let mut done: VecDeque<One<T>> = stream::iter(futures)
            .buffered(self.client.options.requests_in_flight_max)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .flatten()
            .collect();
        checked
            .into_iter()
            .map(|checked| {
                checked?;
                done.pop_front().unwrap_or_else(|| Err(strange("lacks a result")))
            })
            .collect()
    }
}

/// Cuts into parts of at most so many bytes (one item may have more) and items.
fn cut<'a, I>(
    items: Vec<&'a I>,
    bytes_of: impl Fn(&I) -> usize,
    bytes_max: usize,
    items_max: usize,
) -> Vec<Vec<&'a I>> {
    let mut parts: Vec<Vec<&'a I>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let own = bytes_of(item);
        match parts.last_mut() {
            Some(part) if bytes + own <= bytes_max && part.len() < items_max => {
                part.push(item);
                bytes += own;
            }
            _ => {
                parts.push(vec![item]);
                bytes = own;
            }
        }
    }
    parts
}

#[async_trait]
impl EmbeddingIndex for OpenSearchIndex {
    async fn ensure(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<Ensured, Error> {
        check_spec(spec)?;
        let alias = self.alias(spec);
        let mut ensured = Ensured::Present;
        if self.found(&alias, deadline).await?.is_none() {
            let path = format!("/{}", names::index(&alias));
            let body = mapping::creation(&self.client.options, &alias, spec);
            let answer = self.client.send_json(Method::Put, &path, &body, deadline).await?;
            // Somebody else may have been faster.
            if answer.body["error"]["type"] != "resource_already_exists_exception" {
                answer.good()?;
                ensured = Ensured::Created;
                tracing::info!(index = alias, "embedding index made");
            }
        }
        let Some((index, found)) = self.found(&alias, deadline).await? else {
            return Err(Error::Unavailable(format!(
                "{}: `{}` is there without its alias `{alias}`; add the alias, or remove the index",
                failure::WHO,
                names::index(&alias)
            )));
        };
        if mapping::compare(&index, &found, spec)? {
            let body = json!({ "properties": { "meta": { "properties": mapping::fields(spec) } } });
            let path = format!("/{index}/_mapping");
            self.client.send_json(Method::Put, &path, &body, deadline).await?.good()?;
        }
        Ok(ensured)
    }

    async fn remove(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        let Some((index, _)) = self.found(&self.alias(spec), deadline).await? else {
            return Ok(());
        };
        let answer = self.client.send(Method::Delete, &format!("/{index}"), None, deadline).await?;
        if answer.status == 404 { Ok(()) } else { answer.good().map(drop) }
    }

    async fn put(
        &self,
        spec: &IndexSpec,
        documents: Vec<Document>,
        visible: Visible,
        deadline: Option<Instant>,
    ) -> Vec<Result<PutOutcome, Error>> {
        // Its numbers in decimal, its bits in base64, and the rest.
        let bytes_of = |document: &Document| 1_000 + document.vector.len() * 18;
        self.in_parts(
            &documents,
            |document| check_document(spec, document),
            |good| cut(good, bytes_of, BULK_BYTES, BULK_DOCUMENTS),
            |part| async move { self.put_some(spec, &part, visible, deadline).await },
        )
        .await
    }

    async fn get(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<Option<Document>, Error>> {
        let bytes = 1_000 + spec.dimension as usize * 6;
        self.in_parts(
            ids,
            |id| check_id(spec, id),
            |good| cut(good, |_| bytes, GET_BYTES, GET_DOCUMENTS),
            |part| async move { self.get_some(spec, &part, deadline).await },
        )
        .await
    }

    async fn delete(
        &self,
        spec: &IndexSpec,
        ids: &[DocumentId],
        deadline: Option<Instant>,
    ) -> Vec<Result<bool, Error>> {
        self.in_parts(
            ids,
            |id| check_id(spec, id),
            |good| cut(good, |_| 100, BULK_BYTES, BULK_DOCUMENTS),
            |part| async move { self.delete_some(spec, &part, deadline).await },
        )
        .await
    }

    async fn nearest(
        &self,
        spec: &IndexSpec,
        query: &Nearest,
        deadline: Option<Instant>,
    ) -> Result<Vec<Hit>, Error> {
        check_nearest(spec, query)?;
        let path = format!("/{}/_search?allow_partial_search_results=false", self.alias(spec));
        let mut hits = Vec::new();
        // Fewer than asked for: nothing more passes, or the graph does not lead there (what is nearest
        // under `dot` may all have been deleted since the graph was built). Looking at everything is
        // cheap in the first case and right in the second.
        for effort in [Effort::Graph, Effort::Exact] {
            let body = query::nearest(spec, query, effort);
            let answer = self.client.send_json(Method::Post, &path, &body, deadline).await?;
            hits = query::hits(spec, &answer.good()?)?;
            if hits.len() >= query.k {
                break;
            }
        }
        hits.retain(|hit| query.score_min.is_none_or(|least| hit.score >= least));
        hits.sort_by(by_nearness);
        hits.truncate(query.k);
        Ok(hits)
    }

    async fn list(
        &self,
        spec: &IndexSpec,
        listing: &Listing,
        after: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<ListPage, Error> {
        let after = after.map(DocumentId::from_token).transpose()?;
        let path = format!("/{}/_search?allow_partial_search_results=false", self.alias(spec));
        let body = query::listing(listing, PAGE, after.as_ref());
        let answer = self.client.send_json(Method::Post, &path, &body, deadline).await?.good()?;
        let ids = query::listed(spec, &answer)?;
        let next = ids.last().filter(|_| ids.len() == PAGE).map(DocumentId::to_token);
        Ok(ListPage { ids, next })
    }

    async fn refresh(&self, spec: &IndexSpec, deadline: Option<Instant>) -> Result<(), Error> {
        let path = format!("/{}/_refresh", self.alias(spec));
        let answer = self.client.send(Method::Post, &path, None, deadline).await?.good()?;
        match answer["_shards"]["failed"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(Error::Unavailable(strange("is not from all shards").to_string())),
        }
    }
}
