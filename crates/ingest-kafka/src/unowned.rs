//! Partitions that nobody has.
//!
//! A worker with a name in its group (`group.instance.id`) that is back in time gets what it had, and nothing is agreed
//! anew. If it went in the middle of a cooperative rebalance, after it had given partitions up and before it joined
//! again so that others get them, those stay nobody's, and nobody reads their messages, until something else makes the
//! group agree: Kafka's protocol has no remedy of its own. So named workers look at their group after they were given
//! partitions, and where some stay nobody's, a guest joins the group for a moment.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Buf as _;
use rand::RngExt as _;
use rdkafka::{
    ClientContext,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
};
use trivium_runtime::Shutdown;

use crate::{KafkaOptions, consumer::ToTheEnd};

const STEP: Duration = Duration::from_millis(100);
/// How long a broker may take to say.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits at most where visits are in vain.
const WAIT_MOST: Duration = Duration::from_secs(600);

/// Topics, and the numbers of partitions of them.
type Set = BTreeSet<(String, i32)>;

#[derive(Default)]
struct State {
    /// When the group is to be looked at; none: nothing has changed.
    due: Option<Instant>,
    /// What was nobody's at the last look: somebody may be about to get it.
    seen: Set,
    /// How often visits were in vain.
    visits: u32,
    has_failed: bool,
}

/// Watches a group that has named workers.
pub(crate) struct Unowned {
    options: KafkaOptions,
    group: String,
    state: Mutex<State>,
}

impl Unowned {
    /// Watches the worker's group, on a thread of its own, as long as somebody holds what this gives. None: the worker
    /// has no name.
    pub fn watch(options: &KafkaOptions, group: &str, shutdown: &Shutdown) -> Option<Arc<Self>> {
        options.instance.as_ref()?;
        let watched = Arc::new(Self {
            options: options.clone(),
            group: group.to_owned(),
            state: Mutex::default(),
        });
        let (followed, shutdown) = (Arc::downgrade(&watched), shutdown.clone());
        let spawned = std::thread::Builder::new()
            .name("kafka-unowned".to_owned())
            .spawn(move || follow(&followed, &shutdown));
        if let Err(error) = spawned {
            tracing::warn!(%error, group, "nobody looks for partitions that nobody has");
        }
        Some(watched)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look next. All members are told of an assignment at once: who looks first spares the others.
    fn next(&self, visits: u32) -> Instant {
        let wait = self.options.session.saturating_mul(1 << visits.min(16)).min(WAIT_MOST);
        Instant::now() + wait.mul_f64(rand::rng().random_range(1.0..2.0))
    }

    /// The worker was given partitions, or none: the group has agreed.
    pub fn assigned(&self) {
        let mut state = self.state();
        state.seen.clear();
        state.due = Some(self.next(state.visits));
    }

    fn look(self: &Arc<Self>, shutdown: &Shutdown) {
        let found = self.find();
        let mut state = self.state();
        // The group has agreed anew meanwhile.
        if state.due.is_some() {
            return;
        }
        match found {
            Ok(Some(unowned)) if unowned.is_empty() => *state = State::default(),
            Ok(Some(unowned)) if unowned == state.seen => {
                state.seen.clear();
                state.visits += 1;
                drop(state);
                tracing::warn!(
                    group = self.group,
                    ?unowned,
                    "partitions are nobody's: the group is made to agree anew"
                );
                if let Err(error) = self.visit(&unowned, shutdown) {
                    tracing::warn!(group = self.group, %error, "the group is not made to agree anew");
                }
                let mut state = self.state();
                let next = self.next(state.visits);
                state.due.get_or_insert(next);
            }
            Ok(unowned) => {
                state.seen = unowned.unwrap_or_default();
                state.due = Some(self.next(state.visits));
            }
            Err(error) => {
                if !std::mem::replace(&mut state.has_failed, true) {
                    tracing::warn!(group = self.group, %error, "whether partitions are nobody's is not told");
                }
                state.due = Some(self.next(state.visits));
            }
        }
    }

    /// What is nobody's, and nobody is about to give up; none: the group is about to agree.
    fn find(&self) -> Result<Option<Set>, KafkaError> {
        let client: BaseConsumer<ToTheEnd> = self.options.client().create_with_context(ToTheEnd)?;
        let groups = client.fetch_group_list(Some(&self.group), PATIENCE)?;
        let group = groups.groups().iter().find(|group| group.name() == self.group);
        let members = match group.map(|group| (group.state(), group.members())) {
            Some(("PreparingRebalance" | "CompletingRebalance", _)) => return Ok(None),
            Some(("Stable", members)) => members,
            // Whoever joins it is told of an assignment.
            _ => return Ok(Some(Set::new())),
        };
        let (mut topics, mut owned) = (BTreeSet::new(), Set::new());
        for member in members {
            let told = member.metadata().and_then(wanted).zip(partitions(member.assignment()));
            // What cannot be read is no reason to disturb the group.
            let Some(((some, held), assigned)) = told else { return Ok(Some(Set::new())) };
            topics.extend(some);
            owned.extend(held);
            owned.extend(assigned);
        }
        let mut unowned = Set::new();
        for topic in topics {
            let metadata = client.fetch_metadata(Some(&topic), PATIENCE)?;
            let of = metadata.topics().iter().flat_map(|one| one.partitions());
            let all = of.map(|partition| (topic.clone(), partition.id()));
            unowned.extend(all.filter(|one| !owned.contains(one)));
        }
        Ok(Some(unowned))
    }

    /// Who joins and who leaves makes the others agree anew.
    fn visit(self: &Arc<Self>, unowned: &Set, shutdown: &Shutdown) -> Result<(), KafkaError> {
        let mut config = self.options.consumer();
        config.set("group.id", &self.group).remove("group.instance.id");
        let guest: BaseConsumer<Guest> = config.create_with_context(Guest::default())?;
        let topics: BTreeSet<&str> = unowned.iter().map(|(topic, _)| topic.as_str()).collect();
        guest.subscribe(&topics.into_iter().collect::<Vec<_>>())?;
        let mut is_told = false;
        // Who goes before it is in stays a member whom nobody can reach. But a worker that has begun anew has
        // another one who watches.
        let is_wanted = || !shutdown.is_triggered() && Arc::strong_count(self) > 1;
        while !guest.context().is_in.load(Ordering::Relaxed) && is_wanted() {
            // Its messages are for those who get them next.
            if let Some(Err(error)) = guest.poll(STEP)
                && !std::mem::replace(&mut is_told, true)
            {
                tracing::warn!(group = self.group, %error, "the guest is not in the group yet");
            }
        }
        Ok(())
    }
}

fn follow(watched: &Weak<Unowned>, shutdown: &Shutdown) {
    while !shutdown.is_triggered() {
        std::thread::sleep(STEP);
        let Some(watched) = watched.upgrade() else { return };
        let is_due = watched.state().due.take_if(|due| *due <= Instant::now()).is_some();
        if is_due {
            watched.look(shutdown);
        }
    }
}

#[derive(Default)]
struct Guest {
    is_in: AtomicBool,
}

impl ClientContext for Guest {}

impl ConsumerContext for Guest {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.is_in.store(true, Ordering::Relaxed);
        }
    }
}

/// The topics that a member wants, and the partitions that it had when it joined, by its metadata: `version int16,
/// [topic string], user data bytes`, and since version 1 `[topic string, [partition int32]]`. What it is to give up
/// is among them until it has joined again.
fn wanted(mut bytes: &[u8]) -> Option<(Vec<String>, Set)> {
    let version = bytes.try_get_i16().ok()?;
    let count = bytes.try_get_i32().ok()?;
    let topics = (0..count).map(|_| string(&mut bytes)).collect::<Option<Vec<_>>>()?;
    // Null is -1.
    let data = usize::try_from(bytes.try_get_i32().ok()?).unwrap_or_default();
    bytes = bytes.get(data..)?;
    let held = if version >= 1 { listed(&mut bytes)? } else { Set::new() };
    Some((topics, held))
}

/// The partitions that a member is given: `version int16, [topic string, [partition int32]], …`; nothing: none.
fn partitions(bytes: Option<&[u8]>) -> Option<Set> {
    let mut bytes = bytes.unwrap_or_default();
    if bytes.is_empty() {
        return Some(Set::new());
    }
    bytes.try_get_i16().ok()?;
    listed(&mut bytes)
}

fn listed(bytes: &mut &[u8]) -> Option<Set> {
    let mut partitions = Set::new();
    for _ in 0..bytes.try_get_i32().ok()? {
        let topic = string(bytes)?;
        for _ in 0..bytes.try_get_i32().ok()? {
            partitions.insert((topic.clone(), bytes.try_get_i32().ok()?));
        }
    }
    Some(partitions)
}

fn string(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}
