//! Which file is what: `<namespace>/<view>.v<N>.json`, `.sql` beside it, `.service.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trivium_model::{Diagnostic, Name};

use super::{FILE_BYTES_MAX, PROJECT_FILES_MAX};

/// One file of a configs folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Relative to the configs folder, with `/` between its parts.
    pub path: String,
    /// The text.
    pub text: String,
}

impl File {
    /// A file.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// `.v<N>.json`
    View,
    /// `.v<N>.sql`
    Sql,
    /// `.v<N>.service.json`
    Service,
}

/// The part of a path that a view's two files share: `flights/carrier_daily.v1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stem {
    /// The folder.
    pub namespace: Name,
    /// The view or service.
    pub name: Name,
    /// The version.
    pub version: u32,
}

impl Stem {
    /// `flights/carrier_daily.v1.json`
    pub fn view_path(&self) -> String {
        format!("{}/{}.v{}.json", self.namespace, self.name, self.version)
    }
    /// `flights/carrier_daily.v1.sql`
    pub fn sql_path(&self) -> String {
        format!("{}/{}.v{}.sql", self.namespace, self.name, self.version)
    }
    /// `flights/delay_model.v1.service.json`
    pub fn service_path(&self) -> String {
        format!("{}/{}.v{}.service.json", self.namespace, self.name, self.version)
    }
}

/// A view's two files, either of which may be missing.
#[derive(Debug, Clone)]
pub struct Pair<'f> {
    pub(crate) stem: Stem,
    pub(crate) config: Option<&'f File>,
    pub(crate) sql: Option<&'f File>,
}

/// The files of a project, sorted by what they are.
#[derive(Debug, Default)]
pub struct Grouped<'f> {
    pub(crate) views: Vec<Pair<'f>>,
    pub(crate) services: Vec<&'f File>,
}

/// Whether a file of a configs folder is none of ours and may stay: hidden files and notes.
fn is_ignored(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.')) || path.ends_with(".md")
}

/// Sorts files by what they are; what is none of the known kinds is reported.
pub fn group<'f>(files: &'f [File], found: &mut Vec<Diagnostic>) -> Grouped<'f> {
    if files.len() > PROJECT_FILES_MAX {
        found.push(Diagnostic::error(
            "",
            (1, 1),
            "too-many-files",
            format!("{} files are more than the {PROJECT_FILES_MAX} of one project", files.len()),
            "split the project",
        ));
        return Grouped::default();
    }
    let mut seen = BTreeMap::new();
    let mut views: BTreeMap<Stem, Pair<'f>> = BTreeMap::new();
    let mut services = Vec::new();
    for file in files.iter().filter(|file| !is_ignored(&file.path)) {
        let mut report = |code: &'static str, message: String, help: String| {
            found.push(Diagnostic::error(&file.path, (1, 1), code, message, help));
        };
        if file.text.len() > FILE_BYTES_MAX {
            let length = file.text.len();
            report(
                "file-too-large",
                format!("{length} bytes are more than the {FILE_BYTES_MAX} of one file"),
                "split the view".to_owned(),
            );
            continue;
        }
        let (stem, kind) = match classify(&file.path) {
            Ok(known) => known,
            Err((message, help)) => {
                report("unknown-file", message, help);
                continue;
            }
        };
        if seen.insert((stem.clone(), kind), ()).is_some() {
            report(
                "duplicate-file",
                "the file is given twice".to_owned(),
                "give it once".to_owned(),
            );
            continue;
        }
        let pair = || Pair { stem: stem.clone(), config: None, sql: None };
        match kind {
            FileKind::View => views.entry(stem.clone()).or_insert_with(pair).config = Some(file),
            FileKind::Sql => views.entry(stem.clone()).or_insert_with(pair).sql = Some(file),
            FileKind::Service => services.push(file),
        }
    }
    for (stem, pair) in &views {
        if let (None, Some(sql)) = (pair.config, pair.sql) {
            found.push(Diagnostic::error(
                &sql.path,
                (1, 1),
                "missing-config",
                "the SQL has no JSON beside it",
                format!("write the view's config to `{}`", stem.view_path()),
            ));
        }
    }
    Grouped { views: views.into_values().collect(), services }
}

/// What a path names, or what is wrong with it and what to do.
fn classify(path: &str) -> Result<(Stem, FileKind), (String, String)> {
    let shape = || {
        "a configs folder holds `<namespace>/<view>.v<N>.json`, `<namespace>/<view>.v<N>.sql` and `<namespace>/<name>.v<N>.service.json`".to_owned()
    };
    let Some((namespace, name)) = path.split_once('/') else {
        return Err(("the file lies in no namespace's folder".to_owned(), shape()));
    };
    if name.contains('/') {
        return Err(("the file lies deeper than its namespace's folder".to_owned(), shape()));
    }
    let namespace = Name::new(namespace)
        .map_err(|error| (format!("the folder names no namespace: {error}"), shape()))?;
    // The longer ending first: `.service.json` ends with `.json` too.
    let endings =
        [(".service.json", FileKind::Service), (".json", FileKind::View), (".sql", FileKind::Sql)];
    let known = endings
        .into_iter()
        .find_map(|(ending, kind)| name.strip_suffix(ending).map(|rest| (rest, ending, kind)));
    let Some((rest, ending, kind)) = known else {
        return Err(("the file is neither JSON nor SQL".to_owned(), shape()));
    };
    let Some((name, version)) = rest.rsplit_once(".v") else {
        return Err((
            "the file's name has no version".to_owned(),
            format!("call it `{rest}.v1{ending}` if it is the first"),
        ));
    };
    let name = Name::new(name)
        .map_err(|error| (format!("the file's name is wrong: {error}"), "rename it".to_owned()))?;
    let canonical = version.bytes().all(|b| b.is_ascii_digit()) && !version.starts_with('0');
    let version = version.parse::<u32>().ok().filter(|_| canonical).ok_or_else(|| {
        (
            format!("`{version}` is not a version"),
            format!("write a whole number from 1 without leading zeros, as in `{name}.v1{ending}`"),
        )
    })?;
    Ok((Stem { namespace, name, version }, kind))
}
