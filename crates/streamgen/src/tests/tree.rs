//! The folder of jobs, and what somebody else has done to it.

use std::fs;

use crate::tree::{Change, Plan};

use super::{SQL, generator, view};

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.add(generator().render(&view(&[], SQL)).unwrap().unwrap());
    plan
}

const SCRIPT: &str = "shop/clicks.v3.sql";
const MANIFEST: &str = "shop/clicks.v3.yaml";

#[test]
fn what_is_there_is_made_what_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = plan();
    let added = vec![Change::Add(SCRIPT.into()), Change::Add(MANIFEST.into())];
    assert_eq!(plan.changes(folder).unwrap(), added);
    plan.apply(folder, &added).unwrap();
    assert_eq!(plan.changes(folder).unwrap(), []);
    assert_eq!(fs::read_dir(folder.join("shop")).unwrap().count(), 2);

    // Of a view that went; files of others stay.
    fs::write(folder.join("shop/notes.sql"), "SELECT 1").unwrap();
    let gone = vec![Change::Remove(SCRIPT.into()), Change::Remove(MANIFEST.into())];
    let empty = Plan::default();
    assert_eq!(empty.changes(folder).unwrap(), gone);
    empty.apply(folder, &gone).unwrap();
    assert_eq!(empty.changes(folder).unwrap(), []);
    assert!(folder.join("shop/notes.sql").is_file());
}

#[test]
fn edits_and_files_of_others_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = plan();
    plan.apply(folder, &plan.changes(folder).unwrap()).unwrap();
    let script = fs::read_to_string(folder.join(SCRIPT)).unwrap();
    fs::write(folder.join(SCRIPT), script.replace("'1'", "'2'")).unwrap();
    fs::write(folder.join(MANIFEST), "kind: FlinkDeployment\n").unwrap();
    let left = vec![Change::Edited(SCRIPT.into()), Change::Foreign(MANIFEST.into())];
    assert_eq!(plan.changes(folder).unwrap(), left);
    // An edited one of a view that went is not removed unasked.
    let left = vec![Change::Edited(SCRIPT.into())];
    assert_eq!(Plan::default().changes(folder).unwrap(), left);

    // Ours, of another release or other settings.
    let mut other = Plan::default();
    let settings = crate::Settings { brokers: "b:1".to_owned(), ..crate::Settings::default() };
    let generator = crate::job::Generator::new(settings).unwrap();
    other.add(generator.render(&view(&[], SQL)).unwrap().unwrap());
    other.apply(folder, &[Change::Edited(SCRIPT.into())]).unwrap();
    assert_eq!(plan.changes(folder).unwrap()[0], Change::Update(SCRIPT.into()));
}

/// A pipe that nobody writes to would be read for ever.
#[test]
fn what_is_no_file_is_somebody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join(SCRIPT)).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(folder.join(MANIFEST)).status().unwrap();
    assert!(pipe.success());
    let others = vec![Change::Foreign(SCRIPT.into()), Change::Foreign(MANIFEST.into())];
    assert_eq!(plan().changes(folder).unwrap(), others);
    assert_eq!(Plan::default().changes(folder).unwrap(), []);
}

#[test]
fn what_somebody_else_has_removed_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    Plan::default().apply(folder.path(), &[Change::Remove(SCRIPT.into())]).unwrap();
    fs::write(folder.path().join("shop"), "").unwrap();
    let error = plan().changes(folder.path()).unwrap_err();
    assert_eq!(error.kind(), trivium_runtime::Kind::FailedPrecondition, "{error}");
}
