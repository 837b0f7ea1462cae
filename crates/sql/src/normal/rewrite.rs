//! Walks one expression and rewrites each node once, children first.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, Expr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderByExpr, Query,
    VisitorMut, WindowSpec, WindowType,
};

use super::{
    Ctes, Normaliser, expr,
    scope::{AliasInfo, AliasRule, Scope, resolve},
};
use crate::functions;

/// The aliases that an expression may use.
#[derive(Clone, Copy)]
pub(super) struct Aliases<'a> {
    list: &'a [AliasInfo],
    rule: AliasRule,
}

impl<'a> Aliases<'a> {
    pub(super) fn none() -> Self {
        Self { list: &[], rule: AliasRule::Never }
    }
    pub(super) fn fallback(list: &'a [AliasInfo]) -> Self {
        Self { list, rule: AliasRule::Fallback }
    }
    pub(super) fn first(list: &'a [AliasInfo]) -> Self {
        Self { list, rule: AliasRule::First }
    }
}

pub(super) struct Rewriter<'w> {
    normaliser: &'w mut Normaliser,
    ctes: &'w Ctes,
    scopes: &'w [Scope],
    aliases: Aliases<'w>,
    windows: &'w [NamedWindowDefinition],
    lambda_parameters: Vec<String>,
    /// Nodes that look like columns and are none.
    skipped: Vec<*const Expr>,
    query_depth: usize,
}

impl<'w> Rewriter<'w> {
    pub(super) fn new(
        normaliser: &'w mut Normaliser,
        ctes: &'w Ctes,
        scopes: &'w [Scope],
        aliases: Aliases<'w>,
        windows: &'w [NamedWindowDefinition],
    ) -> Self {
        Self {
            normaliser,
            ctes,
            scopes,
            aliases,
            windows,
            lambda_parameters: Vec::new(),
            skipped: Vec::new(),
            query_depth: 0,
        }
    }

    fn name(&self, parts: &[Ident]) -> Expr {
        let of_lambda = parts
            .first()
            .is_some_and(|first| self.lambda_parameters.contains(&first.value.to_lowercase()));
        if of_lambda {
            let idents: Vec<Ident> = parts.iter().map(|part| super::ident(&part.value)).collect();
            return match idents.as_slice() {
                [only] => Expr::Identifier(only.clone()),
                _ => Expr::CompoundIdentifier(idents),
            };
        }
        resolve(parts, self.scopes, self.aliases.list, self.aliases.rule)
    }

    /// What a window's name stands for.
    fn window(&self, name: &Ident, hops_left: usize) -> Option<WindowSpec> {
        let hops_left = hops_left.checked_sub(1)?;
        let definition = self
            .windows
            .iter()
            .find(|definition| definition.0.value.eq_ignore_ascii_case(&name.value))?;
        match &definition.1 {
            NamedWindowExpr::NamedWindow(other) => self.window(other, hops_left),
            NamedWindowExpr::WindowSpec(spec) => Some(self.spec(spec, hops_left)),
        }
    }

    fn spec(&self, spec: &WindowSpec, hops_left: usize) -> WindowSpec {
        let mut spec = spec.clone();
        let base = spec.window_name.as_ref().and_then(|name| self.window(name, hops_left));
        if let Some(base) = base {
            spec.window_name = None;
            spec.partition_by = base.partition_by;
            if spec.order_by.is_empty() {
                spec.order_by = base.order_by;
            }
            spec.window_frame = spec.window_frame.or(base.window_frame);
        }
        spec
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if self.query_depth == 0 {
            self.normaliser.query(query, self.ctes, self.scopes, false);
        }
        self.query_depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.query_depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.query_depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            fold_names(root, access_chain);
            if access_chain.is_empty() {
                *expr = std::mem::replace(root.as_mut(), expr::null());
            } else {
                for access in access_chain {
                    if let AccessExpr::Dot(field) = access
                        && let Expr::Identifier(name) = field
                    {
                        *name = super::ident(&name.value);
                        self.skipped.push(std::ptr::from_ref(field));
                    }
                }
            }
        }
        match expr {
            Expr::Lambda(lambda) => {
                let names =
                    lambda.params.iter().map(|parameter| parameter.name.value.to_lowercase());
                self.lambda_parameters.extend(names);
            }
            Expr::Function(function) => {
                if let Some(unit) = functions::unit_argument(function) {
                    self.skipped.push(std::ptr::from_ref(unit));
                }
                const HOPS_MAX: usize = 8;
                let spec = match &function.over {
                    Some(WindowType::NamedWindow(name)) => self.window(name, HOPS_MAX),
                    Some(WindowType::WindowSpec(spec)) => Some(self.spec(spec, HOPS_MAX)),
                    None => None,
                };
                if let Some(spec) = spec {
                    function.over = Some(WindowType::WindowSpec(spec));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.query_depth > 0 {
            return ControlFlow::Continue(());
        }
        if self.skipped.contains(&std::ptr::from_ref(expr)) {
            if let Expr::Identifier(name) = expr {
                *name = super::ident(&name.value);
            }
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Identifier(name) => *expr = self.name(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => *expr = self.name(parts),
            Expr::Lambda(lambda) => {
                let count = lambda.params.iter().count();
                let kept = self.lambda_parameters.len().saturating_sub(count);
                self.lambda_parameters.truncate(kept);
            }
            _ => {}
        }
        let node = std::mem::replace(expr, expr::null());
        *expr = expr::normal(node);
        ControlFlow::Continue(())
    }
}

/// `t.c[0]` comes as the root `t` with the accesses `.c` and `[0]`: the names are one name.
fn fold_names(root: &mut Box<Expr>, chain: &mut Vec<AccessExpr>) {
    let mut parts = match root.as_ref() {
        Expr::Identifier(only) => vec![only.clone()],
        Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => return,
    };
    let leading = chain
        .iter()
        .take_while(|access| matches!(access, AccessExpr::Dot(Expr::Identifier(_))))
        .count();
    for access in chain.drain(..leading) {
        if let AccessExpr::Dot(Expr::Identifier(part)) = access {
            parts.push(part);
        }
    }
    **root = if parts.len() == 1 {
        Expr::Identifier(parts.remove(0))
    } else {
        Expr::CompoundIdentifier(parts)
    };
}

/// Sorts by text; the same twice is the same once.
pub(super) fn sort(expressions: &mut Vec<Expr>) {
    expressions.sort_by_cached_key(ToString::to_string);
    expressions.dedup_by_key(|expr| expr.to_string());
}

/// Spark's defaults, written out: ascending, nulls first; descending, nulls last.
pub(super) fn order_defaults(order: &mut OrderByExpr) {
    let ascending = order.options.asc.unwrap_or(true);
    order.options.asc = Some(ascending);
    order.options.nulls_first = Some(order.options.nulls_first.unwrap_or(ascending));
}
