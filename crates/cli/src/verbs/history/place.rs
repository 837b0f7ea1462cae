//! Where a training set may be written: a Parquet file that is not the entity frame itself.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use trivium_api::ApiError;

use crate::failure::{self, Failure};

/// The ending that readers of Parquet go by.
const ENDING: &str = "parquet";

/// The file to write, links followed: a link stays one, and its target is replaced as a whole.
pub fn of_training_set(out: &Path, entities: &Path) -> Result<PathBuf, Failure> {
    let frame = fs::metadata(entities).map_err(|error| failure::file(entities, &error))?;
    // A CSV frame is read twice, and a pipe can be read once.
    if !frame.is_file() {
        return Err(refused(
            "--entities",
            format!("{} is {}", entities.display(), what(&frame)),
            "name a Parquet or CSV file",
        ));
    }
    check_name(out)?;
    let place = followed(out)?;
    check_name(&place)?;
    let folder = match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let about = fs::metadata(folder).map_err(|error| failure::file(folder, &error))?;
    if !about.is_dir() {
        return Err(refused(
            "--out",
            format!("{} is no folder", folder.display()),
            "name a file in a folder that exists",
        ));
    }
    match fs::metadata(&place) {
        Ok(about) if !about.is_file() => Err(refused(
            "--out",
            format!("{} is {}", out.display(), what(&about)),
            "name a file: a new one, or one to replace",
        )),
        Ok(about) if (about.dev(), about.ino()) == (frame.dev(), frame.ino()) => Err(refused(
            "--out",
            format!("{} is the entity frame itself, which would be lost", out.display()),
            "name another file",
        )),
        Ok(_) => Ok(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place),
        Err(error) => Err(failure::file(&place, &error)),
    }
}

fn check_name(path: &Path) -> Result<(), Failure> {
    if path.extension().is_some_and(|ending| ending == ENDING) {
        return Ok(());
    }
    Err(refused(
        "--out",
        format!("{} does not end in .{ENDING}", path.display()),
        "a training set is written as Parquet: name it so, as in `training.parquet`",
    ))
}

/// What a link leads to; the path itself where it is none.
fn followed(out: &Path) -> Result<PathBuf, Failure> {
    match fs::symlink_metadata(out) {
        Ok(about) if about.is_symlink() => fs::canonicalize(out).map_err(|error| {
            let mut failure = failure::file(out, &error);
            failure.error = failure.error.help("it is a link: mend it, or take it away");
            failure
        }),
        // What is not there, or cannot be looked at, is said of the whole path.
        _ => Ok(out.to_path_buf()),
    }
}

fn what(about: &Metadata) -> &'static str {
    if about.is_dir() { "a folder" } else { "no regular file" }
}

fn refused(flag: &str, message: String, help: &str) -> Failure {
    ApiError::invalid(message).at(flag).help(help).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use trivium_runtime::Kind;

    use super::*;

    #[test]
    fn a_training_set_replaces_only_what_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        // What is beside it is the test's own, too.
        let root = folder.path().canonicalize().unwrap().join("root");
        fs::create_dir(&root).unwrap();
        let path = |name: &str| root.join(name);
        let frame = path("frame.parquet");
        for file in ["frame.parquet", "old.parquet", "notes.txt"] {
            fs::write(path(file), "x").unwrap();
        }
        fs::create_dir(path("folder.parquet")).unwrap();
        fs::hard_link(&frame, path("same.parquet")).unwrap();
        symlink(&frame, path("link.parquet")).unwrap();
        symlink(path("old.parquet"), path("good.parquet")).unwrap();
        symlink(path("notes.txt"), path("text.parquet")).unwrap();
        symlink("/dev/null", path("device.parquet")).unwrap();
        symlink(path("none.parquet"), path("dangling.parquet")).unwrap();

        let place = |out: &str| of_training_set(&path(out), &frame);
        assert_eq!(place("new.parquet").unwrap(), path("new.parquet"));
        assert_eq!(place("old.parquet").unwrap(), path("old.parquet"));
        assert_eq!(place("good.parquet").unwrap(), path("old.parquet"));
        let check = |out: &str, kind: Kind, expected: &str| {
            let failure = place(out).expect_err(out);
            assert_eq!(failure.error.kind, kind, "{out}: {}", failure.error);
            let text = failure.error.to_string();
            assert!(text.contains(expected), "{out}: {text}");
            assert!(!failure.error.help.is_empty() || kind == Kind::NotFound, "{out}");
        };
        check("frame.parquet", Kind::InvalidArgument, "the entity frame itself");
        check("../x/../frame.parquet", Kind::NotFound, "");
        check("folder.parquet/../frame.parquet", Kind::InvalidArgument, "the entity frame itself");
        check("link.parquet", Kind::InvalidArgument, "the entity frame itself");
        check("same.parquet", Kind::InvalidArgument, "the entity frame itself");
        check("folder.parquet", Kind::InvalidArgument, "a folder");
        check("device.parquet", Kind::InvalidArgument, "does not end in .parquet");
        check("text.parquet", Kind::InvalidArgument, "does not end in .parquet");
        check("dangling.parquet", Kind::NotFound, "a link");
        check("training.csv", Kind::InvalidArgument, ".parquet");
        check("training", Kind::InvalidArgument, ".parquet");
        check("none/training.parquet", Kind::NotFound, "none");
        check("notes.txt/training.parquet", Kind::InvalidArgument, "no folder");
        let failure = of_training_set(&path("new.parquet"), &root).expect_err("a folder");
        assert_eq!(failure.error.field, "--entities");
    }
}
