//! `trivium tag`

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use trivium_api::ApiError;
use trivium_catalog::amundsen::{Facts, graph};
use trivium_offline::record::{RunFacts, sql_sha256};

use crate::{
    args::{Global, Output, TagArgs},
    args_record::PeriodArgs,
    failure::{self, Failure},
    output,
    project::Project,
    target::{Need, Target},
    verbs::record::{Known, published},
};

/// The link to the run that counts.
const CURRENT: &str = "current";

/// Writes what Amundsen is told of a view and one of its partitions.
pub async fn run(global: &Global, args: &TagArgs) -> Result<(), Failure> {
    let answer = tag(global, args).await?;
    if global.output == Output::Json {
        output::json(&answer);
    }
    Ok(())
}

/// The same; says so to people, and gives what programs are told.
pub async fn tag(global: &Global, args: &TagArgs) -> Result<Json, Failure> {
    let global = &args.registry.over(global);
    let target = Target::open_quietly(global, Need::Registry).await?;
    let known = Known::ask(&target, &args.view).await?;
    let project = Project::find(global)?;
    let reference = known.view.reference();
    let all = PeriodArgs { date: None, from: None, to: None };
    published(&project, &known.view, PeriodArgs { date: args.date, ..all })?;
    let folder = args
        .out
        .join(reference.namespace.as_str())
        .join(reference.view.as_str())
        .join(format!("v{}", reference.version));
    // From before the lake is read: of two tags at once, the one that saw more writes last.
    let _lock = lock(&folder).map_err(|error| failure::file(&folder, &error))?;
    let partitions = published(&project, &known.view, all)?;
    let (Some(oldest), Some(newest)) = (partitions.first(), partitions.last()) else {
        return Err(ApiError::internal("a partition vanished while it was read").into());
    };
    // The newest, whichever period was run: a backfill does not take the catalog back.
    let record = known.record(&project, newest, &RunFacts::default())?;
    let (oldest, newest) = (oldest.period, newest.period);
    let (oldest_folder, newest_folder) = (oldest.folder(), newest.folder());
    let files = graph(&Facts {
        view: &known.view,
        sql: known.sql(&record),
        record: &record,
        oldest: (&oldest_folder, oldest.start),
        newest: (&newest_folder, newest.start),
    })
    .files();
    let changed = write(&folder, &files).map_err(|error| failure::file(&folder, &error))?;
    let current = folder.join(CURRENT);
    if global.output == Output::Table {
        output::line(format!(
            "{} {reference}: {} files in {}{}",
            output::paint(output::GOOD, "tagged"),
            files.len(),
            current.display(),
            if changed { "" } else { ", as they were" }
        ));
    }
    Ok(json!({ "view": reference, "folder": current, "files": files.len(), "changed": changed }))
}

/// The right to write a view's folder, which is made where there is none.
fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock =
        File::options().create(true).truncate(false).write(true).open(folder.join("_lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Writes the files into a folder of their own, named by what they say, and switches `current` to it
/// in one rename: a loader that follows the link finds all of one run. The run before stays for loaders
/// under way. Whether anything changed.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> io::Result<bool> {
    let all: String = files.iter().map(|(path, text)| format!("{path}\n{text}\n")).collect();
    let named = format!("run-{}", &sql_sha256(&all)[..16]);
    let current = folder.join(CURRENT);
    let before = match fs::read_link(&current) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let message = format!("`{CURRENT}` in it is no link: move it away");
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        Err(error) => return Err(error),
    };
    // Folders of this name, in turn: one that somebody spoiled is not written to, loaders may be in it.
    let mut number = 0;
    let run = loop {
        let run = if number == 0 { named.clone() } else { format!("{named}-{number}") };
        match fs::symlink_metadata(folder.join(&run)) {
            Err(error) if error.kind() == ErrorKind::NotFound => break run,
            Err(error) => return Err(error),
            Ok(_) if is_whole(&folder.join(&run), files)? => break run,
            Ok(_) => number += 1,
        }
    };
    let is_there = folder.join(&run).is_dir();
    if is_there && before.as_deref() == Some(Path::new(&run)) {
        return Ok(false);
    }
    if !is_there {
        let new = folder.join("run.new");
        remove(&new)?;
        for (path, text) in files {
            let file = new.join(path);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&file, text)?;
            File::open(&file)?.sync_all()?;
        }
        fs::rename(&new, folder.join(&run))?;
    }
    let link = folder.join("current.new");
    remove(&link)?;
    std::os::unix::fs::symlink(&run, &link)?;
    fs::rename(&link, &current)?;
    File::open(folder)?.sync_all()?;
    let kept = [Some(PathBuf::from(&run)), before];
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        let is_run = name.to_str().is_some_and(|name| name.starts_with("run-"));
        if is_run && !kept.contains(&Some(name.clone())) {
            remove(&folder.join(name))?;
        }
    }
    Ok(true)
}

/// Whether a run's folder has these files with these texts, and no others for a loader to find.
fn is_whole(run: &Path, files: &BTreeMap<String, String>) -> io::Result<bool> {
    let mut folders = BTreeSet::new();
    for (path, text) in files {
        let path = run.join(path);
        match fs::read(&path) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) => return Ok(false),
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        folders.extend(path.parent().map(Path::to_owned));
    }
    let mut found = 0;
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            entry?;
            found += 1;
        }
    }
    Ok(found == files.len())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

fn remove(path: &Path) -> io::Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
