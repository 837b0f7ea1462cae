//! The configs: from a folder, or from a commit of a git repository.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use trivium_model::Diagnostic;
use trivium_registry::project::{
    File, FolderFiles, ProjectView, file_of, load_project, read_folder,
};

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

/// The configs at one moment.
#[derive(Debug, Default)]
pub struct Configs {
    /// The texts of each view by its stem, such as `flights/carrier_daily.v1`.
    pub pairs: BTreeMap<String, Vec<File>>,
    /// What could not be read, by stem; by folder, where a whole one could not.
    pub unread: BTreeMap<String, Vec<Diagnostic>>,
}

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
    /// The commit that the configs are read from now; none for a folder, which has no such name.
    pub fn commit(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Folder(_) => Ok(None),
            Self::Git { repository, reference, .. } => commit_of(repository, reference).map(Some),
        }
    }

    /// The files, grouped by what they are about.
    pub fn read(&self) -> Result<Configs, Error> {
        let found = match self {
            Self::Folder(folder) => read_folder(folder).map_err(Error::io("read", folder))?,
            Self::Git { repository, reference, folder } => {
                read_commit(repository, reference, folder)?
            }
        };
        let mut configs = Configs::default();
        for file in found.files {
            let Some(stem) = stem_of(&file.path) else { continue };
            configs.pairs.entry(stem.to_owned()).or_default().push(file);
        }
        for finding in found.findings {
            let stem = stem_of(&finding.path).unwrap_or(&finding.path).to_owned();
            configs.unread.entry(stem).or_default().push(finding);
        }
        Ok(configs)
    }
}

fn stem_of(path: &str) -> Option<&str> {
    path.strip_suffix(".json").or_else(|| path.strip_suffix(".sql"))
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

fn read_commit(repository: &Path, reference: &str, folder: &str) -> Result<FolderFiles, Error> {
    let folder = folder.trim_matches('/');
    // By the folder's own tree: a folder that the commit does not have is an error, and no empty one.
    let tree = format!("{reference}:{folder}");
    // `<mode> <type> <object>\t<path>`
    let listed = git(repository, &["ls-tree", "-r", "-z", "--full-tree", &tree], &[])?;
    let mut files = Vec::new();
    for entry in listed.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        let Some((about, path)) = entry.split_once('\t') else { continue };
        let mut about = about.split(' ').skip(1);
        if let (Some("blob"), Some(object), Some(_)) = (about.next(), about.next(), stem_of(path)) {
            files.push((path.to_owned(), object.to_owned()));
        }
    }
    // One process for all of them: a project has thousands of files.
    let asked: String = files.iter().map(|(_, object)| format!("{object}\n")).collect();
    let answer = git(repository, &["cat-file", "--batch"], asked.as_bytes())?;
    let mut rest = answer.as_slice();
    let mut found = FolderFiles::default();
    for (path, object) in files {
        let content = next_object(&mut rest).ok_or_else(|| Error::Git {
            doing: "cat-file --batch".to_owned(),
            message: format!("{path}: object {object} cannot be read"),
        })?;
        match file_of(path, content.to_vec()) {
            Ok(file) => found.files.push(file),
            Err(finding) => found.findings.push(finding),
        }
    }
    Ok(found)
}

/// Takes `<object> blob <bytes>\n<content>\n` off the front.
fn next_object<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&rest[..end]).ok()?;
    let length: usize = header.rsplit_once(' ')?.1.parse().ok()?;
    let content = rest.get(end + 1..end.checked_add(1)?.checked_add(length)?)?;
    *rest = rest.get(end + 1 + length + 1..)?;
    Some(content)
}

/// The commit that a reference names now.
pub fn commit_of(repository: &Path, reference: &str) -> Result<String, Error> {
    let found = git(
        repository,
        &["rev-parse", "--verify", "--end-of-options", &format!("{reference}^{{commit}}")],
        &[],
    )?;
    Ok(String::from_utf8_lossy(&found).trim().to_owned())
}

/// The text of a file of the commit that a reference names now; none where that has no such file.
pub fn file_in(repository: &Path, reference: &str, path: &str) -> Result<Option<String>, Error> {
    let commit = commit_of(repository, reference)?;
    let listed = git(repository, &["ls-tree", "-z", "--full-tree", &commit, "--", path], &[])?;
    let listed = String::from_utf8_lossy(&listed);
    // `<mode> blob <object>\t<path>`
    let object = listed.split('\t').next().and_then(|about| about.split(' ').nth(2));
    let is_file = listed.split(' ').nth(1) == Some("blob");
    let Some(object) = object.filter(|_| is_file) else { return Ok(None) };
    let content = git(repository, &["cat-file", "blob", object], &[])?;
    String::from_utf8(content).map(Some).map_err(|_| Error::Settings {
        place: format!("{reference}:{path}"),
        message: "it is not UTF-8".to_owned(),
        help: "save it as UTF-8 text",
    })
}

/// Moves the references of a remote to where they are there.
pub fn fetch(repository: &Path, remote: &str) -> Result<(), Error> {
    // A server that takes the call and says nothing would hold up every look.
    let slow = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"];
    let arguments = [&slow[..], &["fetch", "--quiet", "--end-of-options", remote]].concat();
    git(repository, &arguments, &[]).map(|_| ())
}

fn git(repository: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |message: String| Error::Git { doing: arguments.join(" "), message };
    let child = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(arguments)
        // Nobody is there who could type a password.
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    let stdin = child.stdin.take();
    // Beside the reading: git answers before it has heard all.
    let done = std::thread::scope(|scope| {
        scope.spawn(move || {
            // What git does not want to hear any more, its answer tells.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        child.wait_with_output()
    });
    let done = done.map_err(|error| failed(error.to_string()))?;
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).trim().to_owned()));
    }
    Ok(done.stdout)
}
