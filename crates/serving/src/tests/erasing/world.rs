//! Nodes that share a store whose index lags, and that die at any call: a dead node's calls never return.
//! Time is tokio's, paused: it passes when everybody waits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant as StdInstant},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::{sync::Notify, time::Instant};
use tower::ServiceExt as _;
use trivium_codec::{Row, RowKey};
use trivium_registry::{ErasureOrder, ErasureOrders, Error as RegistryError, MemoryRegistry};
use trivium_runtime::Clock;
use trivium_store::{
    Checkpoints, EmbeddingIndex, Error, MemoryStore, OnlineRead, OnlineWrite, OpenPage,
    ReadOptions, RowWrite, SubjectPage, SubjectRow, SubjectStore, SubjectTombstone, Subjects,
    WriteOutcome,
};

use crate::{
    Definitions, ErasureOptions, Options, Serving, Stores,
    tests::fixture::{NOW, WALL, snapshot},
};

pub(super) fn view(name: &str, keys: &str, subject: &str) -> String {
    format!(
        r#"{{
  "namespace": "shop", "name": "{name}", "version": 1, "lane": "direct",
  "description": "D.", "owner": {{ "team": "shop", "contact": "shop@example.com" }},
  "urgency_tier": 3, "entities": [ {keys} ], "event_timestamp": "event_ts", {subject}
  "features": [ {{ "name": "a", "type": "int64", "description": "A." }},
                {{ "name": "b", "type": "int64", "description": "B." }} ],
  "online": true
}}"#
    )
}

const USER: &str = r#"{ "name": "user_id", "type": "int64" }"#;
const PAGE: &str = r#"{ "name": "page", "type": "string" }"#;
const SUBJECT: &str = r#""subject": "user_id","#;

/// A row of the index: when it is seen, and when it is seen no more.
#[derive(Clone, Copy)]
struct Seen {
    from: Instant,
    until: Option<Instant>,
}

/// What all nodes share.
pub(super) struct Shared {
    pub(super) store: MemoryStore,
    pub(super) registry: MemoryRegistry,
    pub(super) registry_is_away: AtomicBool,
    pub(super) index_lag: Mutex<Duration>,
    index: Mutex<HashMap<String, BTreeMap<RowKey, Seen>>>,
    pub(super) index_calls: AtomicU64,
    /// Rows read, written, or looked at as a subject's; tombstones read and changed.
    pub(super) item_calls: AtomicU64,
    /// How many more times a cache says that it may keep what was deleted.
    pub(super) remembers: AtomicI64,
    /// Who asks the index at the moment, and the most that ever did.
    asking: AtomicU64,
    pub(super) asking_most: AtomicU64,
    /// What each call takes.
    pub(super) call_time: Mutex<Duration>,
    pub(super) data_now: AtomicI64,
    began: Instant,
    definitions: Arc<Definitions>,
    pub(super) embeddings: Mutex<Option<Arc<dyn EmbeddingIndex>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Clock for Shared {
    /// The wall clock of every node.
    fn now_micros(&self) -> i64 {
        WALL + i64::try_from(self.began.elapsed().as_micros()).unwrap()
    }
}

#[derive(Debug)]
struct DataClock(Arc<Shared>);
impl Clock for DataClock {
    fn now_micros(&self) -> i64 {
        self.0.data_now.load(Ordering::SeqCst)
    }
}

impl Shared {
    pub(super) fn new(more: &[&str]) -> Arc<Self> {
        let profile = view("profile", USER, SUBJECT);
        let visit = view("visit", &format!("{USER}, {PAGE}"), SUBJECT);
        let cart = view("cart", USER, SUBJECT);
        let plain = view("plain", USER, "");
        let mut views = vec![&*profile, &*visit, &*cart, &*plain];
        views.extend(more);
        let histories: Vec<&[&str]> = views.chunks(1).collect();
        let definitions = Definitions::from_snapshot(&snapshot(1, &histories)).unwrap();
        Arc::new(Self {
            store: MemoryStore::new(),
            registry: MemoryRegistry::new(),
            registry_is_away: AtomicBool::new(false),
            index_lag: Mutex::new(Duration::ZERO),
            index: Mutex::default(),
            index_calls: AtomicU64::new(0),
            item_calls: AtomicU64::new(0),
            remembers: AtomicI64::new(0),
            asking: AtomicU64::new(0),
            asking_most: AtomicU64::new(0),
            call_time: Mutex::default(),
            data_now: AtomicI64::new(NOW),
            began: Instant::now(),
            definitions: Arc::new(definitions),
            embeddings: Mutex::new(None),
        })
    }

    /// A node with options that suit paused time.
    pub(super) fn node(self: &Arc<Self>) -> Node {
        self.node_with(ErasureOptions {
            index_lag_ms: 2_000,
            wait_ms_max: 20_000,
            lease_ms: 5_000,
            resume_every_ms: 1_000,
            at_once_max: 4,
            in_hand_max: 512,
        })
    }

    pub(super) fn node_with(self: &Arc<Self>, erasure: ErasureOptions) -> Node {
        let ports = Arc::new(Ports {
            shared: Arc::clone(self),
            left: AtomicI64::new(i64::MAX),
            revived: Notify::new(),
            has_lost: AtomicBool::new(false),
            calls_after: AtomicU64::new(0),
        });
        let mut stores = Stores::of(Arc::clone(&ports))
            .with_subjects(Arc::clone(&ports) as Arc<dyn SubjectStore>)
            .with_orders(Arc::clone(&ports) as Arc<dyn ErasureOrders>);
        if let Some(index) = &*self.embeddings.lock().unwrap() {
            stores = stores.with_embeddings(Arc::clone(index));
        }
        let serving = Serving::new(
            stores,
            Arc::new(ArcSwap::from(Arc::clone(&self.definitions))),
            Arc::new(DataClock(Arc::clone(self))),
            Arc::clone(self) as Arc<dyn Clock>,
            Options { erasure, ..Options::default() },
        );
        Node { router: trivium_api::finish(serving.router()), serving, ports }
    }

    /// Live rows of a user, over all views, as the store itself holds them: the features' values.
    pub(super) fn live(&self) -> BTreeMap<String, (i64, Vec<Option<i64>>)> {
        let mut found = BTreeMap::new();
        for (key, row) in self.store.scan() {
            if row.is_deleted() {
                continue;
            }
            let name = String::from_utf8_lossy(key.as_bytes()).replace('\0', " ");
            let view = self.definitions.all().find(|view| view.keys.decode(&key).is_ok()).unwrap();
            let reader = view.layouts.reader(&row).unwrap();
            let values = (0..view.fields().len()).map(|field| match reader.get(field).unwrap() {
                Some(trivium_codec::ValueRef::Int64(value)) => Some(value),
                _ => None,
            });
            found.insert(name, (row.header().event_time.0, values.collect()));
        }
        found
    }

    pub(super) fn calls(&self) -> (u64, u64) {
        (self.index_calls.load(Ordering::SeqCst), self.item_calls.load(Ordering::SeqCst))
    }

    fn note(&self, subject: &str, key: &RowKey, is_there: bool) {
        let now = Instant::now();
        let lag = *self.index_lag.lock().unwrap();
        let mut index = self.index.lock().unwrap();
        let rows = index.entry(subject.to_owned()).or_default();
        if is_there {
            let from = rows.get(key).map_or(now + lag, |seen| seen.from.min(now + lag));
            rows.insert(key.clone(), Seen { from, until: None });
        } else if let Some(seen) = rows.get_mut(key) {
            seen.until = Some(now + lag);
        }
    }
}

pub(super) struct Node {
    pub(super) serving: Serving,
    router: axum::Router,
    pub(super) ports: Arc<Ports>,
}

impl Node {
    /// Dies at its `calls`th call from now on, at once before or after that has been done.
    pub(super) fn dies_after(&self, calls: i64) {
        self.ports.left.store(calls, Ordering::SeqCst);
    }

    /// It was not dead: it had stalled, and goes on where it was.
    pub(super) fn revive(&self) {
        self.ports.left.store(i64::MAX, Ordering::SeqCst);
        self.ports.revived.notify_waiters();
    }

    pub(super) async fn send(&self, path: &str, body: Json) -> (u16, Json) {
        let request = axum::http::Request::post(path)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(super) async fn erase(&self, user: i64, request_id: &str) -> Json {
        let body = json!({
            "namespace": "shop", "subject": { "user_id": user }, "request_id": request_id,
            "requested_by": "dpo", "reason": "asked"
        });
        let (status, report) = self.send("/v1/subjects/erase", body).await;
        assert_eq!(status, 200, "{report}");
        report
    }

    pub(super) async fn report(&self, user: i64) -> Json {
        let body = json!({ "namespace": "shop", "subject": { "user_id": user } });
        let (status, report) = self.send("/v1/subjects/erasure", body).await;
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Puts rows into one view; the outcomes.
    pub(super) async fn put(&self, view: &str, rows: Vec<Json>) -> Vec<String> {
        let body = json!({ "view": format!("shop/{view}@1"), "rows": rows });
        let (status, answer) = self.send("/v1/features/online/put", body).await;
        assert_eq!(status, 200, "{answer}");
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| result["outcome"].as_str().unwrap().to_owned()).collect()
    }

    /// A person's rows in all views: profile, cart, so many visits, and one of no subject.
    pub(super) async fn fill(&self, user: i64, visits: i64) {
        let entity = json!({ "entity": { "user_id": user }, "values": { "a": user, "b": 1 } });
        for view in ["profile", "cart", "plain"] {
            assert_eq!(self.put(view, vec![entity.clone()]).await, ["APPLIED"]);
        }
        let visit = |page: i64| {
            json!({ "entity": { "user_id": user, "page": format!("p{page}") },
                    "values": { "a": user, "b": page } })
        };
        let mut page = 0;
        while page < visits {
            let end = visits.min(page + 1_000);
            let rows: Vec<Json> = (page..end).map(visit).collect();
            assert!(self.put("visit", rows).await.iter().all(|outcome| outcome == "APPLIED"));
            page = end;
        }
    }

    /// Goes on with what others left, once.
    pub(super) async fn resume(&self) {
        let store = Arc::clone(&self.ports) as Arc<dyn SubjectStore>;
        let mut in_hand = tokio::task::JoinSet::new();
        self.serving.resume_round(&store, &mut in_hand).await.unwrap();
        in_hand.join_all().await;
    }
}

/// A node's way to everything.
pub(super) struct Ports {
    shared: Arc<Shared>,
    left: AtomicI64,
    revived: Notify,
    /// Whether another node changed the tombstone first.
    pub(super) has_lost: AtomicBool,
    /// Steps of an erasure that were taken after that.
    pub(super) calls_after: AtomicU64,
}

impl Ports {
    /// A step of an erasure other than changing its record, or looking at it.
    fn note(&self) {
        if self.has_lost.load(Ordering::SeqCst) {
            self.calls_after.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Never returns where the node is dead; whether it dies after this call.
    async fn step(&self) -> bool {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        // Every other death comes after the deed, before its answer.
        let calls = self.shared.item_calls.load(Ordering::SeqCst);
        if left < 0 || (left == 0 && calls.is_multiple_of(2)) {
            self.revived.notified().await;
            return false;
        }
        let time = *self.shared.call_time.lock().unwrap();
        if time.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(time).await;
        }
        left == 0
    }
    async fn end(&self, is_dead: bool) {
        if is_dead {
            self.revived.notified().await;
        }
    }
    fn items(&self, count: usize) {
        self.shared.item_calls.fetch_add(count as u64, Ordering::SeqCst);
    }
}

#[async_trait]
impl OnlineRead for Ports {
    async fn get(&self, keys: &[RowKey], options: &ReadOptions) -> Vec<Result<Option<Row>, Error>> {
        self.note();
        let dies = self.step().await;
        self.items(keys.len());
        // Deadlines are of the machine's time, which does not stand still as ours does.
        let options = ReadOptions { deadline: None, ..options.clone() };
        let rows = self.shared.store.get(keys, &options).await;
        self.end(dies).await;
        rows
    }
}

#[async_trait]
impl OnlineWrite for Ports {
    async fn write(
        &self,
        writes: Vec<RowWrite>,
        seed_micros: u64,
        _: Option<StdInstant>,
    ) -> Vec<Result<WriteOutcome, Error>> {
        self.note();
        let dies = self.step().await;
        self.items(writes.len());
        let told: Vec<_> =
            writes.iter().map(|write| (write.subject.clone(), write.key.clone())).collect();
        let outcomes = self.shared.store.write(writes, seed_micros, None).await;
        for ((subject, key), outcome) in told.iter().zip(&outcomes) {
            if let (Some(subject), Ok(WriteOutcome::Applied(stamp))) = (subject, outcome) {
                self.shared.note(subject, key, !stamp.deleted);
            }
        }
        self.end(dies).await;
        outcomes
    }
}

#[async_trait]
impl Checkpoints for Ports {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.shared.store.load(name).await
    }
    async fn store(&self, name: &str, old: Option<&[u8]>, value: Bytes) -> Result<bool, Error> {
        self.shared.store.store(name, old, value).await
    }
}

/// Keys in one page of the index.
const PAGE_KEYS: usize = 40;

#[async_trait]
impl Subjects for Ports {
    async fn keys_of(&self, subject: &str, after: Option<&str>) -> Result<SubjectPage, Error> {
        self.note();
        let asking = self.shared.asking.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.asking_most.fetch_max(asking, Ordering::SeqCst);
        self.step().await;
        self.shared.asking.fetch_sub(1, Ordering::SeqCst);
        self.shared.index_calls.fetch_add(1, Ordering::SeqCst);
        let now = Instant::now();
        let index = self.shared.index.lock().unwrap();
        let rows = index.get(subject);
        let seen = rows.into_iter().flatten().filter(|(key, seen)| {
            seen.from <= now
                && seen.until.is_none_or(|until| now < until)
                && after.is_none_or(|after| key.as_bytes() > after.as_bytes())
        });
        let mut keys: Vec<RowKey> = seen.map(|(key, _)| key.clone()).take(PAGE_KEYS + 1).collect();
        let is_more = keys.len() > PAGE_KEYS;
        keys.truncate(PAGE_KEYS);
        let last = keys.last().filter(|_| is_more);
        let next = last.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        Ok(SubjectPage { keys, next })
    }
}

#[async_trait]
impl SubjectStore for Ports {
    async fn rows_of(
        &self,
        subject: &str,
        keys: &[RowKey],
    ) -> Vec<Result<Option<SubjectRow>, Error>> {
        self.note();
        self.step().await;
        self.items(keys.len());
        self.shared.store.rows_of(subject, keys).await
    }
    async fn tombstone(&self, subject: &str) -> Result<Option<SubjectTombstone>, Error> {
        self.step().await;
        self.items(1);
        self.shared.store.tombstone(subject).await
    }
    async fn swap_tombstone(
        &self,
        subject: &str,
        expected: Option<&SubjectTombstone>,
        new: &SubjectTombstone,
    ) -> Result<bool, Error> {
        let dies = self.step().await;
        self.items(1);
        let swapped = self.shared.store.swap_tombstone(subject, expected, new).await;
        if matches!(swapped, Ok(false)) {
            self.has_lost.store(true, Ordering::SeqCst);
        }
        self.end(dies).await;
        swapped
    }
    async fn open_tombstones(&self, after: Option<&str>) -> Result<OpenPage, Error> {
        self.step().await;
        self.shared.index_calls.fetch_add(1, Ordering::SeqCst);
        self.shared.store.open_tombstones(after).await
    }
    async fn are_forgotten(&self, _: &[RowKey]) -> bool {
        self.note();
        self.shared.remembers.fetch_sub(1, Ordering::SeqCst) <= 0
    }
}

#[async_trait]
impl ErasureOrders for Ports {
    async fn leave(&self, order: &ErasureOrder) -> Result<u64, RegistryError> {
        self.note();
        let dies = self.step().await;
        if self.shared.registry_is_away.load(Ordering::SeqCst) {
            return Err(RegistryError::Unavailable("it is away".to_owned()));
        }
        let number = self.shared.registry.leave(order).await;
        self.end(dies).await;
        number
    }
    async fn orders(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, ErasureOrder)>, RegistryError> {
        self.shared.registry.orders(after, limit).await
    }
}

/// The users whose orders were left.
pub(super) async fn ordered(shared: &Shared) -> BTreeSet<i64> {
    let orders = shared.registry.orders(0, 100_000).await.unwrap();
    orders.into_iter().map(|(_, order)| order.value.as_i64().unwrap()).collect()
}
