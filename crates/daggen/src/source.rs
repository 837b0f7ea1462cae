//! The configs: from a folder, or from a commit of a git repository.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use trivium_model::Diagnostic;
use trivium_registry::project::{File, ProjectView, load_project};

use crate::Error;

/// Where configs come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder.
    Folder(PathBuf),
    /// A folder of a commit, whatever is checked out.
    Git {
        /// A folder in the repository's work tree, or the repository itself.
        repository: PathBuf,
        /// The branch, tag or commit.
        reference: String,
        /// The folder, relative to the repository's top.
        folder: String,
    },
}

/// The texts of one view: its stem, such as `flights/carrier_daily.v1`, and its files.
pub type Pairs = BTreeMap<String, Vec<File>>;

/// What became of a pair.
#[derive(Debug)]
pub enum Loaded {
    /// A view.
    View(Box<ProjectView>),
    /// It is wrong.
    Wrong(Vec<Diagnostic>),
    /// No view: a service.
    Other,
}

impl Source {
    /// The files, grouped by what they are about.
    pub fn read(&self) -> Result<Pairs, Error> {
        let files = match self {
            Self::Folder(folder) => read_folder(folder)?,
            Self::Git { repository, reference, folder } => {
                read_commit(repository, reference, folder)?
            }
        };
        let mut pairs = Pairs::new();
        for file in files {
            let stem = file.path.strip_suffix(".json").or_else(|| file.path.strip_suffix(".sql"));
            let Some(stem) = stem else { continue };
            pairs.entry(stem.to_owned()).or_default().push(file);
        }
        Ok(pairs)
    }
}

/// Reads and checks one pair by itself: a DAG depends on nothing else.
pub fn load(stem: &str, files: &[File]) -> Loaded {
    if stem.ends_with(".service") {
        return Loaded::Other;
    }
    match load_project(files) {
        Err(found) => Loaded::Wrong(found),
        Ok(project) => match project.views.into_values().next() {
            Some(view) => Loaded::View(Box::new(view)),
            None => Loaded::Other,
        },
    }
}

fn read_folder(folder: &Path) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for namespace in sorted(folder)? {
        if !namespace.is_dir() {
            continue;
        }
        for path in sorted(&namespace)? {
            let is_ours =
                path.extension().is_some_and(|ending| ending == "json" || ending == "sql");
            if !is_ours || !path.is_file() {
                continue;
            }
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            match fs::read_to_string(&path) {
                Ok(text) => files.push(File { path: name, text }),
                // Taken away between listing and reading.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &path)(error)),
            }
        }
    }
    Ok(files)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_commit(repository: &Path, reference: &str, folder: &str) -> Result<Vec<File>, Error> {
    let folder = folder.trim_matches('/');
    let listed = git(
        repository,
        &["ls-tree", "-r", "-z", "--name-only", "--full-tree", reference, "--", folder],
    )?;
    let mut files = Vec::new();
    for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let path = String::from_utf8_lossy(path).into_owned();
        let relative =
            path.strip_prefix(folder).map_or(path.as_str(), |rest| rest.trim_start_matches('/'));
        let is_ours = relative.ends_with(".json") || relative.ends_with(".sql");
        if !is_ours || relative.matches('/').count() != 1 {
            continue;
        }
        let text = git(repository, &["cat-file", "blob", &format!("{reference}:{path}")])?;
        let text = String::from_utf8(text).map_err(|_| Error::Git {
            doing: format!("cat-file {path}"),
            message: "the file is not UTF-8".to_owned(),
        })?;
        files.push(File { path: relative.to_owned(), text });
    }
    Ok(files)
}

/// The commit that a reference names now.
pub fn commit_of(repository: &Path, reference: &str) -> Result<String, Error> {
    let found = git(
        repository,
        &["rev-parse", "--verify", "--end-of-options", &format!("{reference}^{{commit}}")],
    )?;
    Ok(String::from_utf8_lossy(&found).trim().to_owned())
}

fn git(repository: &Path, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let failed = |message: String| Error::Git { doing: arguments.join(" "), message };
    let done = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).trim().to_owned()));
    }
    Ok(done.stdout)
}
