//! Which file is what: `<namespace>/<view>.v<N>.json`, `.sql` beside it, `.service.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trivium_model::{Diagnostic, Name};

use super::{
    DUPLICATE_FILE, FILE_TOO_LARGE, MISSING_CONFIG, PROJECT_FILES_MAX, TOO_MANY_FILES,
    UNKNOWN_FILE, file_bytes_max,
};

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
    /// There is SQL, but it was refused as a file.
    pub(crate) sql_refused: bool,
}

/// The files of a project, sorted by what they are.
#[derive(Debug, Default)]
pub struct Grouped<'f> {
    pub(crate) views: Vec<Pair<'f>>,
    pub(crate) services: Vec<&'f File>,
}

/// Files that are there and were refused for their name or size, or could not be read: their other
/// halves are not alone.
#[derive(Debug, Default)]
struct Refused {
    exact: BTreeSet<(Stem, FileKind)>,
    /// Where the name is wrong: the path up to the name's first dot, and whether it is SQL.
    near: BTreeSet<(String, bool)>,
}

impl Refused {
    fn add(&mut self, path: &str) {
        match classify(path) {
            Ok(known) => drop(self.exact.insert(known)),
            Err(_) => {
                let name_at = path.rfind('/').map_or(0, |at| at + 1);
                let end = path[name_at..].find('.').map_or(path.len(), |dot| name_at + dot);
                self.near.insert((path[..end].to_lowercase(), path.ends_with(".sql")));
            }
        }
    }

    fn has(&self, stem: &Stem, kind: FileKind) -> bool {
        let near = (format!("{}/{}", stem.namespace, stem.name), kind == FileKind::Sql);
        self.near.contains(&near) || self.exact.contains(&(stem.clone(), kind))
    }
}

/// Whether a file of a configs folder is none of ours and may stay: hidden files and notes.
fn is_ignored(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.')) || path.ends_with(".md")
}

/// Sorts files by what they are; what is none of the known kinds is reported. Files that are
/// `unread` lie beside the others, and were reported by the caller.
pub fn group<'f>(files: &'f [File], unread: &[String], found: &mut Vec<Diagnostic>) -> Grouped<'f> {
    if files.len() > PROJECT_FILES_MAX {
        found.push(Diagnostic::error(
            "",
            (1, 1),
            TOO_MANY_FILES.code,
            format!("{} files are more than the {PROJECT_FILES_MAX} of one project", files.len()),
            "split the project",
        ));
        return Grouped::default();
    }
    let mut seen = BTreeMap::new();
    let mut views: BTreeMap<Stem, Pair<'f>> = BTreeMap::new();
    let mut services = Vec::new();
    let mut refused = Refused::default();
    unread.iter().for_each(|path| refused.add(path));
    for file in files.iter().filter(|file| !is_ignored(&file.path)) {
        let mut report = |code: &'static str, message: String, help: String| {
            found.push(Diagnostic::error(&file.path, (1, 1), code, message, help));
        };
        let (length, most) = (file.text.len(), file_bytes_max(&file.path));
        if length > most {
            report(
                FILE_TOO_LARGE.code,
                format!("{length} bytes are more than the {most} of one file"),
                "split the view".to_owned(),
            );
            refused.add(&file.path);
            continue;
        }
        let (stem, kind) = match classify(&file.path) {
            Ok(known) => known,
            Err((message, help)) => {
                report(UNKNOWN_FILE.code, message, help);
                refused.add(&file.path);
                continue;
            }
        };
        if seen.insert((stem.clone(), kind), ()).is_some() {
            report(
                DUPLICATE_FILE.code,
                "the file is given twice".to_owned(),
                "give it once".to_owned(),
            );
            continue;
        }
        let pair = || Pair { stem: stem.clone(), config: None, sql: None, sql_refused: false };
        match kind {
            FileKind::View => views.entry(stem.clone()).or_insert_with(pair).config = Some(file),
            FileKind::Sql => views.entry(stem.clone()).or_insert_with(pair).sql = Some(file),
            FileKind::Service => services.push(file),
        }
    }
    for (stem, pair) in &mut views {
        pair.sql_refused = refused.has(stem, FileKind::Sql);
        if let (None, Some(sql)) = (pair.config, pair.sql)
            && !refused.has(stem, FileKind::View)
        {
            found.push(Diagnostic::error(
                &sql.path,
                (1, 1),
                MISSING_CONFIG.code,
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
