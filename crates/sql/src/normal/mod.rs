//! One writing for all queries that mean the same.
//!
//! Two queries with equal normal forms give the same rows on every engine. The other way round
//! does not hold: where sameness would depend on the tables' columns, on rounding or on rules that
//! engines differ in, the normal forms differ, and the change counts as one of behaviour.
//!
//! What goes: comments, layout, case of keywords, functions and names, aliases of tables and
//! names in WITH (a subquery is named by the hash of its own normal form), superfluous
//! parentheses, the order of operands where both orders give the same bits (`AND`, `OR`, `=`,
//! `<>`, `<=>`, `+`, `*`; only the two operands of one operator, because `(a + b) + c` rounds
//! differently from `a + (b + c)`), `>` for `<`, BETWEEN, the order of IN lists, of GROUP BY and
//! PARTITION BY, ordinals, defaults written out, named windows, and the order of columns.
//!
//! What stays: the order of tables in FROM, of CASE branches and of ORDER BY, what stands in ON
//! and what in WHERE, and the spelling of numbers (`1` and `1.0` have different types).

mod expr;
mod from;
mod rewrite;
mod scope;

use std::collections::{BTreeMap, HashMap};

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, LimitClause, ObjectName, ObjectNamePart, OrderByExpr,
    OrderByKind, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    SetOperator, SetQuantifier, TableAlias, TableAliasColumnDef, TableFactor, Value, VisitMut as _,
};

use crate::{
    functions, lineage,
    walk::{self, Watcher},
};
use from::rename_outputs;
use rewrite::{Aliases, Rewriter};
use scope::{AliasInfo, Relation, Scope};

/// What a name in WITH stands for.
#[derive(Clone)]
struct Cte {
    name: String,
    columns: Option<Vec<String>>,
    /// Names to give its columns, where they could not be written into it.
    listed: Vec<TableAliasColumnDef>,
}
type Ctes = HashMap<String, Cte>;

/// Normalises one query.
pub(crate) struct Normaliser {
    /// Subqueries in FROM, by the hash of their normal form.
    definitions: BTreeMap<String, String>,
    /// Where a `*` is, the order of columns matters.
    has_wildcard: bool,
    /// What the SELECT that was rewritten last could see: its ORDER BY comes after it.
    last_scopes: Option<Vec<Scope>>,
}

/// The normal form of a query: the tree, and the subqueries that it names.
pub(crate) struct Normal {
    pub(crate) query: Query,
    definitions: BTreeMap<String, String>,
}

impl Normal {
    pub(crate) fn of(query: &Query) -> Self {
        let mut query = query.clone();
        let has_wildcard = has_wildcard(&query);
        let mut normaliser =
            Normaliser { definitions: BTreeMap::new(), has_wildcard, last_scopes: None };
        normaliser.query(&mut query, &Ctes::new(), &[], true);
        Self { query, definitions: normaliser.definitions }
    }

    /// The subqueries in FROM, by the name that stands for them.
    pub(crate) fn definitions(&self) -> &BTreeMap<String, String> {
        &self.definitions
    }

    /// As SQL, subqueries in WITH, each after those that it reads.
    pub(crate) fn text(&self) -> String {
        let body = self.query.to_string();
        let mut ordered: Vec<&str> = Vec::new();
        self.collect(&body, &mut ordered);
        if ordered.is_empty() {
            return body;
        }
        let parts: Vec<String> = ordered
            .iter()
            .map(|name| format!("{} AS ({})", quoted(name), self.definitions[*name]))
            .collect();
        format!("WITH {} {body}", parts.join(", "))
    }

    fn collect<'n>(&'n self, text: &str, ordered: &mut Vec<&'n str>) {
        for (name, definition) in &self.definitions {
            if text.contains(name.as_str()) && !ordered.contains(&name.as_str()) {
                self.collect(definition, ordered);
                ordered.push(name);
            }
        }
    }
}

/// Whether a `*` stands in any projection (`count(*)` is none).
fn has_wildcard(query: &Query) -> bool {
    struct Finder(bool);
    impl Watcher for Finder {
        fn enter_select(&mut self, select: &Select) {
            self.0 |= select.projection.iter().any(|item| {
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
            });
        }
    }
    let mut finder = Finder(false);
    walk::query(query, &mut finder);
    finder.0
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// A name of the normal form: lower case, between backticks.
fn ident(name: &str) -> Ident {
    Ident::with_quote('`', name.to_lowercase())
}

fn object_name<'n>(parts: impl IntoIterator<Item = &'n str>) -> ObjectName {
    ObjectName(parts.into_iter().map(|part| ObjectNamePart::Identifier(ident(part))).collect())
}

fn table_alias(name: &str, columns: &[TableAliasColumnDef]) -> TableAlias {
    let mut columns = columns.to_vec();
    for column in &mut columns {
        column.name = ident(&column.name.value);
    }
    TableAlias { explicit: true, name: ident(name), columns, at: None }
}

fn table(name: ObjectName, alias: TableAlias) -> TableFactor {
    TableFactor::Table {
        name,
        alias: Some(alias),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// A short name for a text, the same for the same text.
pub(crate) fn hash(text: &str) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

impl Normaliser {
    /// Rewrites a query; gives the names of its columns if all are known.
    fn query(
        &mut self,
        query: &mut Query,
        ctes: &Ctes,
        outer: &[Scope],
        any_column_order: bool,
    ) -> Option<Vec<String>> {
        let mut ctes = ctes.clone();
        if let Some(with) = query.with.take() {
            for mut cte in with.cte_tables {
                let name = cte.alias.name.value.to_lowercase();
                let renamed = rename_outputs(&mut cte.query, &cte.alias);
                let columns = self.query(&mut cte.query, &ctes, &[], renamed);
                let definition = self.define(cte.query.to_string());
                // `WITH t (a, b) AS (SELECT * …)`: every use of it carries the list.
                let listed = if renamed { Vec::new() } else { cte.alias.columns };
                ctes.insert(name, Cte { name: definition, columns, listed });
            }
        }
        let columns = self.set_expr(&mut query.body, &ctes, outer);
        self.order_and_limit(query, &ctes, outer);
        if any_column_order && !self.has_wildcard {
            sort_columns(&mut query.body);
        }
        columns
    }

    fn define(&mut self, text: String) -> String {
        let name = format!("q_{}", hash(&text));
        self.definitions.insert(name.clone(), text);
        name
    }

    fn set_expr(
        &mut self,
        body: &mut SetExpr,
        ctes: &Ctes,
        outer: &[Scope],
    ) -> Option<Vec<String>> {
        match body {
            SetExpr::Select(select) => self.select(select, ctes, outer),
            SetExpr::Query(query) => {
                let columns = self.query(query, ctes, outer, false);
                // Parentheses around a SELECT without clauses of its own say nothing.
                let plain = query.order_by.is_none()
                    && query.limit_clause.is_none()
                    && matches!(query.body.as_ref(), SetExpr::Select(_));
                if plain {
                    let inner = std::mem::replace(
                        query.body.as_mut(),
                        SetExpr::Table(Box::new(sqlparser::ast::Table {
                            table_name: Some(String::new()),
                            schema_name: None,
                        })),
                    );
                    *body = inner;
                }
                columns
            }
            SetExpr::SetOperation { left, right, op, set_quantifier } => {
                let columns = self.set_expr(left, ctes, outer);
                self.set_expr(right, ctes, outer);
                if let Some(names) = &columns {
                    name_alike(right, names);
                }
                if *op == SetOperator::Minus {
                    *op = SetOperator::Except;
                }
                if *set_quantifier == SetQuantifier::None {
                    *set_quantifier = SetQuantifier::Distinct;
                }
                columns
            }
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                for row in &mut values.rows {
                    for expr in &mut row.content {
                        self.expr(expr, ctes, outer, Aliases::none());
                    }
                }
                values.explicit_row = false;
                Some((1..=width).map(|at| format!("col{at}")).collect())
            }
            _ => None,
        }
    }

    fn order_and_limit(&mut self, query: &mut Query, ctes: &Ctes, outer: &[Scope]) {
        let body = query.body.as_ref();
        let aliases = match body {
            SetExpr::Select(select) => scope::output_aliases(&select.projection),
            _ => Vec::new(),
        };
        let items = match body {
            SetExpr::Select(select) => select.projection.clone(),
            _ => Vec::new(),
        };
        let scopes = match body {
            SetExpr::Select(_) => self.last_scopes.take().unwrap_or_default(),
            _ => outer.to_vec(),
        };
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(orders) = &mut order_by.kind
        {
            for order in orders {
                self.order(order, &items, ctes, &scopes, Aliases::first(&aliases));
            }
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            for expr in limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value)) {
                self.expr(expr, ctes, &scopes, Aliases::none());
            }
        }
    }

    fn order(
        &mut self,
        order: &mut OrderByExpr,
        items: &[SelectItem],
        ctes: &Ctes,
        scopes: &[Scope],
        aliases: Aliases<'_>,
    ) {
        match ordinal(&order.expr, items) {
            Some(expr) => order.expr = expr,
            None => self.expr(&mut order.expr, ctes, scopes, aliases),
        }
        not_an_ordinal(&mut order.expr);
        rewrite::order_defaults(order);
    }

    fn expr(&mut self, expr: &mut Expr, ctes: &Ctes, scopes: &[Scope], aliases: Aliases<'_>) {
        let mut rewriter = Rewriter::new(self, ctes, scopes, aliases, &[]);
        let _ = expr.visit(&mut rewriter);
    }

    fn select(&mut self, select: &mut Select, ctes: &Ctes, outer: &[Scope]) -> Option<Vec<String>> {
        select.optimizer_hints.clear();
        select.flavor = SelectFlavor::Standard;
        select.window_before_qualify = false;
        if matches!(select.distinct, Some(Distinct::All)) {
            select.distinct = None;
        }

        let level = outer.len();
        let mut relations: Vec<Relation> = Vec::new();
        for table in &mut select.from {
            self.joined(table, ctes, outer, level, &mut relations);
        }
        for view in &mut select.lateral_views {
            let scopes = scope::with(outer, relations.clone());
            self.expr(&mut view.lateral_view, ctes, &scopes, Aliases::none());
            let canonical = format!("t{level}_{}", relations.len());
            let qualifier = lineage::name_parts(&view.lateral_view_name);
            view.lateral_view_name = object_name([canonical.as_str()]);
            for alias in &mut view.lateral_col_alias {
                *alias = ident(&alias.value);
            }
            let columns = view.lateral_col_alias.iter().map(|alias| alias.value.clone()).collect();
            relations.push(Relation { qualifier, canonical, columns: Some(columns) });
        }
        let scopes = scope::with(outer, relations.clone());
        for join in select.from.iter_mut().flat_map(|table| &mut table.joins) {
            self.condition(&mut join.join_operator, ctes, &scopes);
        }

        let windows = std::mem::take(&mut select.named_window);
        let mut aliases: Vec<AliasInfo> = Vec::new();
        let mut names: Option<Vec<String>> = Some(Vec::new());
        for (at, item) in select.projection.iter_mut().enumerate() {
            let visit = |this: &mut Self, expr: &mut Expr| {
                let mut rewriter =
                    Rewriter::new(this, ctes, &scopes, Aliases::fallback(&aliases), &windows);
                let _ = expr.visit(&mut rewriter);
            };
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    // The name that an engine would make up cannot be relied on.
                    let name = lineage::plain_name(expr).map_or_else(
                        || format!("__unnamed_{at}"),
                        |name| name.value.to_lowercase(),
                    );
                    visit(self, expr);
                    names.iter_mut().for_each(|names| names.push(name.clone()));
                    let expr = std::mem::replace(expr, Expr::value(Value::Null));
                    aliases.push(AliasInfo::new(&name, &expr));
                    *item = SelectItem::ExprWithAlias { expr, alias: ident(&name) };
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    visit(self, expr);
                    *alias = ident(&alias.value);
                    names.iter_mut().for_each(|names| names.push(alias.value.clone()));
                    aliases.push(AliasInfo::new(&alias.value, expr));
                }
                SelectItem::ExprWithAliases { expr, aliases: several } => {
                    visit(self, expr);
                    for alias in several {
                        *alias = ident(&alias.value);
                        names.iter_mut().for_each(|names| names.push(alias.value.clone()));
                    }
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let parts = lineage::name_parts(name);
                    let found = relations.iter().find(|r| r.qualifier.ends_with(&parts));
                    if let Some(relation) = found {
                        *name = object_name([relation.canonical.as_str()]);
                    }
                    names = None;
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => names = None,
            }
        }

        let mut in_clause = |expr: &mut Expr, aliases: Aliases<'_>| {
            let mut rewriter = Rewriter::new(self, ctes, &scopes, aliases, &windows);
            let _ = expr.visit(&mut rewriter);
        };
        if let Some(selection) = &mut select.selection {
            in_clause(selection, Aliases::none());
        }
        for expr in select.having.iter_mut().chain(select.qualify.iter_mut()) {
            in_clause(expr, Aliases::fallback(&aliases));
        }
        for expr in select.cluster_by.iter_mut().chain(select.distribute_by.iter_mut()) {
            in_clause(expr, Aliases::first(&aliases));
        }
        let items = select.projection.clone();
        for order in &mut select.sort_by {
            self.order(order, &items, ctes, &scopes, Aliases::first(&aliases));
        }
        self.group_by(select, &items, ctes, &scopes, &aliases);
        self.last_scopes = Some(scopes);
        names
    }

    fn group_by(
        &mut self,
        select: &mut Select,
        items: &[SelectItem],
        ctes: &Ctes,
        scopes: &[Scope],
        aliases: &[AliasInfo],
    ) {
        if let GroupByExpr::All(modifiers) = &select.group_by
            && modifiers.is_empty()
        {
            let plain = items.iter().filter_map(|item| match item {
                SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => {
                    (!functions::aggregates(expr)).then(|| expr.clone())
                }
                _ => None,
            });
            let mut expressions: Vec<Expr> = plain.collect();
            rewrite::sort(&mut expressions);
            select.group_by = GroupByExpr::Expressions(expressions, Vec::new());
            return;
        }
        let GroupByExpr::Expressions(expressions, modifiers) = &mut select.group_by else { return };
        for expr in expressions.iter_mut() {
            match ordinal(expr, items) {
                Some(item) => *expr = item,
                None => self.expr(expr, ctes, scopes, Aliases::fallback(aliases)),
            }
            not_an_ordinal(expr);
        }
        let in_order = !modifiers.is_empty()
            || expressions.iter().any(|expr| {
                matches!(expr, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_))
            });
        if !in_order {
            rewrite::sort(expressions);
        }
    }
}

/// A number that is meant as a number, where a bare one would count columns.
fn not_an_ordinal(expr: &mut Expr) {
    if matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..))) {
        let number = std::mem::replace(expr, Expr::value(Value::Null));
        *expr = Expr::Nested(Box::new(number));
    }
}

/// Names the columns of a later part of a set operation as the first part does: nobody sees them.
fn name_alike(body: &mut SetExpr, names: &[String]) {
    match body {
        SetExpr::Select(select) => {
            for (item, name) in select.projection.iter_mut().zip(names) {
                if let SelectItem::ExprWithAlias { alias, .. } = item {
                    *alias = ident(name);
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            name_alike(left, names);
            name_alike(right, names);
        }
        _ => {}
    }
}

/// The item that `GROUP BY 2` or `ORDER BY 2` means.
fn ordinal(expr: &Expr, items: &[SelectItem]) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(number, _) = &value.value else { return None };
    let at = number.parse::<usize>().ok()?.checked_sub(1)?;
    match items.get(at)? {
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => {
            Some(expr.clone())
        }
        _ => None,
    }
}

/// The same columns in the order of their names, in every part of a set operation alike.
fn sort_columns(body: &mut SetExpr) {
    fn branches<'q>(body: &'q mut SetExpr, out: &mut Vec<&'q mut Vec<SelectItem>>) -> bool {
        match body {
            SetExpr::Select(select) => {
                out.push(&mut select.projection);
                true
            }
            SetExpr::SetOperation { left, right, .. } => {
                branches(left, out) && branches(right, out)
            }
            _ => false,
        }
    }
    let mut projections = Vec::new();
    if !branches(body, &mut projections) {
        return;
    }
    let Some(first) = projections.first() else { return };
    let names: Option<Vec<String>> = first
        .iter()
        .map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        })
        .collect();
    let Some(names) = names else { return };
    if projections.iter().any(|projection| projection.len() != names.len()) {
        return;
    }
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names[*a].cmp(&names[*b]));
    for projection in projections {
        let sorted: Vec<SelectItem> = order.iter().map(|at| projection[*at].clone()).collect();
        *projection = sorted;
    }
}

#[cfg(test)]
mod tests;
