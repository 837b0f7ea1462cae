//! Configs: reading, checking, comparing them, and the JSON Schema of what they may say.
//!
//! `shape` says as data what may be written; `read` checks a file's form against it; `view`,
//! `rollup`, `quality`, `source`, `job` and `service` check the meaning and build the model's types; `schema` writes
//! the JSON Schema from the same data. Paths are only compared and shown: nothing is opened here.

mod change;
mod classify;
mod codes;
mod job;
pub mod limits;
mod project;
mod quality;
mod read;
mod rollup;
mod schema;
mod service;
mod shape;
mod source;
mod tree;
mod view;
mod window;
mod words;

use jsonc_parser::ast::Object;
use jsonc_parser::common::Ranged;

pub use self::change::{ChangeClass, Difference};
pub use self::classify::{classify_service, classify_view};
pub use self::codes::{CODES, Code, documentation, row};
pub use self::project::{check_project, check_project_with, position_in_item, position_within};
use self::read::Reader;
pub use self::schema::{schema_json, schema_text};
use self::shape::Shape;
use self::tree::{get, text};
pub(crate) use self::view::is_numeric;
pub use crate::diagnostic::{Diagnostic, LineIndex};
use crate::{FeatureService, FeatureView};

/// A config file's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigKind {
    /// `<name>.v<N>.json`
    View,
    /// `<name>.v<N>.service.json`
    Service,
}

impl ConfigKind {
    /// The kind that a file's name says: services end in `.service.json`, views in `.json`.
    pub fn of_path(path: &str) -> Option<Self> {
        if path.ends_with(".service.json") {
            Some(Self::Service)
        } else if path.ends_with(".json") {
            Some(Self::View)
        } else {
            None
        }
    }

    /// The file name of the JSON Schema, below `schemas/`.
    pub const fn schema_file_name(self) -> &'static str {
        match self {
            Self::View => "feature-view.v1.json",
            Self::Service => "feature-service.v1.json",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::View => ".json",
            Self::Service => ".service.json",
        }
    }

    const fn shape(self) -> &'static Shape {
        match self {
            Self::View => &shape::VIEW,
            Self::Service => &shape::SERVICE,
        }
    }
}

/// Reads and checks `<namespace>/<view>.v<N>.json`. All errors come in one go; warnings, if there
/// are no errors, are dropped: see [`parse_view_with_warnings`].
pub fn parse_view(path: &str, text: &str) -> Result<FeatureView, Vec<Diagnostic>> {
    let (view, diagnostics) = parse_view_with_warnings(path, text);
    view.ok_or(diagnostics)
}

/// Reads and checks a view. The view is there exactly if no diagnostic is an error.
pub fn parse_view_with_warnings(path: &str, text: &str) -> (Option<FeatureView>, Vec<Diagnostic>) {
    parse(ConfigKind::View, path, text, view::build)
}

/// Reads and checks `<namespace>/<name>.v<N>.service.json`. All errors come in one go.
pub fn parse_service(path: &str, text: &str) -> Result<FeatureService, Vec<Diagnostic>> {
    let (service, diagnostics) = parse_service_with_warnings(path, text);
    service.ok_or(diagnostics)
}

/// Reads and checks a service. The service is there exactly if no diagnostic is an error.
pub fn parse_service_with_warnings(
    path: &str,
    text: &str,
) -> (Option<FeatureService>, Vec<Diagnostic>) {
    parse(ConfigKind::Service, path, text, service::build)
}

fn parse<T>(
    kind: ConfigKind,
    path: &str,
    text: &str,
    build: impl FnOnce(&mut Reader<'_>, &Object<'_>) -> Option<T>,
) -> (Option<T>, Vec<Diagnostic>) {
    let mut reader = Reader::new(path, text);
    let Some(root) = reader.root(text) else { return (None, reader.finish()) };
    reader.check_object(&root, kind.shape(), None);
    let built = build(&mut reader, &root);
    check_path(&mut reader, kind, &root);
    check_schema_url(&mut reader, kind, &root);
    let mut found = reader.finish();
    let refused = found.iter().any(Diagnostic::is_error);
    if built.is_none() && !refused {
        // Cannot be: the form's check and the builders agree. If it were, silence would be worse.
        let message = "the file could not be read";
        found.push(Diagnostic::error(path, (1, 1), codes::SYNTAX, message, "report this file"));
    }
    (built.filter(|_| !refused), found)
}

/// The file's name must say what the file holds: `<namespace>/<name>.v<version>.json`.
fn check_path(reader: &mut Reader<'_>, kind: ConfigKind, root: &Object<'_>) {
    let path = reader.path;
    let mut parts = path.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or_default();
    let folder = parts.next();
    let position = |field: &str| get(root, field).map(|node| node.range().start);
    let name = get(root, "name").and_then(tree::name);
    // Out of its range, it has been reported.
    let version = view::version(root).filter(|version| (1..=limits::VERSION_MAX).contains(version));
    if let (Some(name), Some(version)) = (name, version) {
        let expected = format!("{name}.v{version}{}", kind.suffix());
        if file != expected {
            let same_name = file.starts_with(&format!("{name}.v"));
            let field = if same_name { "version" } else { "name" };
            let message = format!("the file is named `{}`", words::short(file));
            let help = format!("rename it to `{expected}`, or mend `name` or `version`");
            let at = position(field).unwrap_or(0);
            reader.error(at, codes::WRONG_FILE_NAME, message, help);
        }
    }
    if let (Some(namespace), Some(folder)) = (get(root, "namespace").and_then(tree::name), folder)
        && namespace != *folder
        && !limits::RESERVED_NAMESPACES.contains(&namespace.as_str())
    {
        let message = format!("the file is in the folder `{}`", words::short(folder));
        let help = format!("move it to `{namespace}`, or mend `namespace`");
        let at = position("namespace").unwrap_or(0);
        reader.error(at, codes::WRONG_FOLDER, message, help);
    }
}

fn check_schema_url(reader: &mut Reader<'_>, kind: ConfigKind, root: &Object<'_>) {
    if let Some(node) = get(root, "$schema")
        && let Some(url) = text(node)
        && url.rsplit('/').next() != Some(kind.schema_file_name())
    {
        let message = format!("`$schema` is `{}`", words::short(url));
        let help = format!("point it at `schemas/{}`", kind.schema_file_name());
        reader.warn(node.range().start, codes::WRONG_SCHEMA, message, help);
    }
}

#[cfg(test)]
mod tests;
