//! What a query may not say, whatever its view: several results for one period, or none.

use std::collections::HashMap;

use sqlparser::ast::{
    Expr, FunctionArguments, Ident, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier,
    Spanned as _, TableFactor, Value,
};
use trivium_model::Diagnostic;

use crate::{
    functions, lineage,
    scan::{self, position},
    walk::{self, Watcher},
};

/// All that is wrong with a parsed query.
pub(crate) fn check(path: &str, query: &Query) -> Vec<Diagnostic> {
    let mut rules = Rules { path, errors: Vec::new() };
    walk::query(query, &mut rules);
    rules.output(query);
    rules.errors.sort_by_key(|error| (error.line, error.column));
    rules.errors
}

struct Rules<'p> {
    path: &'p str,
    errors: Vec<Diagnostic>,
}

impl Rules<'_> {
    fn error(&mut self, at: (u32, u32), code: &'static str, message: String, help: &str) {
        self.errors.push(Diagnostic::error(self.path, at, code, message, help));
    }

    fn refuse(&mut self, at: (u32, u32), what: &str, help: &str) {
        self.error(at, "sql-unsupported", format!("{what} is not supported in feature SQL"), help);
    }

    fn not_repeatable(&mut self, at: (u32, u32), name: &str) {
        let help = match name {
            "rand" | "randn" | "random" | "randstr" | "uniform" | "shuffle" => {
                "derive what looks random from the data, as in `hash(id)`"
            }
            "uuid" | "monotonically_increasing_id" => {
                "use the entity's keys, or `row_number()` with a complete ORDER BY"
            }
            "unix_timestamp" | "now" | "current_date" | "current_timestamp" | "curdate"
            | "localtimestamp" | "current_time" | "getdate" | "sysdate" | "today" | "localtime" => {
                "use `'{{ ds }}'`, `'{{ period_start }}'` or `'{{ period_end }}'`, so that a rerun gives the same"
            }
            _ => "leave it out: a rerun of the same period must give the same rows",
        };
        self.error(
            at,
            "sql-not-repeatable",
            format!("`{name}` depends on when or where the query runs"),
            help,
        );
    }

    /// The columns of the result.
    fn output(&mut self, query: &Query) {
        let mut branches = Vec::new();
        self.branches(&query.body, &mut branches);
        let Some(first) = branches.first() else { return };
        let mut seen: HashMap<String, (u32, u32)> = HashMap::new();
        for item in &first.projection {
            let at = position(item.span().start);
            match item {
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    self.wildcard(at, item);
                }
                SelectItem::UnnamedExpr(expr) => match lineage::plain_name(expr) {
                    Some(ident) => self.named(&mut seen, ident),
                    None => self.error(
                        at,
                        "sql-unnamed-column",
                        format!("the column `{}` has no name", shortened(&expr.to_string())),
                        "name it: `… AS feature_name`",
                    ),
                },
                SelectItem::ExprWithAlias { alias, .. } => self.named(&mut seen, alias),
                SelectItem::ExprWithAliases { aliases, .. } => {
                    for alias in aliases {
                        self.named(&mut seen, alias);
                    }
                }
            }
        }
        for branch in branches.iter().skip(1) {
            for item in &branch.projection {
                if matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) {
                    self.wildcard(position(item.span().start), item);
                }
            }
            if branch.projection.len() != first.projection.len() {
                self.error(
                    position(branch.select_token.0.span.start),
                    "sql-column-count",
                    format!(
                        "this part gives {} columns, the first part {}",
                        branch.projection.len(),
                        first.projection.len()
                    ),
                    "give the same columns in the same order in every part",
                );
            }
        }
    }

    fn named(&mut self, seen: &mut HashMap<String, (u32, u32)>, name: &Ident) {
        let at = position(name.span.start);
        if let Some((line, column)) = seen.insert(name.value.to_lowercase(), at) {
            self.error(
                at,
                "sql-duplicate-column",
                format!(
                    "the column `{}` is given twice, first at {line}:{column}",
                    name.value.to_lowercase()
                ),
                "remove one, or give it another name",
            );
        }
    }

    fn wildcard(&mut self, at: (u32, u32), item: &SelectItem) {
        self.error(
            at,
            "sql-wildcard",
            format!("`{item}` leaves open which columns the view gets"),
            "name each column; `*` is fine in a subquery",
        );
    }

    /// The SELECTs whose rows are the result.
    fn branches<'q>(&mut self, body: &'q SetExpr, out: &mut Vec<&'q Select>) {
        match body {
            SetExpr::Select(select) => out.push(select),
            SetExpr::Query(query) => self.branches(&query.body, out),
            SetExpr::SetOperation { left, right, .. } => {
                self.branches(left, out);
                self.branches(right, out);
            }
            other => self.error(
                position(other.span().start),
                "sql-not-select",
                "the result is not that of a SELECT".to_owned(),
                "write a SELECT that names the view's columns",
            ),
        }
    }
}

/// A text for a message: one line, not too long.
pub(crate) fn shortened(text: &str) -> String {
    const LENGTH_MAX: usize = 120;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(&line)),
        None => line,
    }
}

impl Watcher for Rules<'_> {
    fn enter_query(&mut self, query: &Query) {
        let at = position(query.span().start);
        if let Some(with) = &query.with {
            let at = position(with.with_token.0.span.start);
            if with.recursive {
                self.refuse(at, "WITH RECURSIVE", "join as many levels as there are");
            }
            let mut seen: HashMap<String, ()> = HashMap::new();
            for cte in &with.cte_tables {
                let name = cte.alias.name.value.to_lowercase();
                if seen.insert(name.clone(), ()).is_some() {
                    self.error(
                        position(cte.alias.name.span.start),
                        "sql-duplicate-query",
                        format!("the WITH clause names `{name}` twice"),
                        "give each its own name",
                    );
                }
            }
        }
        if query.limit_clause.is_some() && query.order_by.is_none() || query.fetch.is_some() {
            self.error(
                at,
                "sql-not-repeatable",
                "LIMIT without ORDER BY keeps rows by chance".to_owned(),
                "order by columns that are unique together, or leave LIMIT out",
            );
        }
        if !query.locks.is_empty() || query.for_clause.is_some() {
            self.refuse(at, "FOR", "leave it out");
        }
        if query.settings.is_some() || query.format_clause.is_some() {
            self.refuse(at, "SETTINGS or FORMAT", "leave it out");
        }
        if !query.pipe_operators.is_empty() {
            self.refuse(at, "`|>`", "write it as clauses of a SELECT");
        }
        match query.body.as_ref() {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                self.error(
                    at,
                    "sql-not-select",
                    "a query must not change tables".to_owned(),
                    "write one SELECT: the platform writes the tables itself",
                );
            }
            SetExpr::Table(_) => self.refuse(at, "TABLE", "write `SELECT … FROM`"),
            SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier:
                    SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName,
                ..
            } => self.refuse(at, "UNION BY NAME", "give the columns in the same order"),
            _ => {}
        }
    }

    fn enter_select(&mut self, select: &Select) {
        let at = position(select.select_token.0.span.start);
        if select.into.is_some() {
            self.refuse(at, "SELECT INTO", "the platform writes the tables itself");
        }
        if select.top.is_some() {
            self.refuse(at, "TOP", "use ORDER BY and LIMIT");
        }
        if select.prewhere.is_some() || !select.connect_by.is_empty() {
            self.refuse(at, "PREWHERE or CONNECT BY", "use WHERE and joins");
        }
        if select.value_table_mode.is_some()
            || select.select_modifiers.is_some()
            || select.exclude.is_some()
            || matches!(select.distinct, Some(sqlparser::ast::Distinct::On(_)))
        {
            self.refuse(
                at,
                "this form of SELECT",
                "write SELECT or SELECT DISTINCT and name the columns; to keep one row of several, use `row_number()`",
            );
        }
        if select.projection.is_empty() {
            self.error(
                at,
                "sql-syntax",
                "there are no columns after SELECT".to_owned(),
                "name the view's columns",
            );
        }
    }

    fn enter_factor(&mut self, factor: &TableFactor) {
        let at = position(factor.span().start);
        let sampled = match factor {
            TableFactor::Table { name, sample, version, partitions, args, .. } => {
                if version.is_some() {
                    self.refuse(at, "reading a table as of another time", "filter by a column");
                }
                if !partitions.is_empty() {
                    self.refuse(at, "PARTITION", "filter by the partition's column");
                }
                if args.is_some()
                    && functions::GENERATORS_OF_ROWS
                        .iter()
                        .all(|known| !name.to_string().eq_ignore_ascii_case(known))
                {
                    self.refuse(
                        at,
                        &format!("the table function `{name}`"),
                        "read a table, or use LATERAL VIEW",
                    );
                }
                sample.is_some()
            }
            TableFactor::Derived { sample, .. } => sample.is_some(),
            TableFactor::NestedJoin { .. }
            | TableFactor::Function { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::UNNEST { .. } => false,
            _ => {
                self.refuse(
                    at,
                    "this kind of table (PIVOT, UNPIVOT, MATCH_RECOGNIZE and the like)",
                    "write it with CASE, GROUP BY and window functions",
                );
                false
            }
        };
        if sampled {
            self.error(
                at,
                "sql-not-repeatable",
                "TABLESAMPLE takes rows by chance".to_owned(),
                "filter by a hash of a key, as in `pmod(hash(id), 100) < 10`",
            );
        }
    }

    fn enter_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Function(function) => {
                let name = functions::name(function);
                let has_arguments = match &function.args {
                    FunctionArguments::List(list) => !list.args.is_empty(),
                    FunctionArguments::Subquery(_) => true,
                    FunctionArguments::None => false,
                };
                let depends = functions::NOT_REPEATABLE.contains(&name.as_str())
                    && !(name == "unix_timestamp" && has_arguments);
                if depends {
                    self.not_repeatable(position(expr.span().start), &name);
                }
            }
            // Spark takes these without parentheses.
            Expr::Identifier(ident) if ident.quote_style.is_none() => {
                const BARE: [&str; 9] = [
                    "current_catalog",
                    "current_database",
                    "current_date",
                    "current_schema",
                    "current_time",
                    "current_timestamp",
                    "current_user",
                    "localtimestamp",
                    "session_user",
                ];
                let name = ident.value.to_lowercase();
                if BARE.contains(&name.as_str()) {
                    self.not_repeatable(position(ident.span.start), &name);
                }
            }
            Expr::TypedString(typed) => {
                if let Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) =
                    &typed.value.value
                {
                    let word = text.trim().to_lowercase();
                    if ["now", "today", "tomorrow", "yesterday"].contains(&word.as_str()) {
                        self.not_repeatable(position(expr.span().start), &word);
                    }
                }
            }
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    self.error(
                        position(value.span.start),
                        "sql-parameter",
                        format!("`{name}` is not a parameter"),
                        scan::PARAMETERS_HELP,
                    );
                }
            }
            _ => {}
        }
    }
}
