//! The authors' files as they lie in the configs folder.

use std::path::{Path, PathBuf};

use trivium_api::ApiError;
use trivium_model::Diagnostic;
use trivium_registry::project::{File, FolderFiles, read_folder};

use crate::{
    failure::{self, Failure},
    project::Project,
};

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
        // Of the folder itself the person is told at once: without it there is nothing to find.
        let FolderFiles { files, findings } =
            read_folder(&root).map_err(|error| failure::file(&root, &error))?;
        if files.is_empty() && findings.is_empty() {
            return Err(ApiError::not_found("there are no configs")
                .at(root.display().to_string())
                .help("a view is a pair `<namespace>/<view>.v<N>.json` and `.sql`")
                .into());
        }
        Ok(Self { root, files, findings, only })
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
    let is_config = path.extension().is_some_and(|ending| ending == "json" || ending == "sql");
    if !about.is_dir() && !is_config {
        return Err(ApiError::invalid("this is no config")
            .at(path.display().to_string())
            .help("name a folder, or a file such as `shop/customer_daily.v1.json` or `.sql`")
            .into());
    }
    let absolute = std::path::absolute(path).map_err(|error| failure::file(path, &error))?;
    let depth = if about.is_dir() { 1 } else { 2 };
    let parts: Vec<String> = absolute
        .components()
        .rev()
        .take(depth)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let relative: Vec<String> = parts.into_iter().rev().collect();
    // As the person named it, where that is long enough: messages then show the same path. Dots name nothing.
    let is_plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    let long_enough = path.components().rev().take_while(|part| is_plain(*part)).count() >= depth;
    let root = match path.ancestors().nth(depth) {
        Some(root) if long_enough && !root.as_os_str().is_empty() => root.to_path_buf(),
        Some(_) if long_enough => PathBuf::from("."),
        _ => absolute.ancestors().nth(depth).unwrap_or(&absolute).to_path_buf(),
    };
    Ok((root, relative.join("/")))
}
