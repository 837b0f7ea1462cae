//! FROM: every table gets a name by its place, every subquery by what it says.

use sqlparser::ast::{
    Expr, JoinConstraint, JoinOperator, Query, SelectItem, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Value, VisitMut as _,
};

use super::{
    Ctes, Normaliser, ident, object_name,
    rewrite::{Aliases, Rewriter},
    scope::{self, Relation, Scope},
    table, table_alias,
};
use crate::lineage;

impl Normaliser {
    pub(super) fn joined(
        &mut self,
        table: &mut TableWithJoins,
        ctes: &Ctes,
        outer: &[Scope],
        level: usize,
        relations: &mut Vec<Relation>,
    ) {
        self.factor(&mut table.relation, ctes, outer, level, relations);
        for join in &mut table.joins {
            self.factor(&mut join.relation, ctes, outer, level, relations);
            let operator = std::mem::replace(&mut join.join_operator, JoinOperator::CrossApply);
            join.join_operator = match operator {
                JoinOperator::Join(constraint) => JoinOperator::Inner(constraint),
                JoinOperator::Left(constraint) => JoinOperator::LeftOuter(constraint),
                JoinOperator::Right(constraint) => JoinOperator::RightOuter(constraint),
                JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(constraint),
                JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(constraint),
                other => other,
            };
        }
    }

    fn factor(
        &mut self,
        factor: &mut TableFactor,
        ctes: &Ctes,
        outer: &[Scope],
        level: usize,
        relations: &mut Vec<Relation>,
    ) {
        let canonical = format!("t{level}_{}", relations.len());
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let parts = lineage::name_parts(name);
                let qualifier = match alias {
                    Some(alias) => vec![alias.name.value.to_lowercase()],
                    None => parts.clone(),
                };
                let listed = alias.as_ref().map_or(&[][..], |alias| alias.columns.as_slice());
                let cte = match parts.as_slice() {
                    [only] => ctes.get(only),
                    _ => None,
                };
                let listed = match cte {
                    Some(cte) if listed.is_empty() => cte.listed.as_slice(),
                    _ => listed,
                };
                let new_alias = table_alias(&canonical, listed);
                let (name, known) = match cte {
                    Some(cte) => (object_name([cte.name.as_str()]), cte.columns.clone()),
                    None => (object_name(parts.iter().map(String::as_str)), None),
                };
                let columns = listed_names(&new_alias).or(known);
                *factor = table(name, new_alias);
                relations.push(Relation { qualifier, canonical, columns });
            }
            TableFactor::Derived { lateral: false, subquery, alias, .. } => {
                let renamed = alias.as_ref().is_none_or(|alias| rename_outputs(subquery, alias));
                let columns = self.query(subquery, ctes, &[], renamed);
                let definition = self.define(subquery.to_string());
                let listed = match alias {
                    Some(alias) if !renamed => alias.columns.as_slice(),
                    _ => &[],
                };
                let new_alias = table_alias(&canonical, listed);
                let qualifier = alias.iter().map(|alias| alias.name.value.to_lowercase()).collect();
                let columns = listed_names(&new_alias).or(columns);
                *factor = table(object_name([definition.as_str()]), new_alias);
                relations.push(Relation { qualifier, canonical, columns });
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let scopes = scope::with(outer, relations.clone());
                let columns = self.query(subquery, ctes, &scopes, false);
                let qualifier = alias.iter().map(|alias| alias.name.value.to_lowercase()).collect();
                let listed = alias.as_ref().map_or(&[][..], |alias| alias.columns.as_slice());
                let new_alias = table_alias(&canonical, listed);
                let columns = listed_names(&new_alias).or(columns);
                *alias = Some(new_alias);
                relations.push(Relation { qualifier, canonical, columns });
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let before = relations.len();
                self.joined(table_with_joins, ctes, outer, level, relations);
                let inner = relations.get(before..).unwrap_or(&[]).to_vec();
                let scopes = scope::with(outer, inner);
                for join in &mut table_with_joins.joins {
                    self.condition(&mut join.join_operator, ctes, &scopes);
                }
            }
            // Functions as tables and rare forms: their own expressions, and a name.
            other => {
                let scopes = scope::with(outer, relations.clone());
                let mut rewriter = Rewriter::new(self, ctes, &scopes, Aliases::none(), &[]);
                let _ = other.visit(&mut rewriter);
                let (TableFactor::Table { alias, .. }
                | TableFactor::TableFunction { alias, .. }
                | TableFactor::Function { alias, .. }
                | TableFactor::NestedJoin { alias, .. }
                | TableFactor::UNNEST { alias, .. }) = other
                else {
                    return;
                };
                let listed = alias.as_ref().map_or(&[][..], |alias| alias.columns.as_slice());
                let new_alias = table_alias(&canonical, listed);
                let qualifier = alias.iter().map(|alias| alias.name.value.to_lowercase()).collect();
                let columns = listed_names(&new_alias);
                *alias = Some(new_alias);
                relations.push(Relation { qualifier, canonical, columns });
            }
        }
    }

    pub(super) fn condition(&mut self, operator: &mut JoinOperator, ctes: &Ctes, scopes: &[Scope]) {
        let (JoinOperator::Inner(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint)) = operator
        else {
            return;
        };
        match constraint {
            JoinConstraint::On(condition) => self.expr(condition, ctes, scopes, Aliases::none()),
            JoinConstraint::Using(columns) => {
                for column in columns.iter_mut() {
                    let parts = lineage::name_parts(column);
                    *column = object_name(parts.iter().map(String::as_str));
                }
                columns.sort_by_key(ToString::to_string);
            }
            JoinConstraint::Natural | JoinConstraint::None => {}
        }
    }
}

fn listed_names(alias: &TableAlias) -> Option<Vec<String>> {
    let names: Vec<String> = alias.columns.iter().map(|column| column.name.value.clone()).collect();
    (!names.is_empty()).then_some(names)
}

/// Writes the column names of `AS t (a, b)` into the subquery itself; false where that cannot be.
pub(super) fn rename_outputs(query: &mut Query, alias: &TableAlias) -> bool {
    if alias.columns.is_empty() {
        return true;
    }
    let mut body = query.body.as_mut();
    let projection = loop {
        match body {
            SetExpr::Select(select) => break &mut select.projection,
            SetExpr::SetOperation { left, .. } => body = left.as_mut(),
            _ => return false,
        }
    };
    let renamable = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    // With ORDER BY, GROUP BY or aliases used to the right, old names may still be in use.
    let simple = query.order_by.is_none()
        && projection.len() == alias.columns.len()
        && projection.iter().all(|item| match item {
            SelectItem::ExprWithAlias { .. } => false,
            item => renamable(item),
        });
    if !simple {
        return false;
    }
    for (item, column) in projection.iter_mut().zip(&alias.columns) {
        if let SelectItem::UnnamedExpr(expr) = item {
            let expr = std::mem::replace(expr, Expr::value(Value::Null));
            *item = SelectItem::ExprWithAlias { expr, alias: ident(&column.name.value) };
        }
    }
    true
}
