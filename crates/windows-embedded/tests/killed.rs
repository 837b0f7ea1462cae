//! A process that computes windows is killed at random moments, again and again: in the end its rows
//! are those of one that never was.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a whole file of tests")]

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use trivium_model::{KeyValue, Timestamp, Value, config::parse_view};
use trivium_windows::{Event, MemoryState, Output, Plan, State, Step, progress};
use trivium_windows_embedded::{Folder, Mark};

/// Where a child finds its folder.
const CHILD: &str = "TRIVIUM_TEST_WINDOWS_CHILD";
/// After so many messages it is done. Without them there is no end: one that is to be killed never gets
/// there before, however fast the machine is.
const MESSAGES: &str = "TRIVIUM_TEST_WINDOWS_MESSAGES";
/// So many the last one has at least, after all kills.
const MESSAGES_LEAST: u64 = 60_000;
const BATCH: u64 = 40;

fn plan(lateness: &str) -> Plan {
    let config = serde_json::json!({
        "namespace": "n", "name": "a", "version": 1, "lane": "stream", "description": "d",
        "owner": { "team": "t", "contact": "c" }, "urgency_tier": 1,
        "entities": [{ "name": "id", "type": "int64" }], "event_timestamp": "at",
        "features": [
            { "name": "events", "type": "int64", "description": "d" },
            { "name": "x", "type": "float64", "description": "d" },
        ],
        "source": { "format": "json", "topic": "events" },
        "window": {
            "size": "60s", "slide": "20s", "allowed_lateness": lateness, "event_id": "event",
            "columns": [{ "name": "x", "type": "float64" }, { "name": "event", "type": "int64" }],
            "features": { "events": "count", "x": { "sum": "x" } }, "payload_topic": "rows",
        },
    });
    let view = parse_view("configs/n/a.v1.json", &config.to_string());
    Plan::new(&view.unwrap_or_else(|found| panic!("{found:?}"))).unwrap()
}

/// The same for everybody.
fn event(offset: u64) -> Event {
    let mut random = StdRng::seed_from_u64(offset);
    let second = offset as i64 / 20 + random.random_range(-25..5_i64);
    Event {
        entity: vec![KeyValue::Int64(random.random_range(0..30))],
        time: Timestamp(second * 1_000_000),
        values: vec![
            Value::Float64(random.random_range(-1.0..1.0)),
            Value::Int64(random.random_range(0..1_000_000)),
        ],
    }
}

/// One step on top of the state, of as many messages as a batch has, and none behind the last.
fn step(plan: &Plan, state: &impl State, messages: u64) -> Output {
    let from = progress(plan, state).unwrap().map_or(0, |progress| progress.position);
    let mut step = Step::begin(plan, state).unwrap();
    for offset in from..(from + BATCH).min(messages) {
        assert!(step.settle().unwrap());
        step.take(offset, Some(&event(offset))).unwrap();
    }
    step.finish().unwrap()
}

fn lines(output: &Output) -> String {
    output.rows.iter().map(|row| format!("{row:?}\n")).collect()
}

/// Not a test by itself: what the children of the other one do.
#[test]
fn child() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let folder = Path::new(&folder);
    let messages = std::env::var(MESSAGES).map_or(u64::MAX, |messages| messages.parse().unwrap());
    let plan = plan("30s");
    let shelf = Folder::open(&folder.join("state")).unwrap().shelf("n.a@1-0").unwrap();
    let mut rows =
        std::fs::OpenOptions::new().create(true).append(true).open(folder.join("rows")).unwrap();
    loop {
        let output = step(&plan, &shelf, messages);
        // Rows first: those of a step that is lost are given again, and are the same.
        rows.write_all(lines(&output).as_bytes()).unwrap();
        let position = output.progress.position;
        shelf.apply(&output.changes, Mark { changelog: position as i64, at_millis: 0 }).unwrap();
        if position == messages && output.is_settled {
            break;
        }
    }
}

/// How long the rows are that a child has written.
fn rows_bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("rows")).map_or(0, |file| file.len())
}

/// `child` in a process of its own, which a test that fails does not leave behind.
struct Running(Child);

impl Running {
    fn start(folder: &Path, messages: Option<u64>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child"]).env(CHILD, folder).stdout(Stdio::null());
        if let Some(messages) = messages {
            command.env(MESSAGES, messages.to_string());
        }
        Self(command.spawn().unwrap())
    }
    fn check(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "a child ended by itself");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn rows_after_kills_are_those_without() {
    let folder = tempfile::tempdir().unwrap();
    let kills: u32 =
        std::env::var("TRIVIUM_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20);
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..kills {
        let before = rows_bytes(folder.path());
        let (mut child, begun) = (Running::start(folder.path(), None), Instant::now());
        // Not before it works: a slow machine's child would never come so far.
        while rows_bytes(folder.path()) == before {
            child.check();
            assert!(begun.elapsed() < Duration::from_secs(60), "it does nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..60_000)));
        child.check();
        drop(child);
    }
    // The last one goes on where the killed ones were, and comes to an end.
    let reached = {
        let shelf = Folder::open(&folder.path().join("state")).unwrap().shelf("n.a@1-0").unwrap();
        progress(&plan("30s"), &shelf).unwrap().map_or(0, |progress| progress.position)
    };
    let messages = (reached + 10 * BATCH).max(MESSAGES_LEAST);
    let mut last = Running::start(folder.path(), Some(messages));
    assert!(last.0.wait().unwrap().success());

    // In memory, in one go.
    let (plan, mut state, mut expected) = (plan("30s"), MemoryState::default(), String::new());
    loop {
        let output = step(&plan, &state, messages);
        expected.push_str(&lines(&output));
        state.apply(output.changes);
        if output.progress.position == messages && output.is_settled {
            break;
        }
    }
    // A death in the middle of a line leaves half of it; the next life writes on behind it.
    let written = std::fs::read_to_string(folder.path().join("rows")).unwrap();
    let mut times: BTreeMap<&str, u32> = expected.lines().map(|line| (line, 0)).collect();
    for line in written.lines() {
        let whole = line.rfind("Row {").map_or(line, |from| &line[from..]);
        match times.get_mut(whole) {
            Some(times) => *times += 1,
            None => assert!(!whole.ends_with('}'), "a row that nobody else gives: {whole}"),
        }
    }
    let missing: Vec<_> = times.iter().filter(|(_, times)| **times == 0).collect();
    assert!(missing.is_empty(), "{} of {}: {:?}", missing.len(), times.len(), missing.first());
    // And the state is the same, key by key.
    let shelf = Folder::open(&folder.path().join("state")).unwrap().shelf("n.a@1-0").unwrap();
    let all = |state: &dyn Fn() -> Vec<(Vec<u8>, Vec<u8>)>| state();
    let (kept, wanted) = (
        all(&|| shelf.scan(&[0], &[255], usize::MAX).unwrap()),
        all(&|| state.scan(&[0], &[255], usize::MAX).unwrap()),
    );
    assert_eq!(kept, wanted);
    assert_eq!(shelf.mark().unwrap().map(|mark| mark.changelog), Some(messages as i64));
}

#[test]
fn a_state_of_other_windows_is_refused_and_a_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let open = Folder::open(folder.path()).unwrap();
    let shelf = open.shelf("n.a@1-0").unwrap();
    let output = step(&plan("30s"), &shelf, u64::MAX);
    shelf.apply(&output.changes, Mark { changelog: 3, at_millis: 4 }).unwrap();
    let refused = progress(&plan("31s"), &shelf).unwrap_err();
    assert_eq!(refused, trivium_windows::Error::OtherDeclaration);
    // Neighbours know nothing of each other.
    let other = open.shelf("n.a@1-1").unwrap();
    assert_eq!((other.mark().unwrap(), progress(&plan("30s"), &other).unwrap()), (None, None));
    shelf.clear().unwrap();
    assert_eq!((shelf.mark().unwrap(), progress(&plan("30s"), &shelf).unwrap()), (None, None));
    for name in ["", "a/b", "meta"] {
        assert!(open.shelf(name).is_err(), "{name}");
    }
    let error = Folder::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
}
