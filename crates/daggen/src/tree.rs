//! The DAGs folder: what should be in it, what is, and the difference.
//!
//! ```text
//! <dags>/<namespace>/<view>_v<N>.py                                a DAG
//! <dags>/_trivium/definitions/<hash>/<namespace>/<view>.v<N>.json  what its tasks read, and the .sql
//! <dags>/_trivium/trivium_spark.py                                 what Spark runs
//! <dags>/_trivium/.airflowignore                                   keeps Airflow from looking for DAGs in there
//! ```
//! Every file is written beside its place, under a name that Airflow does not parse, and put there by one
//! rename. What a DAG needs is there before it, and goes after it. Files of others are never touched; a
//! DAG that somebody has edited is only overwritten or removed when that is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use trivium_spark_runner::{RUNNER, RUNNER_FILE};

use crate::{
    Error,
    dag::{Generated, Origin, definition_of, origin},
};

const SHIPPED: &str = "_trivium";
const DEFINITIONS: &str = "_trivium/definitions";

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file that is not there.
    Add(String),
    /// A file that is there with another text.
    Update(String),
    /// A file of ours that nothing asks for any more.
    Remove(String),
    /// A DAG that somebody has edited, which is not as it should be.
    Edited(String),
    /// A file of somebody else's where one of ours should be.
    Foreign(String),
}

impl Change {
    /// The file, relative to the DAGs folder.
    pub fn path(&self) -> &str {
        match self {
            Self::Add(path)
            | Self::Update(path)
            | Self::Remove(path)
            | Self::Edited(path)
            | Self::Foreign(path) => path,
        }
    }

    /// The definition that is to be removed, if it is one: a run may have begun with it.
    pub fn definition(&self) -> Option<&str> {
        match self {
            Self::Remove(path) if path.starts_with(DEFINITIONS) => Some(path),
            _ => None,
        }
    }
}

/// What should be in the folder.
#[derive(Debug, Default)]
pub struct Plan {
    dags: BTreeMap<String, String>,
    shipped: BTreeMap<String, String>,
    /// DAGs that stay as they are, because their sources are wrong just now.
    kept: BTreeSet<String>,
    /// Namespaces of which all DAGs stay, because what should be there cannot be seen just now.
    kept_folders: BTreeSet<String>,
}

impl Plan {
    /// Nothing but what every folder has.
    pub fn new() -> Self {
        let mut plan = Self::default();
        plan.shipped.insert(format!("{SHIPPED}/{RUNNER_FILE}"), RUNNER.to_owned());
        plan.shipped.insert(format!("{SHIPPED}/.airflowignore"), "*\n".to_owned());
        plan
    }

    /// Adds a view's files.
    pub fn add(&mut self, generated: Generated) {
        self.shipped.extend(generated.definition);
        self.dags.insert(generated.path, generated.text);
    }

    /// Leaves a DAG as it is.
    pub fn keep(&mut self, path: String) {
        self.kept.insert(path);
    }

    /// Leaves all DAGs of a namespace as they are.
    pub fn keep_folder(&mut self, namespace: String) {
        self.kept_folders.insert(namespace);
    }

    fn is_kept(&self, path: &str) -> bool {
        let namespace = path.split_once('/').map_or("", |(namespace, _)| namespace);
        // The configs folder itself has no name.
        self.kept.contains(path)
            || self.kept_folders.contains(namespace)
            || self.kept_folders.contains("")
    }

    /// What should be in a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.dags.get(path).or_else(|| self.shipped.get(path)).map(String::as_str)
    }

    /// How many DAGs there are to be.
    pub fn dags(&self) -> usize {
        self.dags.len()
    }

    /// What differs, in the order in which it is to be done.
    pub fn changes(&self, folder: &Path) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for (path, text) in &self.shipped {
            match read(&folder.join(path))? {
                None => changes.push(Change::Add(path.clone())),
                Some(now) if now != *text => changes.push(Change::Update(path.clone())),
                Some(_) => {}
            }
        }
        for (path, text) in &self.dags {
            let place = folder.join(path);
            // What is no file there is somebody else's: a pipe would not even end.
            if fs::symlink_metadata(&place).is_ok()
                && !fs::metadata(&place).is_ok_and(|about| about.is_file())
            {
                changes.push(Change::Foreign(path.clone()));
                continue;
            }
            match read(&place)? {
                None => changes.push(Change::Add(path.clone())),
                Some(now) if now == *text => {}
                Some(now) => changes.push(match origin(&now) {
                    Origin::Ours => Change::Update(path.clone()),
                    Origin::Edited => Change::Edited(path.clone()),
                    Origin::Foreign => Change::Foreign(path.clone()),
                }),
            }
        }
        let mut needed: BTreeSet<String> = BTreeSet::new();
        for text in self.dags.values() {
            needed.extend(definition_of(text).map(str::to_owned));
        }
        for (path, text) in existing(folder)? {
            if self.dags.contains_key(&path) {
                continue;
            }
            if self.is_kept(&path) {
                needed.extend(definition_of(&text).map(str::to_owned));
                continue;
            }
            match origin(&text) {
                Origin::Ours => changes.push(Change::Remove(path)),
                Origin::Edited => {
                    needed.extend(definition_of(&text).map(str::to_owned));
                    changes.push(Change::Edited(path));
                }
                Origin::Foreign => {}
            }
        }
        for name in names(&folder.join(DEFINITIONS))? {
            if !needed.contains(&name) {
                changes.push(Change::Remove(format!("{DEFINITIONS}/{name}")));
            }
        }
        Ok(changes)
    }

    /// Does the changes, edited DAGs too if `force` says so. Returns what was done.
    pub fn apply(
        &self,
        folder: &Path,
        changes: &[Change],
        force: bool,
    ) -> Result<Vec<Change>, Error> {
        let mut done = Vec::new();
        for change in changes {
            let path = folder.join(change.path());
            let text = self.dags.get(change.path()).or_else(|| self.shipped.get(change.path()));
            let is_done = match (change, text) {
                (Change::Add(_) | Change::Update(_), Some(text)) => write(&path, text)?,
                (Change::Edited(_), Some(text)) if force => write(&path, text)?,
                (Change::Edited(_), None) if force => remove(&path)?,
                (Change::Remove(_), _) => remove(&path)?,
                _ => false,
            };
            if is_done {
                done.push(change.clone());
            }
        }
        Ok(done)
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The Python files of the namespaces' folders.
fn existing(folder: &Path) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for namespace in names(folder)? {
        let inside = folder.join(&namespace);
        if namespace == SHIPPED || !inside.is_dir() {
            continue;
        }
        for name in names(&inside)? {
            // A folder or a pipe of somebody's is none of ours, whatever its name.
            if name.ends_with(".py")
                && fs::metadata(inside.join(&name)).is_ok_and(|about| about.is_file())
                && let Some(text) = read(&inside.join(&name))?
            {
                found.push((format!("{namespace}/{name}"), text));
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

fn write(path: &Path, text: &str) -> Result<bool, Error> {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let name =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    // Airflow parses what ends in `.py` alone.
    let new = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The error that matters is the one above.
        let _ = fs::remove_file(&new);
    }
    written.map_err(Error::io("write", path))?;
    Ok(true)
}

fn remove(path: &Path) -> Result<bool, Error> {
    let gone = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}
