//! Walks over parsed SQL.
//!
//! sqlparser's visitor is compiled anew, for every node of the tree, for each type that implements
//! it. Here one type does, and hands on to whoever looks.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, NamedWindowDefinition, Query, Select, SelectItem, TableFactor, Visit as _, Visitor,
};

/// Runs on a stack that holds the deepest tree that `scan` lets through, whatever thread it is on.
pub(crate) fn on_a_large_stack<R>(run: impl FnOnce() -> R) -> R {
    const NEEDED_BYTES: usize = 16 * 1024 * 1024;
    stacker::maybe_grow(NEEDED_BYTES, 2 * NEEDED_BYTES, run)
}

/// Looks at the nodes of a tree; parents come before their children.
pub(crate) trait Watcher {
    fn enter_query(&mut self, _: &Query) {}
    fn leave_query(&mut self, _: &Query) {}
    fn enter_select(&mut self, _: &Select) {}
    fn enter_factor(&mut self, _: &TableFactor) {}
    fn enter_expr(&mut self, _: &Expr) {}
    fn leave_expr(&mut self, _: &Expr) {}
}

struct Dispatch<'w>(&'w mut dyn Watcher);

impl Visitor for Dispatch<'_> {
    type Break = ();
    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.enter_query(query);
        ControlFlow::Continue(())
    }
    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.leave_query(query);
        ControlFlow::Continue(())
    }
    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.0.enter_select(select);
        ControlFlow::Continue(())
    }
    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.0.enter_factor(factor);
        ControlFlow::Continue(())
    }
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0.enter_expr(expr);
        ControlFlow::Continue(())
    }
    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0.leave_expr(expr);
        ControlFlow::Continue(())
    }
}

pub(crate) fn query(query: &Query, watcher: &mut dyn Watcher) {
    let _ = query.visit(&mut Dispatch(watcher));
}
pub(crate) fn expr(expr: &Expr, watcher: &mut dyn Watcher) {
    let _ = expr.visit(&mut Dispatch(watcher));
}
pub(crate) fn item(item: &SelectItem, watcher: &mut dyn Watcher) {
    let _ = item.visit(&mut Dispatch(watcher));
}
pub(crate) fn factor(factor: &TableFactor, watcher: &mut dyn Watcher) {
    let _ = factor.visit(&mut Dispatch(watcher));
}
pub(crate) fn window(window: &NamedWindowDefinition, watcher: &mut dyn Watcher) {
    let _ = window.visit(&mut Dispatch(watcher));
}

/// Shows every expression in an expression, itself first.
pub(crate) fn each(root: &Expr, look: &mut dyn FnMut(&Expr)) {
    struct Each<'f>(&'f mut dyn FnMut(&Expr));
    impl Watcher for Each<'_> {
        fn enter_expr(&mut self, expr: &Expr) {
            (self.0)(expr);
        }
    }
    expr(root, &mut Each(look));
}
