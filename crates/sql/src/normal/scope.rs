//! What names mean inside one SELECT.

use std::rc::Rc;

use sqlparser::ast::{Expr, Ident, SelectItem};

use super::{hash, ident};
use crate::walk;

/// A table or subquery in FROM.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// How columns name it: an alias, or the parts of a table's name; lower case.
    pub(super) qualifier: Vec<String>,
    /// Its name in the normal form: `t<level>_<place in FROM>`.
    pub(super) canonical: String,
    /// Its columns, if the text says them all.
    pub(super) columns: Option<Vec<String>>,
}
pub(super) type Scope = Rc<Vec<Relation>>;

/// An alias of the projection.
#[derive(Debug, Clone)]
pub(super) struct AliasInfo {
    pub(super) name: String,
    /// What it stands for; a hash where that is long, so that aliases of aliases stay small.
    pub(super) meaning: Expr,
    hash: String,
    /// The column of that name that it is made of: shows that FROM has such a column.
    own_column: Option<Expr>,
}

const ALIAS: &str = "__alias_";
const COLUMN_OR_ALIAS: &str = "__column_or_alias_";

/// Texts longer than this are never written twice.
pub(super) const REPEATED_BYTES_MAX: usize = 200;

impl AliasInfo {
    pub(super) fn new(name: &str, expr: &Expr) -> Self {
        let text = expr.to_string();
        let hash = hash(&text);
        let meaning = if text.len() <= REPEATED_BYTES_MAX {
            expr.clone()
        } else {
            Expr::Identifier(ident(&format!("{ALIAS}{hash}")))
        };
        let mut own_column = None;
        walk::each(expr, &mut |inner| {
            let last = match inner {
                Expr::Identifier(only) => Some(only),
                Expr::CompoundIdentifier(parts) if parts.len() == 2 => parts.last(),
                _ => None,
            };
            if own_column.is_none() && last.is_some_and(|last| last.value == name) {
                own_column = Some(inner.clone());
            }
        });
        Self { name: name.to_owned(), meaning, hash, own_column }
    }
}

/// The aliases of a projection in normal form.
pub(super) fn output_aliases(projection: &[SelectItem]) -> Vec<AliasInfo> {
    projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => Some(AliasInfo::new(&alias.value, expr)),
            _ => None,
        })
        .collect()
}

pub(super) fn with(outer: &[Scope], relations: Vec<Relation>) -> Vec<Scope> {
    let mut scopes = outer.to_vec();
    scopes.push(Rc::new(relations));
    scopes
}

/// How aliases of the projection take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AliasRule {
    /// Not at all: WHERE, ON.
    Never,
    /// Where FROM has no such column: projection, GROUP BY, HAVING, QUALIFY.
    Fallback,
    /// Before FROM: ORDER BY.
    First,
}

/// The normal form of a column's name.
pub(super) fn resolve(
    parts: &[Ident],
    scopes: &[Scope],
    aliases: &[AliasInfo],
    rule: AliasRule,
) -> Expr {
    let lower: Vec<String> = parts.iter().map(|part| part.value.to_lowercase()).collect();
    for scope in scopes.iter().rev() {
        for length in (1..lower.len()).rev() {
            let qualifier = &lower[..length];
            if let Some(relation) = scope.iter().find(|r| r.qualifier.ends_with(qualifier)) {
                return compound(&relation.canonical, &lower[length..]);
            }
        }
    }
    let Some((first, fields)) = lower.split_first() else {
        return Expr::CompoundIdentifier(parts.to_vec());
    };
    let column = resolve_column(first, scopes, aliases, rule);
    if fields.is_empty() {
        return column;
    }
    // A field of a struct.
    let mut idents = match column {
        Expr::CompoundIdentifier(idents) => idents,
        Expr::Identifier(only) => vec![only],
        _ => vec![ident(first)],
    };
    idents.extend(fields.iter().map(|field| ident(field)));
    Expr::CompoundIdentifier(idents)
}

fn compound(relation: &str, rest: &[String]) -> Expr {
    let idents = std::iter::once(relation).chain(rest.iter().map(String::as_str));
    Expr::CompoundIdentifier(idents.map(ident).collect())
}

fn resolve_column(name: &str, scopes: &[Scope], aliases: &[AliasInfo], rule: AliasRule) -> Expr {
    // Already what a name was found to mean.
    if name.starts_with(ALIAS) || name.starts_with(COLUMN_OR_ALIAS) {
        return Expr::Identifier(ident(name));
    }
    let alias = aliases.iter().rev().find(|alias| alias.name == name);
    if rule == AliasRule::First
        && let Some(alias) = alias
    {
        return alias.meaning.clone();
    }
    let column = [name.to_owned()];
    let mut open_seen = false;
    let innermost = scopes.last();
    if let Some(scope) = innermost {
        let has = |relation: &&Relation| {
            relation.columns.as_ref().is_some_and(|columns| columns.contains(&column[0]))
        };
        let holders: Vec<&Relation> = scope.iter().filter(has).collect();
        match holders.as_slice() {
            [] => {}
            [only] => return compound(&only.canonical, &column),
            // Joined by USING, or ambiguous.
            _ => return Expr::Identifier(ident(name)),
        }
        let open: Vec<&Relation> = scope.iter().filter(|r| r.columns.is_none()).collect();
        open_seen = !open.is_empty();
        if rule == AliasRule::Never || alias.is_none() {
            return match open.as_slice() {
                [only] if scopes.len() == 1 => compound(&only.canonical, &column),
                _ => Expr::Identifier(ident(name)),
            };
        }
    }
    match alias {
        Some(alias) if rule == AliasRule::Fallback => match (&alias.own_column, open_seen) {
            (Some(own), true) => own.clone(),
            (_, false) => alias.meaning.clone(),
            // FROM may have such a column or not: only the tables would tell.
            (None, true) => {
                Expr::Identifier(ident(&format!("{COLUMN_OR_ALIAS}{name}_{}", alias.hash)))
            }
        },
        _ => Expr::Identifier(ident(name)),
    }
}
