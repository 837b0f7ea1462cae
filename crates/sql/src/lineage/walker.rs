//! What one expression is calculated from.

use sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query,
    Value,
};

use super::{Column, Ctes, Lineage, Origin, Scope, find, in_columns};
use crate::{author::ColumnSource, functions, scan::Parameter, walk::Watcher};

/// Collects what one expression is calculated from.
pub(super) struct Walker<'w> {
    lineage: &'w mut Lineage,
    ctes: &'w Ctes,
    scopes: &'w [Scope],
    aliases: &'w [Column],
    pub(super) found: Origin,
    lambda_parameters: Vec<String>,
    /// Nodes that look like columns and are none.
    skipped: Vec<*const Expr>,
    query_depth: usize,
}

impl<'w> Walker<'w> {
    pub(super) fn new(
        lineage: &'w mut Lineage,
        ctes: &'w Ctes,
        scopes: &'w [Scope],
        aliases: &'w [Column],
    ) -> Self {
        Self {
            lineage,
            ctes,
            scopes,
            aliases,
            found: Origin::default(),
            lambda_parameters: Vec::new(),
            skipped: Vec::new(),
            query_depth: 0,
        }
    }

    fn name(&mut self, parts: &[&Ident]) {
        let parts: Vec<String> = parts.iter().map(|part| part.value.to_lowercase()).collect();
        let Some(first) = parts.first() else { return };
        if self.lambda_parameters.contains(first) {
            return;
        }
        for scope in self.scopes.iter().rev() {
            // `table.column` and `schema.table.column`, then `column.field`.
            for length in (1..parts.len()).rev() {
                if let Some(relation) = find(scope, &parts[..length]) {
                    if let Some(origin) = in_columns(&relation.columns, &parts[length]) {
                        self.found.add(&origin);
                    }
                    return;
                }
            }
            let named = scope.iter().filter(|relation| {
                relation.columns.named.iter().any(|column| column.name == *first)
            });
            let mut origin: Option<Origin> = None;
            for relation in named {
                if let Some(more) = in_columns(&relation.columns, first) {
                    origin.get_or_insert_default().add(&more);
                }
            }
            if let Some(origin) = origin {
                self.found.add(&origin);
                return;
            }
            // An alias to the left is what the author means, unless the table surely has it.
            if self.alias(first) {
                return;
            }
            let open: Vec<&String> =
                scope.iter().flat_map(|relation| &relation.columns.open).collect();
            if !open.is_empty() {
                let table = if let [only] = open.as_slice() { Some((*only).clone()) } else { None };
                self.found.sources.insert(ColumnSource { table, column: Some(first.clone()) });
                return;
            }
        }
        if !self.alias(first) {
            self.found.sources.insert(ColumnSource { table: None, column: Some(first.clone()) });
        }
    }

    fn alias(&mut self, name: &str) -> bool {
        let Some(alias) = self.aliases.iter().find(|alias| alias.name == name) else {
            return false;
        };
        // `max(delay) AS delay` shows that the table has the column, and the table comes first.
        if alias.from.sources.iter().any(|source| source.column.as_deref() == Some(name)) {
            return false;
        }
        let from = alias.from.clone();
        self.found.add(&from);
        true
    }
}

impl Watcher for Walker<'_> {
    fn enter_query(&mut self, query: &Query) {
        if self.query_depth == 0 {
            let columns = self.lineage.query(query, self.ctes, self.scopes);
            for column in &columns.named {
                self.found.add(&column.from);
            }
        }
        self.query_depth += 1;
    }

    fn leave_query(&mut self, _: &Query) {
        self.query_depth -= 1;
    }

    fn enter_expr(&mut self, expr: &Expr) {
        if self.query_depth > 0 || self.skipped.contains(&std::ptr::from_ref(expr)) {
            return;
        }
        match expr {
            Expr::Identifier(ident) => self.name(&[ident]),
            Expr::CompoundIdentifier(parts) => self.name(&parts.iter().collect::<Vec<_>>()),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let mut parts = Vec::new();
                match root.as_ref() {
                    Expr::Identifier(ident) => parts.push(ident),
                    Expr::CompoundIdentifier(idents) => parts.extend(idents),
                    _ => {}
                }
                let qualified = !parts.is_empty();
                let mut leading = qualified;
                for access in access_chain {
                    match access {
                        AccessExpr::Dot(field @ Expr::Identifier(ident)) => {
                            self.skipped.push(std::ptr::from_ref(field));
                            if leading {
                                parts.push(ident);
                            }
                        }
                        _ => leading = false,
                    }
                }
                if qualified {
                    self.skipped.push(std::ptr::from_ref(root.as_ref()));
                    self.name(&parts);
                }
            }
            Expr::Function(function) => {
                if let Some(unit) = functions::unit_argument(function) {
                    self.skipped.push(std::ptr::from_ref(unit));
                }
                if counts_rows(function)
                    && let Some(scope) = self.scopes.last()
                {
                    for table in scope.iter().flat_map(|relation| &relation.columns.open) {
                        let source = ColumnSource { table: Some(table.clone()), column: None };
                        self.found.sources.insert(source);
                    }
                }
            }
            Expr::Lambda(lambda) => {
                let names =
                    lambda.params.iter().map(|parameter| parameter.name.value.to_lowercase());
                self.lambda_parameters.extend(names);
            }
            Expr::Value(value) => self.parameters(&value.value),
            Expr::TypedString(typed) => self.parameters(&typed.value.value),
            _ => {}
        }
    }

    fn leave_expr(&mut self, expr: &Expr) {
        if let Expr::Lambda(lambda) = expr
            && self.query_depth == 0
        {
            let kept = self.lambda_parameters.len().saturating_sub(lambda.params.iter().count());
            self.lambda_parameters.truncate(kept);
        }
    }
}

impl Walker<'_> {
    fn parameters(&mut self, value: &Value) {
        let (Value::SingleQuotedString(text) | Value::DoubleQuotedString(text)) = value else {
            return;
        };
        for parameter in Parameter::all_in(text) {
            match parameter {
                Parameter::Ds => self.found.ds = true,
                Parameter::PeriodStart => self.found.period_start = true,
                Parameter::PeriodEnd => self.found.period_end = true,
            }
        }
    }
}

/// `count(*)`: of the rows of the tables, and of none of their columns.
fn counts_rows(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)])
}
