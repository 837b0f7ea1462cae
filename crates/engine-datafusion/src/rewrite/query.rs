//! Queries: WITH, SELECT, FROM, joins, grouping, set operations, order.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause,
    ObjectName, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned, TableAlias,
    TableFactor, TableWithJoins, Value, WildcardAdditionalOptions,
};

use super::{Position, Result, Rewriter, invalid, lower, position, start_of, variant};
use crate::error::unsupported;

/// Whether an expression is a bare whole number, which in GROUP BY and ORDER BY names a column.
fn is_ordinal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Number(text, false) if text.bytes().all(|b| b.is_ascii_digit())))
}

fn refuse_unless<T>(absent: bool, what: &str, at: Position, value: T) -> Result<T> {
    if absent { Ok(value) } else { Err(unsupported(what, at)) }
}

/// Who reads the names of a SELECT's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Whoever gets the answer: every column must have a name.
    Outermost,
    /// The query around it.
    Inner,
    /// Nobody: the left side of a set operation names the columns.
    Nobody,
}

impl Rewriter<'_> {
    /// A query; the outermost one must name its columns.
    pub fn query(&mut self, query: Query, naming: Naming) -> Result<Query> {
        let at = position(&query);
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        refuse_unless(fetch.is_none(), "FETCH", at, ())?;
        refuse_unless(locks.is_empty() && for_clause.is_none(), "FOR", at, ())?;
        refuse_unless(settings.is_none() && format_clause.is_none(), "SETTINGS or FORMAT", at, ())?;
        refuse_unless(pipe_operators.is_empty(), "|>", at, ())?;
        let with = match with {
            None => None,
            Some(mut with) => {
                refuse_unless(!with.recursive, "WITH RECURSIVE", at, ())?;
                self.allow("clause", "WITH", at)?;
                for cte in &mut with.cte_tables {
                    let at = start_of(cte.alias.name.span);
                    refuse_unless(
                        cte.from.is_none() && cte.materialized.is_none(),
                        "MATERIALIZED",
                        at,
                        (),
                    )?;
                    let inner = std::mem::replace(&mut *cte.query, empty_query());
                    *cte.query = self.query(inner, Naming::Inner)?;
                    cte.alias = self.alias(cte.alias.clone())?;
                    self.ctes.insert(cte.alias.name.value.clone());
                }
                Some(with)
            }
        };
        let body = Box::new(self.set_expr(*body, naming)?);
        let ordered = order_by.is_some();
        let order_by = order_by.map(|order_by| self.order_by(order_by)).transpose()?;
        let limit_clause = match limit_clause {
            None => None,
            Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by })
                if limit_by.is_empty() =>
            {
                if !ordered {
                    return Err(unsupported("LIMIT without ORDER BY, which takes any rows,", at));
                }
                if !is_ordinal(&limit) {
                    return Err(unsupported("LIMIT by an expression", at));
                }
                self.allow("clause", "LIMIT", at)?;
                Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by })
            }
            Some(_) => return Err(unsupported("OFFSET", at)),
        };
        Ok(Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch: None,
            locks: vec![],
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: vec![],
        })
    }

    fn set_expr(&mut self, body: SetExpr, naming: Naming) -> Result<SetExpr> {
        let at = position(&body);
        match body {
            SetExpr::Select(select) => Ok(SetExpr::Select(Box::new(self.select(*select, naming)?))),
            SetExpr::Query(query) => Ok(SetExpr::Query(Box::new(self.query(*query, naming)?))),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let all = match set_quantifier {
                    SetQuantifier::All => " ALL",
                    SetQuantifier::Distinct | SetQuantifier::None => "",
                    _ => return Err(unsupported("UNION BY NAME", at)),
                };
                let word = match op {
                    SetOperator::Union => "UNION",
                    SetOperator::Except | SetOperator::Minus => "EXCEPT",
                    SetOperator::Intersect => "INTERSECT",
                };
                self.allow("clause", &format!("{word}{all}"), at)?;
                let op = if op == SetOperator::Minus { SetOperator::Except } else { op };
                Ok(SetExpr::SetOperation {
                    left: Box::new(self.set_expr(*left, naming)?),
                    op,
                    set_quantifier,
                    // The left side names the columns.
                    right: Box::new(self.set_expr(*right, Naming::Nobody)?),
                })
            }
            other => Err(unsupported(variant(&other).to_uppercase(), at)),
        }
    }

    fn select(&mut self, select: Select, naming: Naming) -> Result<Select> {
        let at = position(&select);
        let Select {
            select_token,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify,
            value_table_mode,
            flavor,
        } = select;
        for (present, what) in [
            (select_modifiers.is_some(), "a SELECT modifier"),
            (top.is_some(), "TOP"),
            (exclude.is_some(), "EXCLUDE"),
            (into.is_some(), "INTO"),
            (!lateral_views.is_empty(), "LATERAL VIEW"),
            (prewhere.is_some(), "PREWHERE"),
            (!connect_by.is_empty(), "CONNECT BY"),
            (!cluster_by.is_empty(), "CLUSTER BY"),
            (!distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!sort_by.is_empty(), "SORT BY"),
            (!named_window.is_empty(), "WINDOW"),
            (qualify.is_some(), "QUALIFY"),
            (value_table_mode.is_some(), "SELECT AS"),
            (flavor != SelectFlavor::Standard, "FROM before SELECT"),
        ] {
            refuse_unless(!present, what, at, ())?;
        }
        let from =
            from.into_iter().map(|from| self.table_with_joins(from)).collect::<Result<Vec<_>>>()?;
        let distinct = match distinct {
            Some(Distinct::Distinct) => {
                self.allow("clause", "DISTINCT", at)?;
                Some(Distinct::Distinct)
            }
            None | Some(Distinct::All) => None,
            Some(Distinct::On(_)) => return Err(unsupported("DISTINCT ON", at)),
        };
        let selection = match selection {
            Some(selection) => {
                self.allow("clause", "WHERE", at)?;
                Some(self.expr(selection)?)
            }
            None => None,
        };
        let group_by = match group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                if !exprs.is_empty() {
                    self.allow("clause", "GROUP BY", at)?;
                }
                let exprs = exprs
                    .into_iter()
                    .map(|expr| if is_ordinal(&expr) { Ok(expr) } else { self.expr(expr) })
                    .collect::<Result<Vec<_>>>()?;
                GroupByExpr::Expressions(exprs, vec![])
            }
            GroupByExpr::Expressions(..) => {
                return Err(unsupported("GROUP BY with a modifier", at));
            }
            GroupByExpr::All(_) => return Err(unsupported("GROUP BY ALL", at)),
        };
        let having = match having {
            Some(having) => {
                self.allow("clause", "HAVING", at)?;
                Some(self.expr(having)?)
            }
            None => None,
        };
        let projection = projection
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.select_item(item, index, naming))
            .collect::<Result<Vec<_>>>()?;
        Ok(Select {
            select_token,
            optimizer_hints: vec![],
            distinct,
            select_modifiers: None,
            top: None,
            top_before_distinct,
            projection,
            exclude: None,
            into: None,
            from,
            lateral_views: vec![],
            prewhere: None,
            selection,
            connect_by: vec![],
            group_by,
            cluster_by: vec![],
            distribute_by: vec![],
            sort_by: vec![],
            having,
            named_window: vec![],
            qualify: None,
            window_before_qualify,
            value_table_mode: None,
            flavor,
        })
    }

    fn select_item(
        &mut self,
        item: SelectItem,
        index: usize,
        naming: Naming,
    ) -> Result<SelectItem> {
        let at = position(&item);
        match item {
            SelectItem::UnnamedExpr(expr) => {
                // A column keeps its own name.
                let name = match &expr {
                    // Two of one name would not do here, and nobody reads them.
                    _ if naming == Naming::Nobody => None,
                    Expr::Identifier(ident) => Some(lower(ident)),
                    Expr::CompoundIdentifier(parts) => parts.last().map(lower),
                    _ if naming == Naming::Outermost => {
                        return Err(invalid("this column has no name; add AS and a name", at));
                    }
                    _ => None,
                };
                // Spark would make up a name here; nobody can rely on ours.
                let alias = name.unwrap_or_else(|| Ident::with_quote('"', format!("_c{index}")));
                Ok(SelectItem::ExprWithAlias { expr: self.expr(expr)?, alias })
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                // Spark reads `1.5D` as a double, the parser as 1.5 named D.
                if let Expr::Value(value) = &expr {
                    let (number, name) = (value.span.end, alias.span.start);
                    if number.line == name.line && number.column >= name.column && number.line > 0 {
                        return Err(unsupported("a number with a type suffix", at));
                    }
                }
                Ok(SelectItem::ExprWithAlias { expr: self.expr(expr)?, alias: lower(&alias) })
            }
            SelectItem::Wildcard(options)
                if options == WildcardAdditionalOptions::default() || plain(&options) =>
            {
                self.allow("clause", "*", at)?;
                Ok(SelectItem::Wildcard(WildcardAdditionalOptions::default()))
            }
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                options,
            ) if plain(&options) => {
                self.allow("clause", "*", at)?;
                let name = self.one_part(&name, "a table")?;
                Ok(SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name])),
                    WildcardAdditionalOptions::default(),
                ))
            }
            _ => Err(unsupported("this form of *", at)),
        }
    }

    fn one_part(&self, name: &ObjectName, what: &str) -> Result<Ident> {
        match name.0.as_slice() {
            [part] => match part.as_ident() {
                Some(ident) => Ok(lower(ident)),
                None => Err(unsupported(format!("{what} made by a function"), position(name))),
            },
            _ => Err(unsupported(format!("{what} with a qualified name"), position(name))),
        }
    }

    fn alias(&self, alias: TableAlias) -> Result<TableAlias> {
        let at = start_of(alias.name.span);
        if alias.at.is_some() || alias.columns.iter().any(|column| column.data_type.is_some()) {
            return Err(unsupported("an alias with types", at));
        }
        let columns = alias
            .columns
            .into_iter()
            .map(|mut column| {
                column.name = lower(&column.name);
                column
            })
            .collect();
        Ok(TableAlias { explicit: alias.explicit, name: lower(&alias.name), columns, at: None })
    }

    fn table_with_joins(&mut self, from: TableWithJoins) -> Result<TableWithJoins> {
        let relation = self.table_factor(from.relation)?;
        let joins =
            from.joins.into_iter().map(|join| self.join(join)).collect::<Result<Vec<_>>>()?;
        Ok(TableWithJoins { relation, joins })
    }

    fn join(&mut self, join: Join) -> Result<Join> {
        use JoinOperator::{
            Anti, CrossJoin, FullOuter, Inner, Left, LeftAnti, LeftOuter, LeftSemi, Right,
            RightOuter, Semi,
        };
        let at = position(&join.relation);
        refuse_unless(!join.global, "GLOBAL JOIN", at, ())?;
        let (word, make, constraint): (&str, fn(JoinConstraint) -> JoinOperator, JoinConstraint) =
            match join.join_operator {
                JoinOperator::Join(constraint) | Inner(constraint) => ("JOIN", Inner, constraint),
                Left(constraint) | LeftOuter(constraint) => ("LEFT JOIN", LeftOuter, constraint),
                Right(constraint) | RightOuter(constraint) => {
                    ("RIGHT JOIN", RightOuter, constraint)
                }
                FullOuter(constraint) => ("FULL JOIN", FullOuter, constraint),
                Semi(constraint) | LeftSemi(constraint) => ("LEFT SEMI JOIN", LeftSemi, constraint),
                Anti(constraint) | LeftAnti(constraint) => ("LEFT ANTI JOIN", LeftAnti, constraint),
                CrossJoin(constraint) => ("CROSS JOIN", CrossJoin, constraint),
                other => return Err(unsupported(format!("{} join", variant(&other)), at)),
            };
        self.allow("clause", word, at)?;
        let constraint = match constraint {
            JoinConstraint::On(on) => JoinConstraint::On(self.expr(on)?),
            JoinConstraint::Using(names) => {
                self.allow("clause", "USING", at)?;
                let names = names
                    .iter()
                    .map(|name| Ok(ObjectName::from(vec![self.one_part(name, "a column")?])))
                    .collect::<Result<Vec<_>>>()?;
                JoinConstraint::Using(names)
            }
            JoinConstraint::None if word == "CROSS JOIN" => JoinConstraint::None,
            JoinConstraint::None => {
                return Err(invalid("this join has no ON; write CROSS JOIN if that is meant", at));
            }
            JoinConstraint::Natural => return Err(unsupported("NATURAL JOIN", at)),
        };
        Ok(Join {
            relation: self.table_factor(join.relation)?,
            global: false,
            join_operator: make(constraint),
        })
    }

    fn table_factor(&mut self, factor: TableFactor) -> Result<TableFactor> {
        let at = position(&factor);
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let table = self.one_part(&name, "a table")?;
                if !self.ctes.contains(&table.value) && !self.tables.contains(&table.value) {
                    let known: Vec<&str> = self.tables.iter().map(String::as_str).collect();
                    return Err(invalid(
                        format!(
                            "there is no table `{}`; there are: {}",
                            table.value,
                            known.join(", ")
                        ),
                        at,
                    ));
                }
                Ok(TableFactor::Table {
                    name: ObjectName::from(vec![table]),
                    alias: alias.map(|alias| self.alias(alias)).transpose()?,
                    args: None,
                    with_hints: vec![],
                    version: None,
                    with_ordinality: false,
                    partitions: vec![],
                    json_path: None,
                    sample: None,
                    index_hints: vec![],
                })
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                Ok(TableFactor::Derived {
                    lateral: false,
                    subquery: Box::new(self.query(*subquery, Naming::Inner)?),
                    alias: alias.map(|alias| self.alias(alias)).transpose()?,
                    sample: None,
                })
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                Ok(TableFactor::NestedJoin {
                    table_with_joins: Box::new(self.table_with_joins(*table_with_joins)?),
                    alias: None,
                })
            }
            TableFactor::Table { .. } => {
                Err(unsupported("a table with arguments, sample or version", at))
            }
            other => Err(unsupported(format!("{} in FROM", variant(&other)), at)),
        }
    }

    fn order_by(&mut self, order_by: OrderBy) -> Result<OrderBy> {
        let OrderByKind::Expressions(exprs) = order_by.kind else {
            return Err(unsupported("ORDER BY ALL", None));
        };
        refuse_unless(order_by.interpolate.is_none(), "INTERPOLATE", None, ())?;
        self.allow("clause", "ORDER BY", exprs.first().and_then(position))?;
        Ok(OrderBy { kind: OrderByKind::Expressions(self.order_exprs(exprs)?), interpolate: None })
    }

    /// With Spark's place for nulls said: first ascending, last descending.
    pub fn order_exprs(&mut self, exprs: Vec<OrderByExpr>) -> Result<Vec<OrderByExpr>> {
        exprs
            .into_iter()
            .map(|mut order| {
                refuse_unless(
                    order.with_fill.is_none(),
                    "WITH FILL",
                    order.expr.span_position(),
                    (),
                )?;
                if !is_ordinal(&order.expr) {
                    order.expr = self.expr(order.expr)?;
                }
                let ascending = order.options.asc.unwrap_or(true);
                order.options.asc = Some(ascending);
                order.options.nulls_first = Some(order.options.nulls_first.unwrap_or(ascending));
                Ok(order)
            })
            .collect()
    }
}

/// A position of anything that has one.
trait SpanPosition {
    fn span_position(&self) -> Position;
}
impl<T: Spanned> SpanPosition for T {
    fn span_position(&self) -> Position {
        position(self)
    }
}

fn plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none()
}

/// Stands in while the real one is rewritten.
fn empty_query() -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Values(sqlparser::ast::Values {
            explicit_row: false,
            value_keyword: false,
            rows: vec![],
        })),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}
