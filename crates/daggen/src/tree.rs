//! The DAGs folder: what should be in it, what is, and the difference.
//!
//! ```text
//! <dags>/<namespace>/<view>_v<N>.py                                a DAG
//! <dags>/_trivium/definitions/<hash>/<namespace>/<view>.v<N>.json  what its tasks read, and the .sql
//! <dags>/_trivium/trivium_spark.py                                 what Spark runs
//! <dags>/_trivium/.airflowignore                                   keeps Airflow from looking for DAGs in there
//! ```
//! Every file is written beside its place, under a name that Airflow does not parse, made durable, and put there
//! by one rename. What a DAG needs is there before it, and goes after it. Files of others are never touched; one
//! that somebody has edited is only overwritten or removed when that is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use trivium_spark_runner::{RUNNER, RUNNER_FILE};

use crate::{
    Error,
    dag::{self, Generated, Origin, definition_of, origin},
};

/// How old what somebody left half done must be: a younger file may be one that is being written.
pub const LEFT_AFTER: Duration = Duration::from_secs(600);

/// Files that are made durable one by one; of more, the whole file system is asked once.
const FEW: usize = 64;

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
    /// A file of ours that somebody has edited, which is not as it should be.
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
        plan.shipped.insert(format!("{SHIPPED}/{RUNNER_FILE}"), dag::shipped(RUNNER));
        plan.shipped.insert(format!("{SHIPPED}/.airflowignore"), dag::shipped("*\n"));
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
            match now(&folder.join(path), text)? {
                Now::Nothing => changes.push(Change::Add(path.clone())),
                Now::Same => {}
                Now::Other(now) => changes.push(match is_edited(path, &now) {
                    true => Change::Edited(path.clone()),
                    false => Change::Update(path.clone()),
                }),
            }
        }
        for (path, text) in &self.dags {
            let place = folder.join(path);
            // What is no file there is somebody else's: a pipe would not even end.
            if fs::symlink_metadata(&place).is_ok_and(|about| {
                !about.is_file() && !fs::metadata(&place).is_ok_and(|about| about.is_file())
            }) {
                changes.push(Change::Foreign(path.clone()));
                continue;
            }
            match now(&place, text)? {
                Now::Nothing => changes.push(Change::Add(path.clone())),
                Now::Same => {}
                Now::Other(now) => changes.push(match origin(&now) {
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
        for (path, text) in existing(folder, |path| !self.dags.contains_key(path))? {
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
            if needed.contains(&name) {
                continue;
            }
            let path = format!("{DEFINITIONS}/{name}");
            changes.push(match is_edited_definition(&folder.join(&path), &name)? {
                true => Change::Edited(path),
                false => Change::Remove(path),
            });
        }
        Ok(changes)
    }

    /// Does the changes, those of edited files too if `force` says so. Returns what was done. Nothing is put in
    /// its place before all is written.
    pub fn apply(
        &self,
        folder: &Path,
        changes: &[Change],
        force: bool,
    ) -> Result<Vec<Change>, Error> {
        let is_due = |change: &&Change| match change {
            Change::Edited(_) => force,
            Change::Foreign(_) => false,
            Change::Add(_) | Change::Update(_) | Change::Remove(_) => true,
        };
        let due: Vec<&Change> = changes.iter().filter(is_due).collect();
        let mut staged = Staged::default();
        for change in &due {
            if let (Some(text), false) = (self.text(change.path()), is_removal(change)) {
                staged.write(&folder.join(change.path()), text)?;
            }
        }
        staged.make_durable(folder)?;
        let mut done = Vec::new();
        for change in due {
            let path = folder.join(change.path());
            let is_done = match self.text(change.path()) {
                Some(_) if !is_removal(change) => staged.place(&path)?,
                None if matches!(change, Change::Edited(_)) => remove(&path)?,
                _ => is_removal(change) && remove(&path)?,
            };
            if is_done {
                done.push(change.clone());
            }
        }
        Ok(done)
    }
}

fn is_removal(change: &Change) -> bool {
    matches!(change, Change::Remove(_))
}

/// Whether a shipped file that is not as it should be was edited, and is not that of another version.
fn is_edited(path: &str, now: &str) -> bool {
    if path.starts_with(DEFINITIONS) {
        // Its folder is named by what it held. One without a byte is what a machine leaves that lost its power.
        return !now.is_empty();
    }
    origin(now) == Origin::Edited
}

/// Whether a definition that no DAG names was edited: its folder is named by the hash of its two files. One that
/// lacks a file is half of what somebody was about to write, or to remove.
fn is_edited_definition(folder: &Path, name: &str) -> Result<bool, Error> {
    if !folder.is_dir() {
        return Ok(false);
    }
    for namespace in names(folder)? {
        let inside = folder.join(namespace);
        if !inside.is_dir() {
            continue;
        }
        let files = names(&inside)?;
        let text = |ending: &str| {
            let file = files.iter().find(|file| !is_staged(file) && file.ends_with(ending));
            file.map_or(Ok(None), |file| read(&inside.join(file)))
        };
        if let (Some(config), Some(sql)) = (text(".json")?, text(".sql")?)
            && !dag::is_named_by(name, &config, &sql)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Files that are written beside their places; those that do not get there go.
#[derive(Default)]
struct Staged {
    new: BTreeMap<PathBuf, PathBuf>,
}

impl Staged {
    fn write(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        let new = folder.join(staged_name(&name));
        // Before it is there: half of it is to go, too.
        self.new.insert(path.to_owned(), new.clone());
        fs::write(&new, text).map_err(Error::io("write", path))
    }

    /// A machine that loses its power keeps renames and forgets what was written last.
    fn make_durable(&self, folder: &Path) -> Result<(), Error> {
        if self.new.len() > FEW {
            let synced = File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
            return synced.map_err(Error::io("write", folder));
        }
        for (path, new) in &self.new {
            File::open(new).and_then(|file| file.sync_all()).map_err(Error::io("write", path))?;
        }
        Ok(())
    }

    fn place(&mut self, path: &Path) -> Result<bool, Error> {
        let Some(new) = self.new.get(path) else { return Ok(false) };
        fs::rename(new, path).map_err(Error::io("write", path))?;
        self.new.remove(path);
        Ok(true)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for new in self.new.values() {
            // The error that matters is the one that it was left for.
            let _ = fs::remove_file(new);
        }
    }
}

/// Airflow parses what ends in `.py` alone. Two generators may write to one folder, and be the first process
/// of a container each: a number of chance tells them apart.
pub fn staged_name(name: &str) -> String {
    static OURS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    format!(".{name}.{}.new", *OURS)
}

fn is_staged(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    let process = inner.and_then(|inner| inner.rsplit_once('.'));
    process.is_some_and(|(_, id)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Takes away what generators left beside their places that were killed.
pub fn sweep(folder: &Path, now: SystemTime) -> Result<(), Error> {
    let mut folders: Vec<PathBuf> =
        names(folder)?.into_iter().map(|name| folder.join(name)).collect();
    let definitions = folder.join(DEFINITIONS);
    for name in names(&definitions)? {
        let definition = definitions.join(name);
        if definition.is_dir() {
            let inside = names(&definition)?;
            folders.extend(inside.into_iter().map(|namespace| definition.join(namespace)));
        }
    }
    for folder in folders {
        if !folder.is_dir() {
            continue;
        }
        for name in names(&folder)?.into_iter().filter(|name| is_staged(name)) {
            let path = folder.join(name);
            let about = match fs::symlink_metadata(&path) {
                Ok(about) => about,
                // Whose it was has put it in its place.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", &path)(error)),
            };
            let changed = about.modified().map_err(Error::io("read", &path))?;
            if about.is_file() && now.duration_since(changed).is_ok_and(|age| age >= LEFT_AFTER) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// What a file holds, beside what it should.
enum Now {
    Nothing,
    Same,
    Other(String),
}

/// Nearly all are as they should be: what they hold is not looked at any closer.
fn now(path: &Path, text: &str) -> Result<Now, Error> {
    Ok(match bytes(path)? {
        None => Now::Nothing,
        Some(bytes) if bytes == text.as_bytes() => Now::Same,
        Some(bytes) => Now::Other(String::from_utf8_lossy(&bytes).into_owned()),
    })
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    Ok(bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The Python files of the namespaces' folders that are asked for.
fn existing(
    folder: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for namespace in names(folder)? {
        let inside = folder.join(&namespace);
        if namespace == SHIPPED || !inside.is_dir() {
            continue;
        }
        for name in names(&inside)? {
            let path = format!("{namespace}/{name}");
            // A folder or a pipe of somebody's is none of ours, whatever its name.
            if name.ends_with(".py")
                && is_wanted(&path)
                && fs::metadata(inside.join(&name)).is_ok_and(|about| about.is_file())
                && let Some(text) = read(&inside.join(&name))?
            {
                found.push((path, text));
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
