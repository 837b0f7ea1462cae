//! What a query says that is right and still no good style.

use std::collections::HashMap;

use sqlparser::{
    ast::{Ident, Query, Select, SelectItem, SetExpr, TableFactor},
    tokenizer::{Token, Tokenizer},
};

use crate::{
    AuthorQuery, OutputColumn, SparkDialect, lineage,
    scan::position,
    walk::{self, Watcher, on_a_large_stack},
};

impl OutputColumn {
    /// Whether the period's end goes into its value.
    pub const fn uses_period_end(&self) -> bool {
        self.uses_period_end
    }
}

impl AuthorQuery {
    /// Where each `*` stands that means "all columns".
    pub fn wildcards(&self) -> Vec<(u32, u32)> {
        struct Finder(Vec<(u32, u32)>);
        impl Watcher for Finder {
            fn enter_select(&mut self, select: &Select) {
                for item in &select.projection {
                    if let SelectItem::Wildcard(options)
                    | SelectItem::QualifiedWildcard(_, options) = item
                    {
                        self.0.push(position(options.wildcard_token.0.span.start));
                    }
                }
            }
        }
        let mut finder = Finder(Vec::new());
        on_a_large_stack(|| walk::query(&self.query, &mut finder));
        finder.0
    }

    /// Columns of subqueries in FROM and of WITH that are named nowhere else in the text, with
    /// their places. By names alone: one that is used elsewhere in another meaning counts as used.
    pub fn unused_columns(&self) -> Vec<(String, (u32, u32))> {
        struct Finder(Vec<(String, (u32, u32))>);
        impl Finder {
            /// The columns of a subquery that is read by name.
            fn add(&mut self, query: &Query) {
                // Of a set operation, columns go by place.
                let SetExpr::Select(select) = &*query.body else { return };
                if select.distinct.is_some() {
                    return;
                }
                for item in &select.projection {
                    let name: Option<&Ident> = match item {
                        SelectItem::ExprWithAlias { alias, .. } => Some(alias),
                        SelectItem::UnnamedExpr(expr) => lineage::plain_name(expr),
                        _ => None,
                    };
                    if let Some(name) = name {
                        self.0.push((name.value.to_lowercase(), position(name.span.start)));
                    }
                }
            }
        }
        impl Watcher for Finder {
            fn enter_query(&mut self, query: &Query) {
                let tables = query.with.iter().flat_map(|with| &with.cte_tables);
                for table in tables.filter(|table| table.alias.columns.is_empty()) {
                    self.add(&table.query);
                }
            }
            fn enter_factor(&mut self, factor: &TableFactor) {
                if let TableFactor::Derived { subquery, alias, .. } = factor
                    && alias.as_ref().is_none_or(|alias| alias.columns.is_empty())
                {
                    self.add(subquery);
                }
            }
        }
        let counts = self.words();
        // These read columns that they do not name.
        if !self.wildcards().is_empty() || counts.contains_key("natural") {
            return Vec::new();
        }
        let mut finder = Finder(Vec::new());
        on_a_large_stack(|| walk::query(&self.query, &mut finder));
        finder.0.retain(|(name, _)| counts.get(name).is_none_or(|count| *count <= 1));
        finder.0
    }

    /// How often each word stands in the text, in lower case; texts in quotes are none.
    fn words(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        // It was parsed: it has tokens.
        let tokens = Tokenizer::new(&SparkDialect, &self.text).tokenize().unwrap_or_default();
        for token in tokens {
            if let Token::Word(word) = token {
                *counts.entry(word.value.to_lowercase()).or_default() += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests;
