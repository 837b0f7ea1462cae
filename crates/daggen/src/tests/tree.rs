//! The DAGs folder: only what differs is written, only what is ours is removed.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    Change, Settings,
    command::{GenerateArgs, Places, generate},
    source::{Source, file_in},
    tree::{self, LEFT_AFTER},
    watch::{GRACE, Look, Unneeded, Watcher},
};

use super::repository;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target)
        } else {
            let _ = fs::copy(&path, &target).unwrap();
        }
    }
}

pub struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&repository().join("configs"), &folder.path().join("configs"));
        fs::write(folder.path().join("trivium.toml"), "").unwrap();
        Self { folder }
    }
    pub fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }
    pub fn args(&self, check: bool, force: bool) -> GenerateArgs {
        let places = Places {
            configs: self.path("configs"),
            out: self.path("dags"),
            project: self.path("trivium.toml"),
        };
        GenerateArgs { places, check, force }
    }
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.path(path), text.replace(from, to)).unwrap();
    }
    pub fn generate(&self) -> Vec<Change> {
        let outcome = generate(&self.args(false, false)).unwrap();
        assert!(outcome.left.is_empty() && outcome.findings.is_empty(), "{outcome:?}");
        outcome.changes
    }
}

#[test]
fn what_changed_is_written_and_what_went_is_removed() {
    let fixture = Fixture::new();
    assert!(generate(&fixture.args(true, false)).unwrap().kind(true).is_some());
    assert!(!fixture.path("dags").exists(), "--check writes nothing");
    let first = fixture.generate();
    assert_eq!(first.len(), 2 + 4 * 3, "{first:#?}");
    assert!(fixture.generate().is_empty(), "the same again changes nothing");
    assert!(generate(&fixture.args(true, false)).unwrap().kind(true).is_none());

    fixture.edit("configs/flights/route_daily.v1.json", "\"owner\"", " \"owner\"");
    let changes = fixture.generate();
    let dag = "flights/route_daily_v1.py".to_owned();
    assert!(changes.contains(&Change::Update(dag.clone())), "{changes:#?}");
    assert_eq!(changes.len(), 4, "two files of the new definition, the DAG, the old definition");

    fs::remove_file(fixture.path("configs/flights/route_daily.v1.json")).unwrap();
    fs::remove_file(fixture.path("configs/flights/route_daily.v1.sql")).unwrap();
    let foreign = fixture.path("dags/flights/theirs.py");
    fs::write(&foreign, "print('mine')\n").unwrap();
    let changes = fixture.generate();
    assert_eq!(changes.len(), 2, "{changes:#?}");
    assert!(changes.contains(&Change::Remove(dag)));
    assert!(foreign.exists(), "what is somebody else's stays");
}

#[test]
fn edited_dags_are_left_alone_until_forced() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = "dags/flights/route_daily_v1.py";
    fixture.edit(dag, "\"retries\": 3", "\"retries\": 7");
    let edited = fs::read_to_string(fixture.path(dag)).unwrap();
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert_eq!(outcome.left, [Change::Edited("flights/route_daily_v1.py".to_owned())]);
    assert!(outcome.kind(false).is_some());
    assert_eq!(fs::read_to_string(fixture.path(dag)).unwrap(), edited);

    // Its view goes: what somebody worked on is still not thrown away.
    let config = fixture.path("configs/flights/route_daily.v1");
    let texts: Vec<String> = ["json", "sql"]
        .iter()
        .map(|ending| fs::read_to_string(config.with_extension(format!("v1.{ending}"))).unwrap())
        .collect();
    for ending in ["v1.json", "v1.sql"] {
        fs::remove_file(config.with_extension(ending)).unwrap();
    }
    assert_eq!(generate(&fixture.args(false, false)).unwrap().left.len(), 1);
    assert!(fixture.path(dag).exists());
    for (ending, text) in ["v1.json", "v1.sql"].iter().zip(texts) {
        fs::write(config.with_extension(ending), text).unwrap();
    }
    generate(&fixture.args(false, true)).unwrap();
    assert!(fs::read_to_string(fixture.path(dag)).unwrap().contains("\"retries\": 3"));

    fs::write(fixture.path(dag), "print('mine')\n").unwrap();
    let outcome = generate(&fixture.args(false, true)).unwrap();
    assert_eq!(outcome.left.len(), 1, "a file of others is not overwritten by force either");
}

#[test]
fn shipped_files_that_were_edited_are_left_alone_until_forced() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = fs::read_to_string(fixture.path("dags/flights/route_daily_v1.py")).unwrap();
    let definition = crate::dag::definition_of(&dag).unwrap().to_owned();
    let folder = format!("_trivium/definitions/{definition}");
    let files = [
        format!("{folder}/flights/route_daily.v1.json"),
        format!("{folder}/flights/route_daily.v1.sql"),
        "_trivium/trivium_spark.py".to_owned(),
        "_trivium/.airflowignore".to_owned(),
    ];
    let read = |file: &String| fs::read_to_string(fixture.path(&format!("dags/{file}"))).unwrap();
    let before = files.each_ref().map(read);
    for (file, text) in files.iter().zip(&before) {
        let edited = format!("{text}\n");
        fs::write(fixture.path(&format!("dags/{file}")), &edited).unwrap();
        let outcome = generate(&fixture.args(false, false)).unwrap();
        assert_eq!(outcome.left, [Change::Edited(file.clone())]);
        assert_eq!(outcome.kind(false), Some(trivium_runtime::Kind::FailedPrecondition));
        assert_eq!(read(file), edited);
        generate(&fixture.args(false, true)).unwrap();
        assert_eq!(read(file), *text);
    }
    // Of another version they are no edits, and half of a definition is none either.
    let older = read(&files[2]).replace("content: sha256:", "contents: sha256:");
    for (file, text) in [(&files[2], older.split_once('\n').unwrap().1), (&files[0], "")] {
        fs::write(fixture.path(&format!("dags/{file}")), text).unwrap();
        assert_eq!(fixture.generate(), [Change::Update(file.clone())]);
    }
    // The view changes: what somebody worked on is not thrown away with the definition.
    fs::write(fixture.path(&format!("dags/{}", files[1])), "SELECT 1\n").unwrap();
    fixture.edit("configs/flights/route_daily.v1.json", "\"owner\"", " \"owner\"");
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert_eq!(outcome.left, [Change::Edited(folder.clone())]);
    // Without its other file it is no definition any more.
    fs::remove_file(fixture.path(&format!("dags/{}", files[0]))).unwrap();
    assert_eq!(fixture.generate(), [Change::Remove(folder)]);
}

#[test]
fn what_a_kill_left_is_swept_when_it_is_old() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = fs::read_to_string(fixture.path("dags/flights/route_daily_v1.py")).unwrap();
    let definition = crate::dag::definition_of(&dag).unwrap();
    let left = [
        "dags/flights/.route_daily_v1.py.17.new".to_owned(),
        "dags/_trivium/.trivium_spark.py.17.new".to_owned(),
        format!("dags/_trivium/definitions/{definition}/flights/.route_daily.v1.sql.17.new"),
    ];
    let others = ["dags/flights/.notes.new", "dags/flights/route.17.new"].map(str::to_owned);
    for file in left.iter().chain(&others) {
        fs::write(fixture.path(file), "half").unwrap();
    }
    let there = |files: &[String]| files.iter().filter(|file| fixture.path(file).exists()).count();
    let now = SystemTime::now();
    tree::sweep(&fixture.path("dags"), now).unwrap();
    assert_eq!(there(&left), 3, "somebody may be writing them");
    tree::sweep(&fixture.path("dags"), now + 2 * LEFT_AFTER).unwrap();
    assert_eq!((there(&left), there(&others)), (0, 2));
    assert!(fixture.generate().is_empty(), "nothing else was swept");
}

#[test]
fn nothing_is_put_in_its_place_before_all_is_written() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = "dags/flights/carrier_daily_v1.py";
    let before = fs::read_to_string(fixture.path(dag)).unwrap();
    fixture.edit("configs/flights/carrier_daily.v1.json", "Punctuality", "Lateness");
    fixture.edit("configs/flights/route_daily.v1.json", "\"owner\"", " \"owner\"");
    // Where the last one is written, a folder is in the way.
    let way = fixture.path("dags/flights").join(tree::staged_name("route_daily_v1.py"));
    fs::create_dir(&way).unwrap();
    assert!(generate(&fixture.args(false, false)).is_err());
    assert_eq!(fs::read_to_string(fixture.path(dag)).unwrap(), before);
    let left = fs::read_dir(fixture.path("dags/flights")).unwrap();
    let left = left.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "new");
    assert_eq!(left.count(), 1, "the folder alone");
    fs::remove_dir(&way).unwrap();
    fixture.generate();
    assert_ne!(fs::read_to_string(fixture.path(dag)).unwrap(), before);
}

#[test]
fn where_a_setting_stands_changes_no_dag() {
    let fixture = Fixture::new();
    let toml = "[sources.flights]\nview = \"flights/none@1\"\n";
    let settings = |text: &str| Settings::parse("trivium.toml", text).unwrap();
    let source = Source::Folder(fixture.path("configs"));
    let mut watcher = Watcher::new(source, settings(toml)).unwrap();
    let told = |look: &Look| look.wrong.values().flatten().map(|one| one.line).collect::<Vec<_>>();
    let look = watcher.look().unwrap();
    assert_eq!((look.read, told(&look)), (9, vec![1]));
    watcher.go_by(settings(&format!("# A comment.\n{toml}")));
    let look = watcher.look().unwrap();
    assert_eq!((look.read, told(&look)), (0, vec![2]), "the message is of the file as it is");
    for other in [toml.replace("none@1", "none@2"), format!("{toml}[airflow]\npool = \"x\"\n")] {
        watcher.go_by(settings(&other));
        assert_eq!(watcher.look().unwrap().read, 9, "{other}");
    }
}

#[test]
fn a_view_that_is_wrong_keeps_its_dag() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = fixture.path("dags/flights/route_daily_v1.py");
    let before = fs::read_to_string(&dag).unwrap();
    fixture.edit("configs/flights/route_daily.v1.json", "\"owner\"", "\"ownr\"");
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert!(outcome.findings.iter().any(|one| one.to_string().contains("ownr")), "{outcome:?}");
    assert!(outcome.kind(false).is_some());
    assert_eq!(fs::read_to_string(&dag).unwrap(), before);
    let definition = crate::dag::definition_of(&before).unwrap().to_owned();
    assert!(fixture.path("dags/_trivium/definitions").join(definition).exists());
}

#[test]
fn a_look_reads_anew_only_what_changed() {
    let fixture = Fixture::new();
    let source = Source::Folder(fixture.path("configs"));
    let mut watcher = Watcher::new(source, Settings::default()).unwrap();
    let dags = fixture.path("dags");
    let mut unneeded = Unneeded::default();
    let mut look = |now: Instant| {
        let look = watcher.look().unwrap();
        let changes = look.plan.changes(&dags).unwrap();
        let changes = unneeded.let_go(changes, now);
        look.plan.apply(&dags, &changes, false).unwrap();
        (look.read, changes.len())
    };
    let now = Instant::now();
    assert_eq!(look(now), (9, 14), "eight views and a service");
    assert_eq!(look(now), (0, 0));
    fixture.edit("configs/flights/route_daily.v1.json", "\"owner\"", " \"owner\"");
    assert_eq!(look(now), (1, 3));
    // The definition that went is kept for a run that has begun with it, however old it is.
    assert_eq!(look(now + GRACE - Duration::from_secs(1)), (0, 0));
    assert_eq!(look(now + GRACE), (0, 1));
    assert_eq!(look(now + GRACE), (0, 0));
}

#[test]
fn what_cannot_be_read_keeps_its_dags_and_holds_up_no_other() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = fixture.path("dags/flights/route_daily_v1.py");
    let before = fs::read_to_string(&dag).unwrap();
    fs::write(fixture.path("configs/flights/route_daily.v1.sql"), b"SELECT '\xff'").unwrap();
    fixture.edit("configs/flights/carrier_daily.v1.json", "Punctuality", "Lateness");
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert!(outcome.findings[0].to_string().contains("route_daily.v1.sql"), "{outcome:?}");
    assert!(outcome.changes.iter().any(|one| one.path() == "flights/carrier_daily_v1.py"));
    assert_eq!(fs::read_to_string(&dag).unwrap(), before);

    // A whole namespace that cannot be seen has not gone.
    let (here, away) = (fixture.path("configs/flights"), fixture.path("away"));
    fs::rename(&here, &away).unwrap();
    std::os::unix::fs::symlink(fixture.path("nowhere"), &here).unwrap();
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert!(outcome.findings[0].to_string().contains("nowhere"), "{outcome:?}");
    assert!(outcome.changes.is_empty(), "{outcome:?}");
    assert_eq!(fs::read_to_string(&dag).unwrap(), before);
}

#[test]
fn a_view_that_was_renamed_keeps_its_dag_until_its_files_agree() {
    let fixture = Fixture::new();
    fixture.generate();
    let dag = fixture.path("dags/flights/route_daily_v1.py");
    let rename = |from: &str, to: &str| {
        for ending in ["json", "sql"] {
            let path = |stem: &str| fixture.path(&format!("configs/{stem}.v1.{ending}"));
            fs::rename(path(from), path(to)).unwrap();
        }
    };
    rename("flights/route_daily", "flights/route_dialy");
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert!(outcome.findings[0].to_string().contains("wrong-file-name"), "{outcome:?}");
    assert!(outcome.changes.is_empty() && dag.exists(), "{outcome:?}");
    rename("flights/route_dialy", "flights/route_daily");
    fs::rename(fixture.path("configs/flights"), fixture.path("configs/flight")).unwrap();
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert!(outcome.findings.iter().any(|one| one.to_string().contains("wrong-folder")));
    assert!(outcome.changes.is_empty() && dag.exists(), "{outcome:?}");
}

#[test]
fn configs_come_from_a_commit_whatever_is_checked_out() {
    let fixture = Fixture::new();
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .arg("-C")
            .arg(fixture.folder.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    fixture.edit("configs/flights/route_daily.v1.json", "\"owner\"", "\"ownr\"");
    let source = Source::Git {
        repository: fixture.folder.path().to_owned(),
        reference: "main".to_owned(),
        folder: "configs".to_owned(),
    };
    let committed = source.read().unwrap().pairs;
    assert_eq!(committed.len(), 9);
    assert!(committed["flights/route_daily.v1"].iter().all(|file| !file.text.contains("ownr")));
    let whole = Source::Folder(fixture.path("configs")).read().unwrap().pairs;
    assert_eq!(whole["flights/ground_stop.v1"], committed["flights/ground_stop.v1"]);

    // A commit is read once, and the next one as soon as it is there.
    let mut watcher = Watcher::new(source, Settings::default()).unwrap();
    assert_eq!(watcher.look().unwrap().read, 9);
    let again = watcher.look().unwrap();
    assert_eq!((again.read, again.plan.dags()), (0, 4));
    git(&["commit", "-q", "-a", "-m", "second"]);
    let wrong = watcher.look().unwrap();
    assert_eq!((wrong.read, wrong.plan.dags(), wrong.wrong.len()), (1, 3, 1));

    // Files of the commit, whatever is checked out.
    fs::write(fixture.path("trivium.toml"), "[airflow]\n").unwrap();
    let of_main = |path: &str| file_in(fixture.folder.path(), "main", path).unwrap();
    assert_eq!(of_main("trivium.toml"), Some(String::new()));
    assert_eq!([of_main("trivium"), of_main("configs")], [None, None]);

    // A folder that the commit does not have is no folder without views.
    for folder in ["confgis", "configs/flights/route_daily.v1.json"] {
        let missing = Source::Git {
            repository: fixture.folder.path().to_owned(),
            reference: "main".to_owned(),
            folder: folder.to_owned(),
        };
        assert!(missing.read().unwrap_err().to_string().contains(folder), "{folder}");
    }
    let unknown = Source::Git {
        repository: fixture.folder.path().to_owned(),
        reference: "nobody".to_owned(),
        folder: "configs".to_owned(),
    };
    assert!(unknown.read().unwrap_err().to_string().contains("nobody"));
}
