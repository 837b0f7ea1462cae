//! The names of Spark's own functions: what is called by another name, no engine runs.

use std::sync::LazyLock;

use sqlparser::ast::Expr;

use crate::{
    AuthorQuery, functions,
    scan::position,
    walk::{self, Watcher, on_a_large_stack},
};

/// Names a line, sorted, below a head of comments; `scripts/spark-functions` makes it.
const LIST: &str = include_str!("spark_functions.txt");

static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
});

/// Whether Spark has a function of this name, in lower case.
pub fn has_function(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// Spark's function that is likely meant, if one is near: by letters that were missed, doubled or exchanged.
pub fn nearest_function(name: &str) -> Option<&'static str> {
    let far = |known: &str| strsim::osa_distance(name, known);
    let near = |known: &str| far(known) <= (name.chars().count() / 3).max(1);
    let known = NAMES.iter().copied().filter(|known| near(known));
    known.min_by(|a, b| {
        let alike = |known: &str| strsim::jaro_winkler(name, known);
        far(a).cmp(&far(b)).then_with(|| alike(b).total_cmp(&alike(a)))
    })
}

/// A call of what Spark does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFunction {
    /// Its name, in lower case.
    pub name: String,
    /// Where it is called, from 1.
    pub position: (u32, u32),
}

impl AuthorQuery {
    /// The calls of functions that Spark does not have, in order. One that is named with its schema is somebody's
    /// own, which a metastore knows.
    pub fn unknown_functions(&self) -> Vec<UnknownFunction> {
        struct Calls(Vec<UnknownFunction>);
        impl Watcher for Calls {
            fn enter_expr(&mut self, expr: &Expr) {
                let Expr::Function(function) = expr else { return };
                let [part] = function.name.0.as_slice() else { return };
                let name = functions::name(function);
                if !has_function(&name) {
                    let start = part.as_ident().map(|ident| position(ident.span.start));
                    self.0.push(UnknownFunction { name, position: start.unwrap_or((1, 1)) });
                }
            }
        }
        let mut calls = Calls(Vec::new());
        on_a_large_stack(|| walk::query(&self.query, &mut calls));
        calls.0.sort_by_key(|call| call.position);
        calls.0
    }
}

#[cfg(test)]
mod tests;
