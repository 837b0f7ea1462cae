//! Amundsen's ingestion files: nodes and relations as databuilder's `FsNeo4jCSVLoader` writes them, for
//! its `Neo4jCsvPublisher`.
//!
//! A view version is a table of the database `trivium` (`trivium://lake.flights/carrier_daily_v1`), and
//! each of its features a feature (`flights.carrier_daily/avg_dep_delay/1`). The tables that its SQL reads are
//! tables of the cluster `sources`, with the columns that the SQL takes from them: named here, so that
//! lineage has both its ends, and not described, which is theirs to do.
//!
//! **Both ends.** The publisher drops a relation to a node that is not there without a word. Every
//! relation here is between nodes of the same document; a test holds it. Only the columns of a view that the
//! SQL reads are in that view's own document, which is to be loaded first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use trivium_model::{ColumnStatistics, FeatureView, Lane, Owner, Timestamp, ViewRef};
use trivium_registry::PartitionRecord;

/// The database of all tables.
pub const DATABASE: &str = "trivium";
/// The cluster of views.
pub const LAKE: &str = "lake";
/// The cluster of the tables that SQL reads.
pub const SOURCES: &str = "sources";
/// The schema of tables that are named without one.
const DEFAULT_SCHEMA: &str = "default";

/// What is told.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The view, in its newest form.
    pub view: &'a FeatureView,
    /// The SQL that made the partition, if it is known.
    pub sql: Option<&'a str>,
    /// The partition whose columns are described.
    pub record: &'a PartitionRecord,
    /// The oldest published period: its folder's name (`ds=2013-01-01`) and first instant.
    pub oldest: (&'a str, Timestamp),
    /// The newest one.
    pub newest: (&'a str, Timestamp),
}

/// Nodes and relations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: BTreeMap<(&'static str, String), Vec<(&'static str, Cell)>>,
    relations: BTreeSet<Relation>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Relation {
    start: (&'static str, String),
    end: (&'static str, String),
    kind: (&'static str, &'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Text(String),
    /// A number or a Python boolean: not quoted, and its heading says so.
    Bare(String),
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

/// A table and where its columns, descriptions and so on stand.
struct TableKey {
    cluster: &'static str,
    schema: String,
    name: String,
}

impl TableKey {
    fn key(&self) -> String {
        format!("{DATABASE}://{}.{}/{}", self.cluster, self.schema, self.name)
    }
    fn column(&self, column: &str) -> String {
        format!("{}/{column}", self.key())
    }
    fn of_view(view: &ViewRef) -> Self {
        Self {
            cluster: LAKE,
            schema: view.namespace.to_string(),
            name: format!("{}_v{}", view.view, view.version),
        }
    }
    /// A table that SQL reads, by the name that it has there; a view by its own.
    fn of_source(name: &str) -> Self {
        if let Ok(view) = name.parse::<ViewRef>() {
            return Self::of_view(&view);
        }
        let (schema, name) = name.rsplit_once('.').unwrap_or((DEFAULT_SCHEMA, name));
        Self { cluster: SOURCES, schema: schema.to_owned(), name: name.to_owned() }
    }
}

/// What Amundsen is told of a view and one of its partitions.
pub fn graph(facts: &Facts<'_>) -> Graph {
    let Facts { view, record, .. } = facts;
    let mut graph = Graph::default();
    let table = TableKey::of_view(&view.reference());
    let tags = normal(view.tags.iter());
    graph.table(&table, Some(&view.description), &tags);
    graph.columns(view, &table);
    for (badge, category) in badges(view) {
        graph.badge(("Table", table.key()), &badge, category);
    }
    graph.owner(("Table", table.key()), &view.owner);
    for (kind, (folder, _)) in [("low_watermark", facts.oldest), ("high_watermark", facts.newest)] {
        let (name, value) = folder.split_once('=').unwrap_or(("period", folder));
        let key = format!("{}/{kind}/", table.key());
        graph.node(
            "Watermark",
            key.clone(),
            vec![
                ("partition_key", text(name)),
                ("partition_value", text(value)),
                ("create_time", text(record.finished.to_string())),
            ],
        );
        graph.relation(
            ("Watermark", key),
            ("Table", table.key()),
            ("BELONG_TO_TABLE", "WATERMARK"),
        );
    }
    for one in &record.statistics {
        graph.statistics(&table, record, one);
    }
    graph.lineage(&table, record);
    graph.features(facts, &tags);
    graph
}

impl Graph {
    fn node(&mut self, label: &'static str, key: String, attributes: Vec<(&'static str, Cell)>) {
        self.nodes.insert((label, key), attributes);
    }

    fn relation(
        &mut self,
        start: (&'static str, String),
        end: (&'static str, String),
        kind: (&'static str, &'static str),
    ) {
        self.relations.insert(Relation { start, end, kind });
    }

    /// A table, and the database, cluster and schema that it is in.
    fn table(&mut self, table: &TableKey, description: Option<&str>, tags: &[String]) {
        let database = format!("database://{DATABASE}");
        let cluster = format!("{DATABASE}://{}", table.cluster);
        let schema = format!("{cluster}.{}", table.schema);
        let named = |name: &str| vec![("name", text(name))];
        self.node("Database", database.clone(), named(DATABASE));
        self.node("Cluster", cluster.clone(), named(table.cluster));
        self.node("Schema", schema.clone(), named(&table.schema));
        self.node(
            "Table",
            table.key(),
            vec![("name", text(table.name.as_str())), ("is_view", Cell::Bare("False".to_owned()))],
        );
        self.relation(
            ("Database", database),
            ("Cluster", cluster.clone()),
            ("CLUSTER", "CLUSTER_OF"),
        );
        self.relation(("Cluster", cluster), ("Schema", schema.clone()), ("SCHEMA", "SCHEMA_OF"));
        self.relation(("Schema", schema), ("Table", table.key()), ("TABLE", "TABLE_OF"));
        self.description(("Table", table.key()), description);
        self.tags(&("Table", table.key()), tags);
    }

    fn description(&mut self, of: (&'static str, String), description: Option<&str>) {
        let Some(description) = description else { return };
        let key = format!("{}/_description", of.1);
        self.node(
            "Description",
            key.clone(),
            vec![("description_source", text("description")), ("description", text(description))],
        );
        self.relation(of, ("Description", key), ("DESCRIPTION", "DESCRIPTION_OF"));
    }

    fn tags(&mut self, of: &(&'static str, String), tags: &[String]) {
        for tag in tags {
            self.node("Tag", tag.clone(), vec![("tag_type", text("default"))]);
            self.relation(of.clone(), ("Tag", tag.clone()), ("TAGGED_BY", "TAG"));
        }
    }

    fn badge(&mut self, of: (&'static str, String), badge: &str, category: &str) {
        self.node("Badge", badge.to_owned(), vec![("category", text(category))]);
        self.relation(of, ("Badge", badge.to_owned()), ("HAS_BADGE", "BADGE_FOR"));
    }

    /// Amundsen knows people by their addresses; a team's contact is one.
    fn owner(&mut self, of: (&'static str, String), owner: &Owner) {
        let email = owner.contact.trim().to_lowercase();
        self.node("User", email.clone(), vec![("email", text(email.as_str()))]);
        self.relation(of, ("User", email), ("OWNER", "OWNER_OF"));
    }

    fn column(
        &mut self,
        table: &TableKey,
        order: usize,
        name: &str,
        data_type: &str,
        description: Option<&str>,
    ) {
        let key = table.column(name);
        self.node(
            "Column",
            key.clone(),
            vec![
                ("name", text(name)),
                ("col_type", text(data_type)),
                ("sort_order", Cell::Bare(order.to_string())),
            ],
        );
        self.relation(("Table", table.key()), ("Column", key.clone()), ("COLUMN", "COLUMN_OF"));
        self.description(("Column", key), description);
    }

    /// The columns in the order of the lake's files.
    fn columns(&mut self, view: &FeatureView, table: &TableKey) {
        let mut order = 0..;
        let mut next = || order.next().unwrap_or_default();
        for entity in view.sorted_entities() {
            let data_type = entity.key_type.to_string();
            self.column(table, next(), &entity.name, &data_type, entity.description.as_deref());
            self.badge(("Column", table.column(&entity.name)), "join_key", "column");
        }
        let times = [Some(&view.event_timestamp), view.created_timestamp.as_ref()];
        for time in times.into_iter().flatten() {
            self.column(table, next(), time, "timestamp", None);
        }
        for feature in view.served_features() {
            let data_type = feature.data_type.to_string();
            self.column(table, next(), &feature.name, &data_type, Some(&feature.description));
        }
    }

    fn statistics(&mut self, table: &TableKey, record: &PartitionRecord, one: &ColumnStatistics) {
        let column = ("Column", table.column(&one.column));
        if !self.nodes.contains_key(&column) {
            // `carried_from` is no column that people choose.
            return;
        }
        let seconds = |at: Timestamp| text(at.0.div_euclid(1_000_000).to_string());
        for (kind, value) in shown(one) {
            let key = format!("{}/{kind}/", column.1);
            self.node(
                "Stat",
                key.clone(),
                vec![
                    ("stat_val", text(value)),
                    ("stat_type", text(kind)),
                    ("start_epoch", seconds(record.start)),
                    ("end_epoch", seconds(record.end)),
                ],
            );
            self.relation(("Stat", key), column.clone(), ("STAT_OF", "STAT"));
        }
    }

    /// Tables, and columns where the SQL's text tells both.
    fn lineage(&mut self, table: &TableKey, record: &PartitionRecord) {
        const KIND: (&str, &str) = ("HAS_DOWNSTREAM", "HAS_UPSTREAM");
        let mut taken: BTreeMap<&str, BTreeSet<&str>> =
            record.tables.iter().map(|name| (name.as_str(), BTreeSet::new())).collect();
        let mut pairs = Vec::new();
        for one in &record.lineage {
            for source in &one.sources {
                let Some(name) = &source.table else { continue };
                let columns = taken.entry(name).or_default();
                if source.column != "*" {
                    columns.insert(&source.column);
                    pairs.push((name, &source.column, &one.column));
                }
            }
        }
        for (name, columns) in taken {
            let source = TableKey::of_source(name);
            self.table(&source, None, &[]);
            // What a view says of its own columns is not said over here.
            if source.cluster == SOURCES {
                for (order, column) in columns.into_iter().enumerate() {
                    self.column(&source, order, column, "unknown", None);
                }
            }
            self.relation(("Table", source.key()), ("Table", table.key()), KIND);
        }
        for (name, from, to) in pairs {
            let start = ("Column", TableKey::of_source(name).column(from));
            let end = ("Column", table.column(to));
            // An older form of the view may have had other columns.
            if self.nodes.contains_key(&end) {
                self.relation(start, end, KIND);
            }
        }
    }

    fn features(&mut self, facts: &Facts<'_>, view_tags: &[String]) {
        let Facts { view, record, .. } = facts;
        let group = format!("{}.{}", view.namespace, view.name);
        let seconds = |at: Timestamp| Cell::Bare(at.0.div_euclid(1_000_000).to_string());
        self.node("Feature_Group", group.clone(), vec![("name", text(group.as_str()))]);
        for feature in view.served_features() {
            let key = format!("{group}/{}/{}", feature.name, view.version);
            let of = ("Feature", key.clone());
            self.node(
                "Feature",
                key.clone(),
                vec![
                    ("name", text(feature.name.as_str())),
                    ("version", text(view.version.to_string())),
                    ("status", text("active")),
                    ("entity", text(view.entity_type())),
                    ("data_type", text(feature.data_type.to_string())),
                    ("last_updated_timestamp", seconds(record.finished)),
                ],
            );
            let grouped = ("GROUPED_BY", "GROUPS");
            self.relation(of.clone(), ("Feature_Group", group.clone()), grouped);
            let database = ("Database", format!("database://{DATABASE}"));
            self.relation(of.clone(), database, ("FEATURE_AVAILABLE_IN", "AVAILABLE_FEATURE"));
            self.description(of.clone(), Some(&feature.description));
            let mut tags = view_tags.to_vec();
            tags.extend(normal(feature.tags.iter()));
            self.tags(&of, &tags);
            self.owner(of.clone(), feature.owner.as_ref().unwrap_or(&view.owner));
            let watermarks = [("low_watermark", facts.oldest), ("high_watermark", facts.newest)];
            for (kind, (_, at)) in watermarks {
                let mark = format!("{key}/{kind}");
                self.node(
                    "Feature_Watermark",
                    mark.clone(),
                    vec![("timestamp", seconds(at)), ("watermark_type", text(kind))],
                );
                let kind = ("WATERMARK", "BELONG_TO_FEATURE");
                self.relation(of.clone(), ("Feature_Watermark", mark), kind);
            }
            if let Some(sql) = facts.sql {
                let code = format!("{key}/_generation_code");
                self.node(
                    "Feature_Generation_Code",
                    code.clone(),
                    vec![
                        ("text", text(sql)),
                        ("last_executed_timestamp", seconds(record.finished)),
                        ("source", text(view.reference().to_string())),
                    ],
                );
                let kind = ("GENERATION_CODE", "GENERATION_CODE_OF");
                self.relation(of, ("Feature_Generation_Code", code), kind);
            }
        }
    }

    /// The files, by their paths below the loader's two folders: `nodes/…`, `relationships/…`. The same
    /// graph gives the same files.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for ((label, key), attributes) in &self.nodes {
            // One label has one set of attributes here, so that its one file is number 0.
            let file = files.entry(format!("nodes/{label}_0.csv")).or_insert_with(|| {
                let names = attributes.iter().map(|(name, cell)| match cell {
                    Cell::Text(_) => quoted(name),
                    Cell::Bare(_) => quoted(&format!("{name}:UNQUOTED")),
                });
                line([quoted("LABEL"), quoted("KEY")].into_iter().chain(names))
            });
            let cells = attributes.iter().map(|(_, cell)| match cell {
                Cell::Text(text) => quoted(text),
                Cell::Bare(number) => number.clone(),
            });
            file.push_str(&line([quoted(label), quoted(key)].into_iter().chain(cells)));
        }
        for Relation { start, end, kind } in &self.relations {
            let path = format!("relationships/{}_{}_{}_0.csv", start.0, end.0, kind.0);
            let file = files.entry(path).or_insert_with(|| {
                let names =
                    ["START_KEY", "START_LABEL", "END_KEY", "END_LABEL", "TYPE", "REVERSE_TYPE"];
                line(names.into_iter().map(quoted))
            });
            let cells = [&start.1, start.0, &end.1, end.0, kind.0, kind.1];
            file.push_str(&line(cells.into_iter().map(quoted)));
        }
        files
    }
}

/// Python's csv.QUOTE_NONNUMERIC: all text in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("{}\r\n", cells.collect::<Vec<_>>().join(","))
}

/// As databuilder writes tags: small, without spaces around.
fn normal<'a>(tags: impl Iterator<Item = &'a String>) -> Vec<String> {
    let tags: BTreeSet<String> = tags.map(|tag| tag.trim().to_lowercase()).collect();
    tags.into_iter().filter(|tag| !tag.is_empty()).collect()
}

fn badges(view: &FeatureView) -> Vec<(String, &'static str)> {
    let lane = match view.lane {
        Lane::Batch => "batch",
        Lane::Stream => "stream",
        Lane::Direct => "direct",
    };
    let mut badges =
        vec![(lane.to_owned(), "lane"), (format!("tier_{}", view.urgency_tier), "urgency")];
    if view.online {
        badges.push(("online".to_owned(), "serving"));
    }
    badges
}

/// A column's statistics as people read them.
fn shown(one: &ColumnStatistics) -> Vec<(&'static str, String)> {
    let word = |json: &Json| match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut all =
        vec![("count", one.count.to_string()), ("null_count", one.null_count.to_string())];
    all.extend(one.nan_count.map(|count| ("nan_count", count.to_string())));
    all.extend(one.distinct.map(|distinct| {
        let kind = if distinct.exact { "distinct_count" } else { "approx_distinct_count" };
        (kind, distinct.count.to_string())
    }));
    for (kind, value) in [("min", &one.min), ("max", &one.max), ("mean", &one.mean)] {
        all.extend(value.as_ref().map(|value| (kind, word(value))));
    }
    all.extend(one.quantiles.get("0.5").map(|median| ("median", word(median))));
    all
}

#[cfg(test)]
mod tests;
