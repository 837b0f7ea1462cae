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
mod tests;
