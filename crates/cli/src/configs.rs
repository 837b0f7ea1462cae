//! The authors' files as they lie in the configs folder.

use std::{
    fs::{Metadata, ReadDir},
    io,
    path::{Path, PathBuf},
};

use trivium_api::ApiError;
use trivium_model::{Diagnostic, LineIndex, config::Code};
use trivium_registry::project::{FILE_TOO_LARGE, File, file_bytes_max};

use crate::{
    codes::{NOT_A_FILE, NOT_UTF8, UNREADABLE},
    failure::{self, Failure},
    project::Project,
};

/// The configs folder holds namespaces, and these hold files: much deeper is a mistake, or a loop
/// of links.
const DEPTH_MAX: u32 = 4;

/// The files of a configs folder.
#[derive(Debug)]
pub struct Configs {
    /// The folder, as the person named it.
    pub root: PathBuf,
    /// Its files, paths relative to it.
    pub files: Vec<File>,
    /// What could not be read as text.
    pub findings: Vec<Diagnostic>,
    /// Where files were named, not the whole folder: these, relative to it.
    only: Option<Vec<String>>,
}

impl Configs {
    /// Reads the folder, or the whole folder that the named files belong to: what they say can
    /// only be judged beside the others.
    pub fn read(paths: &[PathBuf], project: Option<&Project>) -> Result<Self, Failure> {
        let (root, only) = match paths {
            [] => match project {
                Some(project) => (project.configs.clone(), None),
                None => {
                    return Err(ApiError::invalid(
                        "no configs folder is named, and there is no project here",
                    )
                    .help("name the folder, as in `trivium validate configs`")
                    .into());
                }
            },
            [folder] if is_root(folder, project)? => (folder.clone(), None),
            several => {
                let mut roots = Vec::new();
                let mut only = Vec::new();
                for path in several {
                    let (root, relative) = split(path)?;
                    roots.push(root);
                    only.push(relative);
                }
                roots.dedup();
                let [root] = roots.as_slice() else {
                    return Err(ApiError::invalid("the paths belong to different configs folders")
                        .help("name paths of one configs folder")
                        .into());
                };
                (root.clone(), Some(only))
            }
        };
        let mut configs =
            Self { root: root.clone(), files: Vec::new(), findings: Vec::new(), only };
        // Of the folder itself the person is told at once: without it there is nothing to find.
        let entries = std::fs::read_dir(&root).map_err(|error| failure::file(&root, &error))?;
        configs.walk(entries, "", 0);
        configs.files.sort_by(|a, b| a.path.cmp(&b.path));
        if configs.files.is_empty() && configs.findings.is_empty() {
            return Err(ApiError::not_found("there are no configs")
                .at(root.display().to_string())
                .help("a view is a pair `<namespace>/<view>.v<N>.json` and `.sql`")
                .into());
        }
        Ok(configs)
    }

    /// Names the file of a finding as the person would.
    pub fn shown(&self, finding: Diagnostic) -> Diagnostic {
        Diagnostic { path: self.root.join(&finding.path).display().to_string(), ..finding }
    }

    /// Whether the file is among those that were named.
    pub fn is_asked(&self, path: &str) -> bool {
        self.only.as_ref().is_none_or(|only| {
            let stem = |path: &str| {
                path.strip_suffix(".sql").or(path.strip_suffix(".json")).unwrap_or(path).to_owned()
            };
            only.iter().any(|asked| {
                stem(asked) == stem(path)
                    || path.strip_prefix(asked.as_str()).is_some_and(|rest| rest.starts_with('/'))
            })
        })
    }

    /// Paths of what the findings are about: it is there, though nothing is known of it.
    pub fn unread(&self) -> Vec<String> {
        self.findings.iter().map(|finding| finding.path.clone()).collect()
    }

    /// One entry that cannot be read is one finding, and the others are read.
    fn walk(&mut self, entries: ReadDir, relative: &str, depth: u32) {
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(relative.trim_end_matches('/').to_owned(), &error);
                    continue;
                }
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let path = format!("{relative}{}", name.to_string_lossy());
                self.refuse(path, (1, 1), &NOT_UTF8, "the file's name is not UTF-8", "rename it");
                continue;
            };
            // Editors and systems leave such files, and links that lead nowhere.
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            let path = entry.path();
            let within = format!("{relative}{name}");
            match std::fs::metadata(&path) {
                Ok(about) if about.is_dir() => {
                    if depth < DEPTH_MAX {
                        match std::fs::read_dir(&path) {
                            Ok(entries) => self.walk(entries, &format!("{within}/"), depth + 1),
                            Err(error) => self.unreadable(within, &error),
                        }
                    }
                }
                Ok(about) => self.read_file(&path, within, &about),
                Err(error) => {
                    let is_link = path.symlink_metadata().is_ok_and(|link| link.is_symlink());
                    if is_link && error.kind() == io::ErrorKind::NotFound {
                        let message = "the link leads nowhere";
                        let help = "mend the link, or take it away";
                        self.refuse(within, (1, 1), &UNREADABLE, message, help);
                    } else {
                        self.unreadable(within, &error);
                    }
                }
            }
        }
    }

    fn read_file(&mut self, path: &Path, relative: String, about: &Metadata) {
        if !about.is_file() {
            let message = "this is no regular file";
            self.refuse(relative, (1, 1), &NOT_A_FILE, message, "take it away");
            return;
        }
        let most = file_bytes_max(&relative);
        if about.len() > most as u64 {
            let message = format!("{} bytes are more than the {most} of one file", about.len());
            self.refuse(relative, (1, 1), &FILE_TOO_LARGE, &message, "split the view");
            return;
        }
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) => return self.unreadable(relative, &error),
        };
        match String::from_utf8(content) {
            Ok(text) => self.files.push(File::new(relative, text)),
            Err(error) => {
                let upto = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..upto]).into_owned();
                let position = LineIndex::new(&before).position(before.len());
                let message = "the file is not UTF-8 text";
                self.refuse(relative, position, &NOT_UTF8, message, "save it as UTF-8");
            }
        }
    }

    fn unreadable(&mut self, path: String, error: &io::Error) {
        let message = failure::wording(error);
        let help = "make it readable, or take it away";
        self.refuse(path, (1, 1), &UNREADABLE, &message, help);
    }

    fn refuse(&mut self, path: String, at: (u32, u32), code: &Code, message: &str, help: &str) {
        self.findings.push(Diagnostic::error(path, at, code.code, message, help));
    }
}

/// Whether a path is a configs folder, and not a namespace's folder or a file of one.
fn is_root(path: &Path, project: Option<&Project>) -> Result<bool, Failure> {
    let about = std::fs::metadata(path).map_err(|error| failure::file(path, &error))?;
    if !about.is_dir() {
        return Ok(false);
    }
    if project.is_some_and(|project| same(path, &project.configs)) {
        return Ok(true);
    }
    let inside = project
        .and_then(|project| Some((path.canonicalize().ok()?, project.configs.canonicalize().ok()?)))
        .is_some_and(|(path, configs)| path.starts_with(configs));
    if inside {
        return Ok(false);
    }
    // Outside of a project: a folder that has configs itself is a namespace's.
    let entries = std::fs::read_dir(path).map_err(|error| failure::file(path, &error))?;
    let has_configs = entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.contains(".v") && (name.ends_with(".json") || name.ends_with(".sql"))
    });
    Ok(!has_configs)
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The configs folder of a file or a namespace's folder, and the path within.
fn split(path: &Path) -> Result<(PathBuf, String), Failure> {
    let about = std::fs::metadata(path).map_err(|error| failure::file(path, &error))?;
    let absolute = std::path::absolute(path).map_err(|error| failure::file(path, &error))?;
    let depth = if about.is_dir() { 1 } else { 2 };
    let parts: Vec<String> = absolute
        .components()
        .rev()
        .take(depth)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let relative: Vec<String> = parts.into_iter().rev().collect();
    // As the person named it, where that is long enough: messages then show the same path.
    let root = match path.ancestors().nth(depth) {
        Some(root) if !root.as_os_str().is_empty() => root.to_path_buf(),
        Some(_) => PathBuf::from("."),
        None => absolute.ancestors().nth(depth).unwrap_or(&absolute).to_path_buf(),
    };
    Ok((root, relative.join("/")))
}
