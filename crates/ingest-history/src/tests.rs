//! Sinks over topics in memory: they come and go, believe to have what others have, and die.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::AsArray,
    datatypes::{Int64Type, UInt64Type},
};
use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use trivium_ingest::{
    LaneOptions, Schemas,
    port::{Partition, Record},
};
use trivium_lake_log::{CompactOptions, StreamLog};
use trivium_model::{StreamSystem, Timestamp, ViewRef, config::parse_view};
use trivium_registry::{Revision, Snapshot, StoredView};
use trivium_runtime::{FixedClock, Shutdown};

use super::*;

const NOW: i64 = 1_700_000_000_000_000;
const PARTITIONS: usize = 3;

fn snapshot(names: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for name in names {
        let config = format!(
            r#"{{ "namespace": "n", "name": "{name}", "version": 1, "lane": "stream", "description": "d",
            "owner": {{ "team": "t", "contact": "c" }}, "urgency_tier": 1, "online": {online},
            "entities": [{{ "name": "id", "type": "int64" }}], "event_timestamp": "at",
            "features": [{{ "name": "{name}", "type": "int64", "description": "d" }}],
            "source": {{ "format": "json", "topic": "events", "time_unit": "us",
                "columns": {{ "id": "$key.id" }} }} }}"#,
            online = *name == "x",
        );
        let view = parse_view(&format!("configs/n/{name}.v1.json"), &config).unwrap();
        let stored = StoredView {
            view,
            config_text: config,
            sql_text: None,
            revision: Revision(1),
            author: "a".into(),
            at: Timestamp(0),
            reason: "r".into(),
        };
        snapshot.views.insert(stored.view.reference(), Arc::new(stored));
    }
    snapshot
}

fn definitions(names: &[&str]) -> Arc<Definitions> {
    Arc::new(Definitions::of(&snapshot(names), StreamSystem::Kafka, &[]))
}

fn partition(number: usize) -> Partition {
    Partition { topic: "events".into(), name: number.to_string().into() }
}

fn view(name: &str) -> ViewRef {
    format!("n/{name}@1").parse().unwrap()
}

struct World {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    topics: Vec<Vec<Record>>,
    /// Offset and `id`, by partition, of each message that is a row.
    good: Vec<Vec<(u64, i64)>>,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            topics: vec![Vec::new(); PARTITIONS],
            good: vec![Vec::new(); PARTITIONS],
        }
    }

    /// Offsets have gaps, as after a compaction or a transaction.
    fn send(&mut self, number: usize, gap: u64, id: i64, value: Option<&str>, is_row: bool) {
        let topic = &mut self.topics[number];
        let offset = topic.last().map_or(0, |last| last.offset + 1) + gap;
        topic.push(Record {
            offset,
            key: Some(Bytes::from(format!(r#"{{ "id": {id} }}"#))),
            value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            headers: Vec::new(),
            time: Some(Timestamp(NOW)),
            broken: None,
        });
        if is_row {
            self.good[number].push((offset, id));
        }
    }

    fn sink(&self, definitions: &Arc<Definitions>) -> Sink {
        let options = SinkOptions {
            lake: self.folder.path().to_owned(),
            commit_bytes: usize::MAX,
            tend_every: std::time::Duration::ZERO,
            compact: CompactOptions { files_min: 4, ..CompactOptions::default() },
            ..SinkOptions::default()
        };
        let parts = SinkParts {
            schemas: Arc::new(Schemas::new(None)),
            lane: LaneOptions::default(),
            clock: Arc::new(FixedClock(NOW)),
            handle: self.runtime.handle().clone(),
        };
        Sink::open(options, parts, Arc::clone(definitions)).unwrap()
    }

    /// `(offset, id)` of all rows in the history, sorted.
    fn rows(&self, name: &str) -> Vec<(u64, i64)> {
        let log = StreamLog::new(self.folder.path(), &view(name));
        let state = log.load().unwrap();
        let definitions = definitions(&["x", "y"]);
        let shape = &definitions.shapes[&view(name)];
        let mut found = Vec::new();
        for file in state.files.values() {
            for batch in log.read(file, shape.columns()).unwrap() {
                let ids = batch.column(0).as_primitive::<Int64Type>();
                let offsets = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
                found.extend(offsets.values().iter().copied().zip(ids.values().iter().copied()));
            }
        }
        found.sort_unstable();
        found
    }

    fn expected(&self) -> Vec<(u64, i64)> {
        let mut all: Vec<_> = self.good.iter().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

/// A consumer: from where it reads on.
struct Member {
    sink: Sink,
    at: BTreeMap<usize, u64>,
}

impl Member {
    fn seek(&mut self, seeks: Vec<Seek>) {
        for seek in seeks {
            let number: usize = seek.partition.name.parse().unwrap();
            self.at.insert(number, seek.to.unwrap_or(0));
        }
    }
    fn assign(&mut self, number: usize) {
        let seeks = self.sink.assign(&[partition(number)]).unwrap();
        self.seek(seeks);
    }
    fn read(&mut self, world: &World, number: usize, most: usize) {
        let Some(at) = self.at.get_mut(&number) else { return };
        let records: Vec<Record> = world.topics[number]
            .iter()
            .filter(|record| record.offset >= *at)
            .take(most)
            .cloned()
            .collect();
        let Some(last) = records.last() else { return };
        *at = last.offset + 1;
        self.sink.take(&partition(number), &records, &Shutdown::new()).unwrap();
    }
    fn commit(&mut self) {
        let done = self.sink.commit();
        assert!(done.failed.is_none(), "{:?}", done.failed);
        self.seek(done.seeks);
    }
}

fn put(at: i64) -> String {
    format!(r#"{{ "at": {at}, "x": 7, "y": 1 }}"#)
}

#[test]
fn every_row_is_there_once_whoever_comes_goes_dies_or_does_not_know() {
    let mut overtaken = 0;
    for seed in 0..25 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::new();
        let mut known = definitions(&["x"]);
        let mut members: Vec<Member> = Vec::new();
        let mut next = 0;
        for step in 0..rng.random_range(50..200) {
            let number = rng.random_range(0..PARTITIONS);
            let member =
                if members.is_empty() { None } else { Some(rng.random_range(0..members.len())) };
            match (rng.random_range(0..100), member) {
                (0..40, _) => {
                    for _ in 0..rng.random_range(1..6) {
                        next += 1;
                        let gap = u64::from(rng.random_bool(0.1)) * 3;
                        match rng.random_range(0..10) {
                            // A delete is a row, too.
                            0 => world.send(number, gap, next, None, true),
                            1 => world.send(number, gap, next, Some("{ no json"), false),
                            // Later than serving takes it.
                            2 => {
                                let value = put(NOW + 86_400_000_001);
                                world.send(number, gap, next, Some(&value), false);
                            }
                            _ => {
                                let at = NOW - rng.random_range(0..200_000_000_000);
                                world.send(number, gap, next, Some(&put(at)), true);
                            }
                        }
                    }
                }
                (40..65, Some(member)) => {
                    members[member].read(&world, number, rng.random_range(1..8));
                }
                (65..80, Some(member)) => {
                    let before =
                        members[member].sink.views.values().map(|v| v.rows()).sum::<usize>();
                    let rows = world.rows("x").len();
                    members[member].commit();
                    overtaken += usize::from(before > 0 && world.rows("x").len() == rows);
                }
                // A partition moves; who had it may hear of that or not.
                (80..90, Some(member)) => {
                    if rng.random_bool(0.5) {
                        for other in &mut members {
                            if other.at.remove(&number).is_some() {
                                let seeks = other.sink.revoke(&[partition(number)]);
                                other.seek(seeks);
                            }
                        }
                    }
                    members[member].assign(number);
                }
                (90..93, Some(member)) => {
                    members.remove(member);
                }
                (93..95, _) => {
                    known = definitions(&["x", "y"]);
                    for member in &mut members {
                        let seeks = member.sink.define(Arc::clone(&known)).unwrap();
                        member.at.clear();
                        member.seek(seeks);
                    }
                }
                (95..97, Some(member)) => members[member].sink.tend().unwrap(),
                _ if members.len() < 3 => {
                    members.push(Member { sink: world.sink(&known), at: BTreeMap::new() });
                }
                _ => {}
            }
            if step % 16 > 0 {
                continue;
            }
            // At no moment is a row there twice.
            let rows = world.rows("x");
            assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "seed {seed}");
        }
        // One that comes in the end finds and brings the rest; the others are still there.
        let both = definitions(&["x", "y"]);
        let mut last = Member { sink: world.sink(&both), at: BTreeMap::new() };
        for number in 0..PARTITIONS {
            last.assign(number);
            last.read(&world, number, usize::MAX);
        }
        last.commit();
        for member in &mut members {
            for number in 0..PARTITIONS {
                member.read(&world, number, usize::MAX);
            }
            member.commit();
        }
        assert_eq!(world.rows("x"), world.expected(), "seed {seed}");
        assert_eq!(world.rows("y"), world.expected(), "seed {seed}");
    }
    // Else nobody was ever too late.
    assert!(overtaken > 0, "{overtaken}");
}

#[test]
fn what_cannot_be_written_is_kept_and_tried_again() {
    let mut world = World::new();
    for id in 0..4 {
        world.send(0, 0, id, Some(&put(5)), true);
    }
    let known = definitions(&["x", "y"]);
    let mut member = Member { sink: world.sink(&known), at: BTreeMap::new() };
    member.assign(0);
    member.read(&world, 0, 2);
    // A file stands where the day's folder should be.
    let folder = world.folder.path().join("n/x/v1");
    std::fs::create_dir_all(&folder).unwrap();
    let day = folder.join("ds=1970-01-01");
    std::fs::write(&day, "").unwrap();
    let done = member.sink.commit();
    assert!(done.failed.is_some() && done.seeks.is_empty());
    // The other view's rows are there all the same.
    assert_eq!((world.rows("x").len(), world.rows("y").len()), (0, 2));
    member.read(&world, 0, 2);
    std::fs::remove_file(&day).unwrap();
    member.commit();
    assert_eq!((world.rows("x"), world.rows("y")), (world.expected(), world.expected()));
    assert_eq!(member.sink.bytes(), 0);
}

#[test]
fn it_is_time_to_commit_when_rows_are_many_or_old() {
    let mut world = World::new();
    for id in 0..100 {
        world.send(0, 0, id, Some(&put(5)), true);
    }
    let known = definitions(&["x"]);
    let mut member = Member { sink: world.sink(&known), at: BTreeMap::new() };
    member.assign(0);
    assert!(!member.sink.is_due());
    member.read(&world, 0, 1);
    assert!(!member.sink.is_due() && member.sink.bytes() > 0);
    member.sink.options.commit_bytes = 20 * member.sink.bytes();
    member.read(&world, 0, 18);
    assert!(!member.sink.is_due());
    member.read(&world, 0, 1);
    assert!(member.sink.is_due());
    member.commit();
    assert!(!member.sink.is_due());
    member.read(&world, 0, 1);
    member.sink.options.commit_every = std::time::Duration::ZERO;
    assert!(member.sink.is_due());
}

/// Messages without rows are not committed one by one, and not read for ever either.
#[test]
fn progress_without_rows_is_committed_in_the_end() {
    let mut world = World::new();
    for _ in 0..9_999 {
        world.send(0, 0, 1, Some("{"), false);
    }
    let known = definitions(&["x"]);
    let mut member = Member { sink: world.sink(&known), at: BTreeMap::new() };
    let log = StreamLog::new(world.folder.path(), &view("x"));
    member.assign(0);
    member.read(&world, 0, usize::MAX);
    member.commit();
    assert_eq!(log.load().unwrap().number, 0);
    world.send(0, 0, 1, Some("{"), false);
    member.read(&world, 0, usize::MAX);
    member.commit();
    let state = log.load().unwrap();
    assert_eq!((state.number, state.rows()), (1, 0));
    let mut second = Member { sink: world.sink(&known), at: BTreeMap::new() };
    second.assign(0);
    assert_eq!(second.at[&0], 10_000);
}

/// Where positions are counted by readers, the logs say what the source calls the last message.
#[test]
fn logs_know_by_what_mark_a_partition_is_read_on() {
    let mut world = World::new();
    for id in 0..6 {
        world.send(0, 0, id, Some(&put(5)), true);
    }
    let known = definitions(&["x", "y"]);
    let mut member = Member { sink: world.sink(&known), at: BTreeMap::new() };
    member.assign(0);
    let marked = |member: &mut Member| -> Vec<(u64, String)> {
        let mut marks = member.sink.marks(&partition(0)).unwrap();
        marks.dedup();
        marks
    };
    let at = |last: u64, mark: &str| (last, mark.to_owned());
    member.read(&world, 0, 2);
    member.sink.mark(&partition(0), 1, "second");
    assert!(member.sink.holds(&partition(0)) && !member.sink.holds(&partition(1)));
    assert_eq!(marked(&mut member), []);
    member.commit();
    assert_eq!(marked(&mut member), [at(1, "second")]);
    assert!(!member.sink.holds(&partition(0)));

    // A mark of another message says nothing, and that of before it names another place.
    member.read(&world, 0, 1);
    member.sink.mark(&partition(0), 1, "second");
    member.commit();
    assert_eq!(marked(&mut member), []);

    // One view is behind: read on from there, the other passes over what it has.
    member.read(&world, 0, 1);
    member.sink.mark(&partition(0), 3, "fourth");
    member.commit();
    let day = world.folder.path().join("n/x/v1/ds=1970-01-01");
    std::fs::remove_dir_all(&day).unwrap();
    std::fs::write(&day, "").unwrap();
    member.read(&world, 0, 2);
    member.sink.mark(&partition(0), 5, "sixth");
    assert!(member.sink.commit().failed.is_some());
    assert!(member.sink.holds(&partition(0)));
    assert_eq!(marked(&mut member), [at(3, "fourth"), at(5, "sixth")]);

    // Checkpoints have them, too.
    std::fs::remove_file(&day).unwrap();
    member.commit();
    for _ in 0..70 {
        world.send(1, 0, 1, Some(&put(5)), true);
    }
    member.assign(1);
    for last in 0..70 {
        member.read(&world, 1, 1);
        member.sink.mark(&partition(1), last, &format!("{last}"));
        member.commit();
    }
    let folder = world.folder.path().join("n/y/v1/_commits");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().contains("checkpoint")));
    let mut next = Member { sink: world.sink(&known), at: BTreeMap::new() };
    assert_eq!(marked(&mut next), [at(5, "sixth")]);
    assert_eq!(next.sink.marks(&partition(1)).unwrap(), [at(69, "69"), at(69, "69")]);
}

/// Each system has a sink of its own, with the views whose messages are in it.
#[test]
fn a_system_has_the_views_of_its_own_sources() {
    let snapshot = snapshot(&["x", "y"]);
    let mut both = Snapshot::default();
    for (view, stored) in snapshot.views {
        let mut stored = (*stored).clone();
        if view.view.as_str() == "y" {
            stored.view.source.as_mut().unwrap().system = StreamSystem::Kinesis;
        }
        both.views.insert(view, Arc::new(stored));
    }
    for (system, name) in [(StreamSystem::Kafka, "x"), (StreamSystem::Kinesis, "y")] {
        let definitions = Definitions::of(&both, system, &[]);
        assert_eq!(definitions.shapes.keys().cloned().collect::<Vec<_>>(), [view(name)]);
        assert!(definitions.unread().is_empty() && definitions.has_views("events"));
        assert!(!definitions.has_views("others") && definitions.unread_in("events").is_none());
    }
}
