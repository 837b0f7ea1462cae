use super::*;

fn files(word: &str) -> BTreeMap<String, String> {
    ["nodes/Table_0.csv", "relationships/A_B_C_0.csv"]
        .map(|path| (path.to_owned(), format!("{word} {path}\r\n")))
        .into()
}

fn runs(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().starts_with("run")).count()
}

#[test]
fn a_run_is_switched_to_as_a_whole() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("a/b");
    drop(lock(&folder).unwrap());
    assert!(write(&folder, &files("one")).unwrap());
    let first = folder.join(fs::read_link(folder.join(CURRENT)).unwrap());
    let read = |run: &Path| fs::read_to_string(run.join("nodes/Table_0.csv")).unwrap();
    assert_eq!(read(&folder.join(CURRENT)), "one nodes/Table_0.csv\r\n");
    assert!(!write(&folder, &files("one")).unwrap(), "the same again changes nothing");

    // What a crash leaves before the switch.
    fs::create_dir_all(folder.join("run.new/nodes")).unwrap();
    fs::write(folder.join("run.new/nodes/Left_0.csv"), "x").unwrap();
    std::os::unix::fs::symlink("run-nowhere", folder.join("current.new")).unwrap();
    assert!(write(&folder, &files("two")).unwrap());
    assert_eq!(read(&folder.join(CURRENT)), "two nodes/Table_0.csv\r\n");
    assert!(!folder.join(CURRENT).join("nodes/Left_0.csv").exists());
    assert_eq!(read(&first), "one nodes/Table_0.csv\r\n", "a loader may still be in it");

    assert!(write(&folder, &files("three")).unwrap());
    assert!(!first.exists());
    assert_eq!(runs(&folder), 2);
    assert!(write(&folder, &files("two")).unwrap());
    assert_eq!(read(&folder.join(CURRENT)), "two nodes/Table_0.csv\r\n");
}

#[test]
fn a_link_to_nothing_is_mended() {
    let out = tempfile::tempdir().unwrap();
    write(out.path(), &files("one")).unwrap();
    let run = out.path().join(fs::read_link(out.path().join(CURRENT)).unwrap());
    fs::remove_dir_all(&run).unwrap();
    assert!(write(out.path(), &files("one")).unwrap());
    assert!(run.join("nodes/Table_0.csv").exists());
}

#[test]
fn spoiled_files_are_mended() {
    type Spoil = fn(&Path) -> io::Result<()>;
    let table = |run: &Path| run.join("nodes/Table_0.csv");
    let ways: [(&str, Spoil); 4] = [
        ("changed", |run| fs::write(run.join("nodes/Table_0.csv"), "spoiled")),
        ("gone", |run| fs::remove_file(run.join("nodes/Table_0.csv"))),
        ("added", |run| fs::write(run.join("nodes/Stray_0.csv"), "stray")),
        ("a file", |run| fs::remove_dir_all(run).and_then(|()| fs::write(run, "no folder"))),
    ];
    for (way, spoil) in ways {
        let out = tempfile::tempdir().unwrap();
        let current = out.path().join(CURRENT);
        write(out.path(), &files("one")).unwrap();
        spoil(&fs::canonicalize(&current).unwrap()).unwrap();
        assert!(write(out.path(), &files("one")).unwrap(), "{way}");
        let run = fs::canonicalize(&current).unwrap();
        assert_eq!(fs::read_to_string(table(&run)).unwrap(), "one nodes/Table_0.csv\r\n", "{way}");
        assert!(!run.join("nodes/Stray_0.csv").exists(), "{way}");
        assert!(!write(out.path(), &files("one")).unwrap(), "{way}: the same again");
        assert!(write(out.path(), &files("two")).unwrap(), "{way}");
        assert!(write(out.path(), &files("three")).unwrap(), "{way}");
        assert_eq!(runs(out.path()), 2, "{way}");
    }
}

#[test]
fn what_is_no_link_is_left_alone() {
    let out = tempfile::tempdir().unwrap();
    fs::create_dir(out.path().join(CURRENT)).unwrap();
    let error = write(out.path(), &files("one")).unwrap_err();
    assert!(error.to_string().contains("`current` in it is no link"), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}
