//! `[sources]` of `trivium.toml`: the tables that SQL may name. Each is files, or what another view published.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use trivium_api::ApiError;
use trivium_daggen::lines::Lines;
use trivium_engine::{Source, Table};
use trivium_model::{FeatureView, ViewRef};
use trivium_offline::{
    Lake, Layer, Partition, Period, columns::published_schema, periods_read, schedule, table_of,
};
use trivium_registry::{PartitionRecord, Snapshot};
use trivium_runtime::Kind;
use trivium_spark::{job::JobTable, jobs};

use crate::{
    failure::{self, Failure},
    project::expand,
};

/// Names that checks, carryover and rollup read by.
const RESERVED: [&str; 2] = [trivium_sql::STAGED, trivium_sql::RAW];
/// The parameter of `ready`: the period's day, as in SQL.
const DAY: &str = "{{ ds }}";

/// `[sources.<name>]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    view: Option<String>,
    format: Option<Format>,
    path: Option<Paths>,
    null: Option<String>,
    time_zone: Option<String>,
    ready: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Csv,
    Parquet,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paths {
    One(String),
    Many(Vec<String>),
}

/// The project's sources by name.
#[derive(Debug, Clone)]
pub struct Sources {
    /// For messages.
    file: PathBuf,
    by_name: BTreeMap<String, Declared>,
}

#[derive(Debug, Clone)]
enum Declared {
    Files(Files),
    /// The published partitions of a view.
    View(ViewRef),
}

#[derive(Debug, Clone)]
struct Files {
    format: Format,
    paths: Vec<PathBuf>,
    null: Option<String>,
    time_zone: Option<String>,
    /// The file whose presence says that a period's rows are there, with `{{ ds }}` for its day.
    ready: Option<PathBuf>,
}

/// What is known of the views that sources name, and where their rows are.
#[derive(Debug, Clone)]
pub struct Upstream {
    lake: Lake,
    views: BTreeMap<ViewRef, FeatureView>,
}

impl Upstream {
    /// As these definitions have the views.
    pub fn of_snapshot(sources: &Sources, lake: Lake, snapshot: &Snapshot) -> Self {
        Self::new(sources, lake, |view| snapshot.views.get(view).map(|stored| stored.view.clone()))
    }

    /// As somebody else finds them.
    pub fn new(
        sources: &Sources,
        lake: Lake,
        find: impl Fn(&ViewRef) -> Option<FeatureView>,
    ) -> Self {
        let found = sources.views().filter_map(|(_, view)| Some((view.clone(), find(view)?)));
        Self { views: found.collect(), lake }
    }

    /// Whether the view is known, of those that sources name.
    pub fn knows(&self, view: &ViewRef) -> bool {
        self.views.contains_key(view)
    }
}

impl Sources {
    /// Checks the sections; `base` is the project's folder.
    pub fn read(
        sections: BTreeMap<String, SourceSection>,
        lines: &Lines<'_>,
        base: &Path,
    ) -> Result<Self, Failure> {
        let mut by_name = BTreeMap::new();
        for (name, section) in sections {
            let place = |field: &str| match field {
                "" => lines.place(&["sources", &name]),
                _ => lines.place(&["sources", &name, field]),
            };
            if RESERVED.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
                let message =
                    format!("`{name}` is what the platform's own queries call their rows");
                return Err(wrong(place(""), message, "choose another name"));
            }
            let declared = match &section.view {
                Some(view) => Declared::View(read_view(place, view, &section)?),
                None => Declared::Files(read_files(place, section, base)?),
            };
            by_name.insert(name, declared);
        }
        Ok(Self { file: lines.file().into(), by_name })
    }

    /// The sources that are views, with their names in SQL.
    pub fn views(&self) -> impl Iterator<Item = (&str, &ViewRef)> {
        self.by_name.iter().filter_map(|(name, declared)| match declared {
            Declared::View(view) => Some((name.as_str(), view)),
            Declared::Files(_) => None,
        })
    }

    /// The view that a name in SQL stands for, if it is one.
    pub fn view(&self, name: &str) -> Option<&ViewRef> {
        // As nearly every name is written; no two differ in case alone.
        match self.by_name.get(name) {
            Some(Declared::View(view)) => Some(view),
            Some(Declared::Files(_)) => None,
            None => {
                self.views().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, view)| view)
            }
        }
    }

    /// What the sources of these names do not have yet of a period: the partitions and files that each would
    /// wait for.
    pub fn not_ready(
        &self,
        names: &[String],
        period: Period,
        upstream: &Upstream,
    ) -> Result<Vec<String>, Failure> {
        let mut missing = self.not_published(names, period, upstream)?;
        for (name, declared) in &self.by_name {
            let Declared::Files(Files { ready: Some(pattern), .. }) = declared else { continue };
            if !is_among(names, name) {
                continue;
            }
            let day = trivium_sql::Period::new(period.start, period.end, None)
                .map_err(|error| ApiError::invalid(error.to_string()))?
                .day();
            let path = PathBuf::from(pattern.to_string_lossy().replace(DAY, &day));
            if !path.try_exists().map_err(|error| failure::file(&path, &error))? {
                missing.push(format!("sources.{name}: {}", path.display()));
            }
        }
        Ok(missing)
    }

    /// The partitions of other views that a period reads and that are not published yet.
    pub fn not_published(
        &self,
        names: &[String],
        period: Period,
        upstream: &Upstream,
    ) -> Result<Vec<String>, Failure> {
        let mut missing = Vec::new();
        for (name, reference) in self.views().filter(|(name, _)| is_among(names, name)) {
            let view = self.known(name, reference, upstream)?;
            let schedule = schedule(view).map_err(|error| failure::offline(&error))?;
            for one in periods_read(schedule, period) {
                let found = upstream.lake.partition(reference, Layer::Published, one);
                if found.map_err(|error| failure::offline(&error))?.is_none() {
                    missing.push(format!("sources.{name}: {reference} {}", one.folder()));
                }
            }
        }
        Ok(missing)
    }

    /// All names that SQL may use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The sources of these names as tables. Files are looked up, not read.
    pub fn tables(&self, names: &[String], upstream: &Upstream) -> Result<Vec<Table>, Failure> {
        let is_known = |name: &&String| self.names().any(|own| own.eq_ignore_ascii_case(name));
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            let known: Vec<&str> = self.names().collect();
            let message = format!("the project has no source `{name}`");
            return Err(ApiError::new(Kind::FailedPrecondition, message)
                .at(self.file.display().to_string())
                .help(format!("declare [sources.{name}]; it has: {}", known.join(", ")))
                .into());
        }
        let table = |(name, declared): (&String, &Declared)| {
            let (source, time_zone) = match declared {
                Declared::View(reference) => {
                    let view = self.known(name, reference, upstream)?;
                    let partitions = partitions(reference, upstream)?;
                    let rows = table_of(view, &partitions);
                    (rows.map_err(|error| failure::offline(&error))?, None)
                }
                Declared::Files(files) => {
                    let source = files.source().map_err(|failure| self.blame(name, failure))?;
                    (source, files.time_zone.clone())
                }
            };
            Ok(Table { name: name.clone(), source, time_zone })
        };
        self.by_name.iter().filter(|(name, _)| is_among(names, name)).map(table).collect()
    }

    /// A view's partitions as Spark reads them; `None` where the source is files.
    pub fn spark_view(
        &self,
        table: &Table,
        upstream: &Upstream,
    ) -> Result<Option<JobTable>, Failure> {
        let Some(Declared::View(reference)) = self.by_name.get(&table.name) else {
            return Ok(None);
        };
        let view = self.known(&table.name, reference, upstream)?;
        let files: Vec<PathBuf> =
            partitions(reference, upstream)?.iter().flat_map(Partition::files).collect();
        if files.is_empty() {
            let message = format!("{reference} has no published partition");
            return Err(ApiError::new(Kind::FailedPrecondition, message)
                .at(format!("sources.{}", table.name))
                .help(format!("run it first: `trivium run {reference}`"))
                .into());
        }
        let table = Table { source: Source::Parquet(files), ..table.clone() };
        // Partitions of an older form of the view lack columns: they are null.
        let table = jobs::source_table(&table, Some(&published_schema(view)));
        table.map(Some).map_err(|error| failure::spark(&error))
    }

    /// Names the views, not the tables as which the SQL reads them: lineage goes from view to view.
    pub fn name_views(&self, record: &mut PartitionRecord) {
        let rename = |name: &mut String| {
            if let Some(view) = self.view(name) {
                *name = view.to_string();
            }
        };
        record.tables.iter_mut().for_each(rename);
        let sources = record.lineage.iter_mut().flat_map(|column| &mut column.sources);
        sources.filter_map(|source| source.table.as_mut()).for_each(rename);
    }

    fn known<'u>(
        &self,
        name: &str,
        reference: &ViewRef,
        upstream: &'u Upstream,
    ) -> Result<&'u FeatureView, Failure> {
        let found = upstream.views.get(reference).ok_or_else(|| {
            ApiError::new(Kind::FailedPrecondition, format!("{reference} is not known"))
                .at(format!("{}: sources.{name}.view", self.file.display()))
                .help("is it written right? `trivium apply` makes a view known")
        })?;
        Ok(found)
    }

    fn blame(&self, name: &str, failure: Failure) -> Failure {
        let help = format!("sources.{name} of {} names it", self.file.display());
        Failure { error: failure.error.help(help), findings: failure.findings }
    }
}

fn is_among(names: &[String], name: &str) -> bool {
    names.iter().any(|asked| asked.eq_ignore_ascii_case(name))
}

fn partitions(view: &ViewRef, upstream: &Upstream) -> Result<Vec<Partition>, Failure> {
    let found = upstream.lake.all_partitions(view, Layer::Published);
    found.map_err(|error| failure::offline(&error))
}

fn wrong(place: String, message: impl Into<String>, help: &str) -> Failure {
    ApiError::invalid(message).at(place).help(help).into()
}

fn read_view(
    place: impl Fn(&str) -> String,
    view: &str,
    section: &SourceSection,
) -> Result<ViewRef, Failure> {
    let others = [
        ("format", section.format.is_some()),
        ("path", section.path.is_some()),
        ("null", section.null.is_some()),
        ("time_zone", section.time_zone.is_some()),
        ("ready", section.ready.is_some()),
    ];
    if let Some((field, _)) = others.iter().find(|(_, is_there)| *is_there) {
        let message = format!("`{field}` has no place beside `view`");
        return Err(wrong(place(field), message, "a view knows its own rows: remove it"));
    }
    view.parse().map_err(|error| {
        let help = "write it with its version, such as `flights/carrier_daily@1`";
        wrong(place("view"), format!("`{view}` is no view: {error}"), help)
    })
}

fn read_files(
    place: impl Fn(&str) -> String,
    section: SourceSection,
    base: &Path,
) -> Result<Files, Failure> {
    let SourceSection { format, path, null, time_zone, ready, .. } = section;
    let (Some(format), Some(path)) = (format, path) else {
        let help = "write `format` and `path`, or `view = \"<namespace>/<view>@<N>\"`";
        return Err(wrong(place(""), "it does not say where its rows are", help));
    };
    let listed = match path {
        Paths::One(path) => vec![path],
        Paths::Many(paths) => paths,
    };
    if listed.is_empty() {
        return Err(wrong(place(""), "no path is listed", "name a file or a folder"));
    }
    // An empty one would be the project's folder itself.
    if listed.iter().any(String::is_empty) {
        return Err(wrong(place("path"), "a path is empty", "name a file or a folder"));
    }
    if ready.as_ref().is_some_and(String::is_empty) {
        let help = "name the file that says so, such as `orders/{{ ds }}/_SUCCESS`, or remove it";
        return Err(wrong(place("ready"), "it names no file", help));
    }
    if format == Format::Parquet && null.is_some() {
        let message = "Parquet knows null by itself";
        return Err(wrong(place("null"), message, "remove `null`"));
    }
    let expanded = |field: &str, path: &str| {
        expand(path)
            .map(|path| base.join(path))
            .map_err(|message| wrong(place(field), message, "set it, or write a path without it"))
    };
    if let Some(ready) = &ready
        && ready.replace(DAY, "").contains("{{")
    {
        let message = format!("`{ready}` has another parameter than `{DAY}`");
        return Err(wrong(place("ready"), message, "write the day as `{{ ds }}`"));
    }
    Ok(Files {
        format,
        paths: listed.iter().map(|path| expanded("path", path)).collect::<Result<_, _>>()?,
        null,
        time_zone,
        ready: ready.as_deref().map(|path| expanded("ready", path)).transpose()?,
    })
}

impl Files {
    fn source(&self) -> Result<Source, Failure> {
        let mut files = Vec::new();
        for path in &self.paths {
            files.extend(files_of(path, self.format)?);
        }
        Ok(match self.format {
            Format::Csv => Source::Csv { paths: files, null: self.null.clone() },
            Format::Parquet => Source::Parquet(files),
        })
    }
}

/// Files of a source: the file itself, or those of a folder with the format's ending, by name.
fn files_of(path: &Path, format: Format) -> Result<Vec<PathBuf>, Failure> {
    let about = std::fs::metadata(path).map_err(|error| failure::file(path, &error))?;
    if about.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let ending = match format {
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| failure::file(path, &error))? {
        let file = entry.map_err(|error| failure::file(path, &error))?.path();
        if file.extension().is_some_and(|extension| extension == ending) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ApiError::not_found(format!("the folder has no .{ending} files"))
            .at(path.display().to_string())
            .into());
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
