//! What a change of a query means for those who read the features.
//!
//! The comparison is of normal forms, column by column and clause by clause, never of text:
//! - *cosmetic*: the normal forms are equal;
//! - *compatible*: a column more, while all other columns and all clauses stay;
//! - *behaviour*: another expression for a column, or another clause;
//! - *breaking*: a column less, or under another name.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier,
};
use trivium_model::{ChangeClass, Difference};

use crate::{
    AuthorQuery, functions, lineage, normal::Normal, rules::shortened, walk::on_a_large_stack,
};

/// The differences between two queries of one view; empty where the texts are equal.
///
/// Fields are `sql`, `sql.columns.<name>` and `sql.<clause>`.
pub fn compare(old: &AuthorQuery, new: &AuthorQuery) -> Vec<Difference> {
    if old.text == new.text {
        return Vec::new();
    }
    let (old, new) = on_a_large_stack(|| (Parts::of(old), Parts::of(new)));
    let mut differences = columns(&old, &new);
    differences.extend(clauses(&old, &new));
    if differences.is_empty() {
        differences.push(Difference {
            class: ChangeClass::Cosmetic,
            field: "sql".to_owned(),
            what: "only the writing changed: every column and clause means the same".to_owned(),
        });
    }
    differences
}

/// A part of a query that does not mean the same any more, in normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPart {
    /// As [`compare`] names it: `sql.columns.<name>` or `sql.<clause>`.
    pub field: String,
    /// What it was; absent where it was not there.
    pub old: Option<String>,
    /// What it is; absent where it is gone.
    pub new: Option<String>,
}

/// The columns and clauses whose normal forms differ, side by side, columns first. For showing:
/// what they mean for readers says [`compare`].
pub fn changed_parts(old: &AuthorQuery, new: &AuthorQuery) -> Vec<ChangedPart> {
    let (old, new) = on_a_large_stack(|| (Parts::of(old), Parts::of(new)));
    let columns = side_by_side(&old.columns, &new.columns, |part| &part.normal);
    let columns = columns.map(|(name, old, new)| (format!("sql.columns.{name}"), old, new));
    let clauses = side_by_side(&old.clauses, &new.clauses, |part| &part.normal);
    columns
        .chain(clauses)
        .map(|(field, from, to)| ChangedPart {
            field,
            old: from.map(|text| old.spelt_out(&text)),
            new: to.map(|text| new.spelt_out(&text)),
        })
        .collect()
}

/// What differs between two maps: key, old and new text.
fn side_by_side<P>(
    old: &BTreeMap<String, P>,
    new: &BTreeMap<String, P>,
    text: impl Fn(&P) -> &String,
) -> impl Iterator<Item = (String, Option<String>, Option<String>)> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed: Vec<_> = keys
        .into_iter()
        .map(|key| (key.clone(), old.get(key).map(&text), new.get(key).map(&text)))
        .filter(|(_, old, new)| old != new)
        .map(|(key, old, new)| (key, old.cloned(), new.cloned()))
        .collect();
    changed.into_iter()
}

/// A query cut into what is compared.
struct Parts {
    /// The subqueries that normal forms name by their hash.
    definitions: BTreeMap<String, String>,
    /// By name.
    columns: BTreeMap<String, ColumnPart>,
    /// By field.
    clauses: BTreeMap<String, ClausePart>,
    /// Whether a column more can change which rows there are, and why.
    rows_depend_on_columns: Option<&'static str>,
    groups: bool,
}

struct ColumnPart {
    normal: String,
    /// As the author wrote it.
    shown: String,
    generates: bool,
    aggregates: bool,
}

struct ClausePart {
    /// `WHERE`.
    label: String,
    normal: String,
    shown: String,
}

impl Parts {
    fn of(query: &AuthorQuery) -> Self {
        let normal = Normal::of(&query.query);
        let mut normal_branches = Vec::new();
        let shape = branches(&normal.query.body, &mut normal_branches);
        let mut written_branches = Vec::new();
        branches(&query.query.body, &mut written_branches);

        let mut parts = Self {
            definitions: normal.definitions().clone(),
            columns: BTreeMap::new(),
            clauses: BTreeMap::new(),
            rows_depend_on_columns: None,
            groups: false,
        };
        parts.columns(&normal_branches, &query.query.body);
        if normal_branches.len() > 1 {
            if !shape.only_union_all {
                parts.rows_depend_on_columns =
                    Some("the parts are merged by comparing all columns");
            }
            let shown = shape.text.clone();
            parts.clause("set_operation", "the set operation", shape.text, shown);
        }
        for (at, (normal, written)) in normal_branches.iter().zip(&written_branches).enumerate() {
            parts.select(at, normal, written);
        }
        parts.query(&normal.query, &query.query);
        parts
    }

    /// The text with each subquery where its name stands, so that a person sees what changed in it.
    fn spelt_out(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // A subquery names only what was there before it: there is no circle. The bound is for
        // texts that double at every level.
        const LENGTH_MAX: usize = 100_000;
        while let Some((name, definition)) = self
            .definitions
            .iter()
            .find(|(name, _)| text.contains(name.as_str()))
            .filter(|_| text.len() < LENGTH_MAX)
        {
            text = text.replace(&format!("`{name}`"), &format!("({definition})"));
            if text.contains(name.as_str()) {
                break;
            }
        }
        text
    }

    fn clause(&mut self, field: &str, label: &str, normal: String, shown: String) {
        let part = ClausePart { label: label.to_owned(), normal, shown };
        self.clauses.insert(format!("sql.{field}"), part);
    }

    /// Name and expressions of each column, one expression per part of a set operation.
    fn columns(&mut self, branches: &[&Select], written: &SetExpr) {
        let Some(first) = branches.first() else { return };
        let mut shown = BTreeMap::new();
        written_columns(written, &mut shown);
        for (at, item) in first.projection.iter().enumerate() {
            let mut exprs = Vec::new();
            for branch in branches {
                if let Some(
                    SelectItem::ExprWithAlias { expr, .. }
                    | SelectItem::UnnamedExpr(expr)
                    | SelectItem::ExprWithAliases { expr, .. },
                ) = branch.projection.get(at)
                {
                    exprs.push(expr);
                }
            }
            let texts: Vec<String> = exprs.iter().map(ToString::to_string).collect();
            let names: Vec<&str> = match item {
                SelectItem::ExprWithAlias { alias, .. } => vec![&alias.value],
                SelectItem::ExprWithAliases { aliases, .. } => {
                    aliases.iter().map(|alias| alias.value.as_str()).collect()
                }
                _ => Vec::new(),
            };
            for (nth, name) in names.into_iter().enumerate() {
                let place = if nth == 0 { String::new() } else { format!(" #{nth}") };
                let normal = format!("{}{place}", texts.join(" / "));
                let part = ColumnPart {
                    shown: shown.get(name).cloned().unwrap_or_else(|| normal.clone()),
                    normal,
                    generates: exprs.iter().any(|expr| functions::generates(expr)),
                    aggregates: exprs.iter().any(|expr| functions::aggregates(expr)),
                };
                self.columns.insert(name.to_owned(), part);
            }
        }
    }

    fn select(&mut self, at: usize, normal: &Select, written: &Select) {
        let (suffix, place) = if at == 0 {
            (String::new(), String::new())
        } else {
            (format!("#{}", at + 1), format!(" of part {}", at + 1))
        };
        let normal_clauses = select_clauses(normal);
        let shown_clauses: BTreeMap<&str, String> =
            select_clauses(written).into_iter().map(|(field, _, text)| (field, text)).collect();
        for (field, label, text) in normal_clauses {
            let shown = shown_clauses.get(field).cloned().unwrap_or_default();
            self.clause(&format!("{field}{suffix}"), &format!("{label}{place}"), text, shown);
        }
        if normal.distinct.is_some() {
            self.rows_depend_on_columns = Some("SELECT DISTINCT compares all columns");
        }
        self.groups |= is_grouped(normal) || normal.having.is_some();
    }

    fn query(&mut self, normal: &Query, written: &Query) {
        let order = |query: &Query| query.order_by.as_ref().map(ToString::to_string);
        if let Some(text) = order(normal) {
            self.clause("order_by", "ORDER BY", text, order(written).unwrap_or_default());
        }
        let limit = |query: &Query| {
            query.limit_clause.as_ref().map(|limit| limit.to_string().trim().to_owned())
        };
        if let Some(text) = limit(normal) {
            self.clause("limit", "LIMIT", text, limit(written).unwrap_or_default());
        }
    }
}

fn is_grouped(select: &Select) -> bool {
    match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => {
            !expressions.is_empty() || !modifiers.is_empty()
        }
    }
}

/// Field, label and text of the clauses that a SELECT has.
fn select_clauses(select: &Select) -> Vec<(&'static str, &'static str, String)> {
    fn list<T: ToString>(items: &[T]) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
    let mut clauses = Vec::new();
    if let Some(distinct) = select.distinct.as_ref().filter(|d| !matches!(d, Distinct::All)) {
        clauses.push(("distinct", "DISTINCT", distinct.to_string()));
    }
    let mut from = list(&select.from);
    for view in &select.lateral_views {
        from.push_str(&view.to_string());
    }
    if !from.is_empty() {
        clauses.push(("from", "FROM", from));
    }
    let conditions: [(&'static str, &'static str, &Option<Expr>); 3] = [
        ("where", "WHERE", &select.selection),
        ("having", "HAVING", &select.having),
        ("qualify", "QUALIFY", &select.qualify),
    ];
    for (field, label, condition) in conditions {
        if let Some(condition) = condition {
            clauses.push((field, label, condition.to_string()));
        }
    }
    if is_grouped(select) {
        let text = select.group_by.to_string();
        let text = text.strip_prefix("GROUP BY ").map_or(text.clone(), ToOwned::to_owned);
        clauses.push(("group_by", "GROUP BY", text));
    }
    for (field, label, text) in [
        ("cluster_by", "CLUSTER BY", list(&select.cluster_by)),
        ("distribute_by", "DISTRIBUTE BY", list(&select.distribute_by)),
        ("sort_by", "SORT BY", list(&select.sort_by)),
    ] {
        if !text.is_empty() {
            clauses.push((field, label, text));
        }
    }
    clauses
}

/// How the parts of a set operation are put together.
struct Shape {
    text: String,
    only_union_all: bool,
}

/// The SELECTs whose rows are the result, in order, and how they are put together.
fn branches<'q>(body: &'q SetExpr, out: &mut Vec<&'q Select>) -> Shape {
    match body {
        SetExpr::Select(select) => {
            out.push(select);
            Shape { text: format!("part {}", out.len()), only_union_all: true }
        }
        SetExpr::Query(query) => {
            let shape = branches(&query.body, out);
            let order = query.order_by.iter().map(|order| format!(" {order}"));
            let limit = query.limit_clause.iter().map(|limit| format!(" {limit}"));
            let clauses: String = order.chain(limit).collect();
            // Names of a WITH inside are resolved in the normal form.
            if clauses.is_empty() {
                return shape;
            }
            Shape { text: format!("({}{clauses})", shape.text), only_union_all: false }
        }
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            let left = branches(left, out);
            let right = branches(right, out);
            let union_all = *op == SetOperator::Union && *set_quantifier == SetQuantifier::All;
            let only_union_all = union_all && left.only_union_all && right.only_union_all;
            // UNION ALL of UNION ALL is one list, whatever the parentheses.
            let text = if only_union_all {
                format!("{} {op} {set_quantifier} {}", left.text, right.text)
            } else {
                format!("({} {op} {set_quantifier} {})", left.text, right.text)
            };
            Shape { text, only_union_all }
        }
        other => Shape { text: other.to_string(), only_union_all: false },
    }
}

/// Column expressions as the author wrote them, by name.
fn written_columns(body: &SetExpr, out: &mut BTreeMap<String, String>) {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::Query(query) => return written_columns(&query.body, out),
        SetExpr::SetOperation { left, .. } => return written_columns(left, out),
        _ => return,
    };
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                out.insert(alias.value.to_lowercase(), expr.to_string());
            }
            SelectItem::UnnamedExpr(expr) => {
                if let Some(name) = lineage::plain_name(expr) {
                    out.insert(name.value.to_lowercase(), expr.to_string());
                }
            }
            _ => {}
        }
    }
}

fn columns(old: &Parts, new: &Parts) -> Vec<Difference> {
    let mut differences = Vec::new();
    let field = |name: &str| format!("sql.columns.{name}");
    let mut renamed_to = Vec::new();
    for (name, column) in &old.columns {
        let Some(now) = new.columns.get(name) else {
            let other = new.columns.iter().find(|(other, candidate)| {
                candidate.normal == column.normal
                    && !old.columns.contains_key(*other)
                    && !renamed_to.contains(*other)
            });
            let what = match other {
                Some((other, _)) => {
                    renamed_to.push(other.clone());
                    format!("the column was renamed to `{other}`: readers of `{name}` would break")
                }
                None => "the column was removed: its readers would break".to_owned(),
            };
            differences.push(Difference { class: ChangeClass::Breaking, field: field(name), what });
            continue;
        };
        if now.normal != column.normal {
            differences.push(Difference {
                class: ChangeClass::Behaviour,
                field: field(name),
                what: from_to("the expression changed", &column.shown, &now.shown),
            });
        }
    }
    for (name, column) in &new.columns {
        if old.columns.contains_key(name) || renamed_to.contains(name) {
            continue;
        }
        let reason = if let Some(reason) = new.rows_depend_on_columns {
            Some(reason)
        } else if column.generates {
            Some("it makes several rows of one")
        } else if column.aggregates && !new.groups && !old.columns.values().any(|c| c.aggregates) {
            Some("it makes one row of all")
        } else {
            None
        };
        let shown = shortened(&column.shown);
        let (class, what) = match reason {
            Some(reason) => (
                ChangeClass::Behaviour,
                format!("the column was added as `{shown}`, which can change the rows: {reason}"),
            ),
            None => (ChangeClass::Compatible, format!("the column was added as `{shown}`")),
        };
        differences.push(Difference { class, field: field(name), what });
    }
    differences
}

fn clauses(old: &Parts, new: &Parts) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut behaviour = |field: &str, what: String| {
        differences.push(Difference {
            class: ChangeClass::Behaviour,
            field: field.to_owned(),
            what,
        });
    };
    for (field, clause) in &old.clauses {
        match new.clauses.get(field) {
            None => {
                let shown = shortened(&clause.shown);
                behaviour(field, format!("{} was removed: `{shown}`", clause.label));
            }
            Some(now) if now.normal != clause.normal => {
                behaviour(
                    field,
                    from_to(&format!("{} changed", clause.label), &clause.shown, &now.shown),
                );
            }
            Some(_) => {}
        }
    }
    for (field, clause) in &new.clauses {
        if !old.clauses.contains_key(field) {
            let shown = shortened(&clause.shown);
            behaviour(field, format!("{} was added: `{shown}`", clause.label));
        }
    }
    differences
}

fn from_to(what: &str, old: &str, new: &str) -> String {
    let (old, new) = (shortened(old), shortened(new));
    if old == new {
        // The text is the same and its meaning is not: it names something that changed.
        format!("{what}: `{old}` reads or names something that changed in the query")
    } else {
        format!("{what}: `{old}` became `{new}`")
    }
}

#[cfg(test)]
mod tests;
