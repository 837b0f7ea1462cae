//! Which tables a query reads, and which of their columns each output column comes from.
//!
//! Only the text is known, not the tables' columns. So an unqualified name belongs to the one
//! table in sight if there is one, and to an unknown table if there are several; a `*` lets all
//! columns of a table through. What a name means is looked up as Spark does: the innermost FROM
//! first, then the queries around it, then aliases to the left in the same SELECT.

mod walker;

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, JoinConstraint, JoinOperator, LimitClause, ObjectName,
    OrderBy, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Spanned as _, TableAlias, TableFactor, TableWithJoins, WindowType,
};

use crate::{author::ColumnSource, functions, scan::position, walk};
use walker::Walker;

/// A column of a query or of one of its parts.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Lower case.
    pub(crate) name: String,
    pub(crate) position: (u32, u32),
    pub(crate) from: Origin,
}

/// What a value is calculated from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) sources: BTreeSet<ColumnSource>,
    pub(crate) ds: bool,
    pub(crate) period_start: bool,
    pub(crate) period_end: bool,
}

impl Origin {
    fn add(&mut self, other: &Self) {
        self.sources.extend(other.sources.iter().cloned());
        self.ds |= other.ds;
        self.period_start |= other.period_start;
        self.period_end |= other.period_end;
    }
}

/// The columns of a query, a table or a CTE.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    pub(crate) named: Vec<Column>,
    /// Tables all of whose columns are among these.
    pub(crate) open: Vec<String>,
    /// Whether many rows became one on the way.
    pub(crate) aggregates: bool,
}

struct Relation {
    /// How columns name it, in lower case: an alias, or the parts of a table's name.
    qualifier: Vec<String>,
    columns: Rc<Columns>,
}

type Scope = Rc<Vec<Relation>>;
type Ctes = HashMap<String, Rc<Columns>>;

/// What one walk over a query finds.
#[derive(Default)]
pub(crate) struct Lineage {
    pub(crate) tables: BTreeSet<String>,
}

/// The parts of a name in lower case.
pub(crate) fn name_parts(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .map(|part| {
            part.as_ident()
                .map_or_else(|| part.to_string(), |ident| ident.value.clone())
                .to_lowercase()
        })
        .collect()
}

impl Lineage {
    /// The columns of the whole query.
    pub(crate) fn of(&mut self, query: &Query) -> Columns {
        self.query(query, &Ctes::new(), &[])
    }

    fn query(&mut self, query: &Query, ctes: &Ctes, outer: &[Scope]) -> Columns {
        let mut ctes = ctes.clone();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = self.query(&cte.query, &ctes, &[]);
            let columns = renamed(columns, &cte.alias);
            ctes.insert(cte.alias.name.value.to_lowercase(), Rc::new(columns));
        }
        let columns = self.set_expr(&query.body, &ctes, outer);
        // Only for the tables that subqueries in there may read.
        let mut ignored = Vec::new();
        if let Some(OrderBy { kind: OrderByKind::Expressions(orders), .. }) = &query.order_by {
            ignored.extend(orders.iter().map(|order| &order.expr));
        }
        if let Some(LimitClause::LimitOffset { limit: Some(limit), .. }) = &query.limit_clause {
            ignored.push(limit);
        }
        for expr in ignored {
            self.expr(expr, &ctes, outer, &[]);
        }
        columns
    }

    fn set_expr(&mut self, body: &SetExpr, ctes: &Ctes, outer: &[Scope]) -> Columns {
        match body {
            SetExpr::Select(select) => self.select(select, ctes, outer),
            SetExpr::Query(query) => self.query(query, ctes, outer),
            SetExpr::SetOperation { left, right, .. } => {
                let mut columns = self.set_expr(left, ctes, outer);
                let right = self.set_expr(right, ctes, outer);
                for (column, other) in columns.named.iter_mut().zip(&right.named) {
                    column.from.add(&other.from);
                }
                columns.open.extend(right.open);
                columns.aggregates |= right.aggregates;
                columns
            }
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                let mut named = Vec::new();
                for at in 0..width {
                    let mut from = Origin::default();
                    for row in &values.rows {
                        if let Some(expr) = row.content.get(at) {
                            from.add(&self.expr(expr, ctes, outer, &[]));
                        }
                    }
                    // Spark's own names for them.
                    named.push(Column { name: format!("col{}", at + 1), position: (1, 1), from });
                }
                Columns { named, ..Columns::default() }
            }
            _ => Columns::default(),
        }
    }

    fn select(&mut self, select: &Select, ctes: &Ctes, outer: &[Scope]) -> Columns {
        let mut relations = Vec::new();
        for table in &select.from {
            self.joined(table, ctes, outer, &mut relations);
        }
        for view in &select.lateral_views {
            let scope = with_scope(outer, std::mem::take(&mut relations));
            let from = self.expr(&view.lateral_view, ctes, &scope, &[]);
            relations = take_scope(scope);
            let named = view
                .lateral_col_alias
                .iter()
                .map(|alias| Column {
                    name: alias.value.to_lowercase(),
                    position: position(alias.span.start),
                    from: from.clone(),
                })
                .collect();
            relations.push(Relation {
                qualifier: name_parts(&view.lateral_view_name),
                columns: Rc::new(Columns { named, ..Columns::default() }),
            });
        }
        let scopes = with_scope(outer, relations);
        // ON conditions may read tables in subqueries; they see the whole FROM.
        for join in select.from.iter().flat_map(|table| &table.joins) {
            if let Some(JoinConstraint::On(condition)) = constraint(&join.join_operator) {
                self.expr(condition, ctes, &scopes, &[]);
            }
        }
        let grouping: &[Expr] = match &select.group_by {
            GroupByExpr::Expressions(expressions, _) => expressions,
            GroupByExpr::All(_) => &[],
        };
        let clauses = [&select.selection, &select.having, &select.qualify, &select.prewhere];
        for expr in clauses.into_iter().flatten().chain(grouping) {
            self.expr(expr, ctes, &scopes, &[]);
        }

        let mut columns = Columns::default();
        let grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(expressions, modifiers) => {
                !expressions.is_empty() || !modifiers.is_empty()
            }
        };
        columns.aggregates = grouped || select.projection.iter().any(functions::item_aggregates);
        let empty: Scope = Rc::new(Vec::new());
        let here = scopes.last().unwrap_or(&empty);
        columns.aggregates |= here.iter().any(|relation| relation.columns.aggregates);
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let from = self.item(expr, select, ctes, &scopes, &columns.named);
                    let name = match plain_name(expr) {
                        Some(ident) => ident.value.to_lowercase(),
                        None => expr.to_string().to_lowercase(),
                    };
                    let at = position(expr.span().start);
                    columns.named.push(Column { name, position: at, from });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let from = self.item(expr, select, ctes, &scopes, &columns.named);
                    columns.named.push(Column {
                        name: alias.value.to_lowercase(),
                        position: position(alias.span.start),
                        from,
                    });
                }
                SelectItem::ExprWithAliases { expr, aliases } => {
                    let from = self.item(expr, select, ctes, &scopes, &columns.named);
                    columns.named.extend(aliases.iter().map(|alias| Column {
                        name: alias.value.to_lowercase(),
                        position: position(alias.span.start),
                        from: from.clone(),
                    }));
                }
                SelectItem::Wildcard(_) => {
                    for relation in here.iter() {
                        columns.named.extend(relation.columns.named.iter().cloned());
                        columns.open.extend(relation.columns.open.iter().cloned());
                    }
                }
                SelectItem::QualifiedWildcard(kind, _) => {
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind
                        && let Some(relation) = find(here, &name_parts(name))
                    {
                        columns.named.extend(relation.columns.named.iter().cloned());
                        columns.open.extend(relation.columns.open.iter().cloned());
                    }
                }
            }
        }
        columns
    }

    /// An item of the projection, with the windows that it names.
    fn item(
        &mut self,
        expr: &Expr,
        select: &Select,
        ctes: &Ctes,
        scopes: &[Scope],
        aliases: &[Column],
    ) -> Origin {
        let mut from = self.expr(expr, ctes, scopes, aliases);
        let mut named = Vec::new();
        walk::each(expr, &mut |inner| {
            if let Expr::Function(Function { over: Some(WindowType::NamedWindow(name)), .. }) =
                inner
            {
                named.push(name.value.to_lowercase());
            }
        });
        for definition in &select.named_window {
            if named.contains(&definition.0.value.to_lowercase()) {
                let mut walker = Walker::new(self, ctes, scopes, aliases);
                walk::window(definition, &mut walker);
                let found = walker.found;
                from.add(&found);
            }
        }
        from
    }

    fn joined(
        &mut self,
        table: &TableWithJoins,
        ctes: &Ctes,
        outer: &[Scope],
        relations: &mut Vec<Relation>,
    ) {
        self.factor(&table.relation, ctes, outer, relations);
        for join in &table.joins {
            let semi = matches!(
                join.join_operator,
                JoinOperator::Semi(_)
                    | JoinOperator::LeftSemi(_)
                    | JoinOperator::Anti(_)
                    | JoinOperator::LeftAnti(_)
            );
            if semi {
                // Its columns are seen by nothing but its own condition.
                let mut unseen = Vec::new();
                self.factor(&join.relation, ctes, outer, &mut unseen);
            } else {
                self.factor(&join.relation, ctes, outer, relations);
            }
        }
    }

    fn factor(
        &mut self,
        factor: &TableFactor,
        ctes: &Ctes,
        outer: &[Scope],
        relations: &mut Vec<Relation>,
    ) {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let parts = name_parts(name);
                let columns = match parts.as_slice() {
                    [only] if ctes.contains_key(only) => Rc::clone(&ctes[only]),
                    _ => {
                        let table = parts.join(".");
                        self.tables.insert(table.clone());
                        Rc::new(Columns { open: vec![table], ..Columns::default() })
                    }
                };
                relations.push(aliased(parts, columns, alias.as_ref()));
            }
            TableFactor::Derived { subquery, alias, lateral, .. } => {
                let scopes = if *lateral {
                    with_scope(outer, std::mem::take(relations))
                } else {
                    outer.to_vec()
                };
                let columns = Rc::new(self.query(subquery, ctes, &scopes));
                if *lateral {
                    *relations = take_scope(scopes);
                }
                relations.push(aliased(Vec::new(), columns, alias.as_ref()));
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut inner = Vec::new();
                self.joined(table_with_joins, ctes, outer, &mut inner);
                if alias.is_none() {
                    relations.extend(inner);
                } else {
                    let mut columns = Columns::default();
                    for relation in inner {
                        columns.named.extend(relation.columns.named.iter().cloned());
                        columns.open.extend(relation.columns.open.iter().cloned());
                        columns.aggregates |= relation.columns.aggregates;
                    }
                    relations.push(aliased(Vec::new(), Rc::new(columns), alias.as_ref()));
                }
            }
            // Functions as tables: their columns come from their arguments.
            other => {
                let scopes = with_scope(outer, std::mem::take(relations));
                let mut walker = Walker::new(self, ctes, &scopes, &[]);
                walk::factor(other, &mut walker);
                let from = walker.found;
                *relations = take_scope(scopes);
                let alias = match other {
                    TableFactor::TableFunction { alias, .. }
                    | TableFactor::Function { alias, .. }
                    | TableFactor::UNNEST { alias, .. } => alias.as_ref(),
                    _ => None,
                };
                let named = alias.iter().flat_map(|alias| &alias.columns).map(|column| Column {
                    name: column.name.value.to_lowercase(),
                    position: position(column.name.span.start),
                    from: from.clone(),
                });
                let columns = Columns { named: named.collect(), ..Columns::default() };
                let name = alias.map(|alias| alias.name.value.to_lowercase());
                relations.push(Relation {
                    qualifier: name.into_iter().collect(),
                    columns: Rc::new(columns),
                });
            }
        }
    }

    fn expr(&mut self, expr: &Expr, ctes: &Ctes, scopes: &[Scope], aliases: &[Column]) -> Origin {
        let mut walker = Walker::new(self, ctes, scopes, aliases);
        walk::expr(expr, &mut walker);
        walker.found
    }
}

/// The condition of a join.
pub(crate) fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint)
        | JoinOperator::StraightJoin(constraint)
        | JoinOperator::AsOf { constraint, .. } => Some(constraint),
        _ => None,
    }
}

/// The name that an expression without alias gives its column: a plain column has one.
pub(crate) fn plain_name(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        Expr::Nested(inner) => plain_name(inner),
        _ => None,
    }
}

fn with_scope(outer: &[Scope], relations: Vec<Relation>) -> Vec<Scope> {
    let mut scopes = outer.to_vec();
    scopes.push(Rc::new(relations));
    scopes
}

fn take_scope(mut scopes: Vec<Scope>) -> Vec<Relation> {
    scopes.pop().and_then(|scope| Rc::try_unwrap(scope).ok()).unwrap_or_default()
}

fn aliased(parts: Vec<String>, columns: Rc<Columns>, alias: Option<&TableAlias>) -> Relation {
    let Some(alias) = alias else { return Relation { qualifier: parts, columns } };
    let columns = if alias.columns.is_empty() {
        columns
    } else {
        Rc::new(renamed(Columns::clone(&columns), alias))
    };
    Relation { qualifier: vec![alias.name.value.to_lowercase()], columns }
}

/// `AS t (a, b)`: the columns under these names.
fn renamed(mut columns: Columns, alias: &TableAlias) -> Columns {
    if alias.columns.is_empty() {
        return columns;
    }
    if columns.open.is_empty() {
        for (column, name) in columns.named.iter_mut().zip(&alias.columns) {
            column.name = name.name.value.to_lowercase();
        }
        return columns;
    }
    // Which column of an open table gets which name is not to be known.
    let mut from = Origin::default();
    for table in &columns.open {
        from.sources.insert(ColumnSource { table: Some(table.clone()), column: None });
    }
    let named = alias.columns.iter().map(|column| Column {
        name: column.name.value.to_lowercase(),
        position: position(column.name.span.start),
        from: from.clone(),
    });
    Columns { named: named.collect(), open: Vec::new(), aggregates: columns.aggregates }
}

/// The relation that a qualifier names: all of its parts, or the last ones of a table's name.
fn find<'s>(scope: &'s [Relation], qualifier: &[String]) -> Option<&'s Relation> {
    if qualifier.is_empty() {
        return None;
    }
    scope.iter().find(|relation| relation.qualifier.ends_with(qualifier))
}

fn in_columns(columns: &Columns, name: &str) -> Option<Origin> {
    let mut found: Option<Origin> = None;
    for column in columns.named.iter().filter(|column| column.name == name) {
        found.get_or_insert_default().add(&column.from);
    }
    if found.is_some() {
        return found;
    }
    let table = match columns.open.as_slice() {
        [] => return None,
        [only] => Some(only.clone()),
        _ => None,
    };
    let source = ColumnSource { table, column: Some(name.to_owned()) };
    Some(Origin { sources: BTreeSet::from([source]), ..Origin::default() })
}

#[cfg(test)]
mod tests;
