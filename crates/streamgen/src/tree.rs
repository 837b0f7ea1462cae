//! The folder of jobs: what should be in it, what is, and the difference.
//!
//! ```text
//! <streams>/<namespace>/<view>.v<N>.sql    the job
//! <streams>/<namespace>/<view>.v<N>.yaml   how Flink's operator runs it
//! ```
//! Files of others are never touched; one of ours that somebody has edited is only overwritten or removed when
//! that is asked for. A file is written beside its place, and put there by one rename.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    job::{Generated, Origin, origin},
};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file that is not there.
    Add(String),
    /// A file that is there with another text.
    Update(String),
    /// A file of ours that no view asks for any more.
    Remove(String),
    /// A file of ours that somebody has edited, which is not as it should be.
    Edited(String),
    /// A file of somebody else's where one of ours should be.
    Foreign(String),
}

impl Change {
    /// The file, relative to the folder.
    pub fn path(&self) -> &str {
        match self {
            Self::Add(path)
            | Self::Update(path)
            | Self::Remove(path)
            | Self::Edited(path)
            | Self::Foreign(path) => path,
        }
    }
}

/// What should be in the folder.
#[derive(Debug, Default)]
pub struct Plan {
    files: BTreeMap<String, String>,
}

impl Plan {
    /// Adds a view's files.
    pub fn add(&mut self, generated: Generated) {
        self.files.extend([generated.script, generated.manifest]);
    }

    /// How many jobs there are to be.
    pub fn jobs(&self) -> usize {
        self.files.len() / 2
    }

    /// What should be in a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// What differs, in the order of the paths.
    pub fn changes(&self, folder: &Path) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for (path, text) in &self.files {
            let place = folder.join(path);
            // What is no file is somebody else's: a pipe would not even end.
            if is_no_file(&place) {
                changes.push(Change::Foreign(path.clone()));
                continue;
            }
            changes.extend(match read(&place)? {
                None => Some(Change::Add(path.clone())),
                Some(now) if now == *text => None,
                Some(now) => Some(match origin(&now) {
                    Origin::Foreign => Change::Foreign(path.clone()),
                    Origin::Edited => Change::Edited(path.clone()),
                    Origin::Ours => Change::Update(path.clone()),
                }),
            });
        }
        for path in existing(folder)? {
            if self.files.contains_key(&path) {
                continue;
            }
            match read(&folder.join(&path))?.as_deref().map(origin) {
                Some(Origin::Ours) => changes.push(Change::Remove(path)),
                Some(Origin::Edited) => changes.push(Change::Edited(path)),
                Some(Origin::Foreign) | None => {}
            }
        }
        changes.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(changes)
    }

    /// Makes changes. One that is to be kept is not among them.
    pub fn apply(&self, folder: &Path, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            let path = folder.join(change.path());
            match self.text(change.path()) {
                Some(text) => write(&path, text)?,
                None => remove(&path)?,
            }
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let mut staged = tempfile::Builder::new()
        .prefix(".trivium-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(&folder)
        .map_err(Error::io("write", path))?;
    std::io::Write::write_all(&mut staged, text.as_bytes()).map_err(Error::io("write", path))?;
    staged.as_file().sync_all().map_err(Error::io("write", path))?;
    staged.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    Ok(())
}

/// Somebody else may have done it.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether something is there that is neither a file nor leads to one.
fn is_no_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok() && !path.is_file()
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The scripts and manifests in the namespaces' folders.
fn existing(folder: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for namespace in names(folder)? {
        let inside = folder.join(&namespace);
        if !inside.is_dir() {
            continue;
        }
        for name in names(&inside)? {
            if (name.ends_with(".sql") || name.ends_with(".yaml")) && inside.join(&name).is_file() {
                found.push(format!("{namespace}/{name}"));
            }
        }
    }
    Ok(found)
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}
