//! Style beyond validity: what is right, and still will be regretted. One table of codes
//! ([`CODES`]), one rule for each; `docs/lint.md` is printed from the table.

mod rules;
mod words;

#[cfg(test)]
mod tests;

use trivium_model::{Diagnostic, config::Code};
use trivium_registry::Project as Definitions;

use crate::version_rule::position_in_config;

/// A description that says no more than the name.
pub const WEAK_DESCRIPTION: Code = Code {
    code: "weak-description",
    meaning: "The description says no more than the name, so nobody finds the feature, or trusts it.",
    remedy: "Say in a sentence what is counted or measured, of whom, and what is left out.",
};
/// A measure without its unit.
pub const NO_UNIT: Code = Code {
    code: "no-unit",
    meaning: "By its name the feature is a measure (a time, a distance, a sum of money, a share), and its description names no unit.",
    remedy: "Name the unit: minutes, miles, euros, 0 to 1.",
};
/// A join key that nobody explains.
pub const NO_KEY_DESCRIPTION: Code = Code {
    code: "no-key-description",
    meaning: "A join key has no description, so callers guess what to pass.",
    remedy: "Say what it identifies, with an example: \"Two-letter carrier code, such as AA\".",
};
/// Nothing to find it by.
pub const NO_TAGS: Code = Code {
    code: "no-tags",
    meaning: "The view has no tags, so it is found by its name only.",
    remedy: "Add a tag or two that others use already: `trivium ls`.",
};
/// A contact that cannot be written to.
pub const OWNER_CONTACT: Code = Code {
    code: "owner-contact",
    meaning: "The owner's contact is no address: whoever is woken by a break cannot reach anybody.",
    remedy: "Write a mail address, a link, or a channel that begins with `#`.",
};
/// A name of odd form.
pub const ODD_NAME: Code = Code {
    code: "odd-name",
    meaning: "A name has a doubled or a trailing underscore, which is read over and mistyped.",
    remedy: "Write words with one underscore between them.",
};
/// A name that says its view again.
pub const NAME_REPEATS_VIEW: Code = Code {
    code: "name-repeats-view",
    meaning: "The feature's name begins with the view's: `carrier_daily@1:carrier_daily_flights` says it twice.",
    remedy: "Leave the prefix out.",
};
/// A name that ends like a window.
pub const NAME_LIKE_WINDOW: Code = Code {
    code: "name-like-window",
    meaning: "The feature's name ends like a rollup's window (`_7d`), and it is none.",
    remedy: "Make it a rollup, or name it otherwise.",
};
/// All columns, whatever they will be.
pub const SELECT_STAR: Code = Code {
    code: "select-star",
    meaning: "`SELECT *`: what it gives changes with the table, without a change that anybody reviews.",
    remedy: "Name the columns.",
};
/// Columns that are selected for nothing.
pub const UNUSED_COLUMN: Code = Code {
    code: "unused-column",
    meaning: "A subquery selects a column that nothing reads.",
    remedy: "Leave it out: it is read from the source in every period.",
};
/// An aggregate that is known before its period has ended.
pub const EVENT_TIME: Code = Code {
    code: "event-time",
    meaning: "The query aggregates over the period, and its event time is not the period's end: training sets may see the rest of the period before it happened.",
    remedy: "Write `TIMESTAMP '{{ period_end }}' AS <event timestamp>`.",
};
/// Nothing holds against an empty period.
pub const NO_ROW_COUNT: Code = Code {
    code: "no-row-count",
    meaning: "No `row_count` check: a period without rows, as after a failed load of the source, is published.",
    remedy: "Add `{ \"check\": \"row_count\", \"min\": 1 }`, or more, if more is usual.",
};
/// Nothing holds against doubled rows.
pub const NO_UNIQUE: Code = Code {
    code: "no-unique",
    meaning: "No `unique` check on the join keys: a join that doubles rows is published, and which of them is served is chance.",
    remedy: "Add `{ \"check\": \"unique\", \"columns\": [<the join keys>] }`; where an entity has several rows a period, with the event timestamp.",
};
/// No check can stop a publication.
pub const ONLY_WARNINGS: Code = Code {
    code: "only-warnings",
    meaning: "The view is urgent (tier 0 or 1), and all of its checks only warn: bad rows are published at once.",
    remedy: "Give those that matter the severity `error`.",
};
/// One late run, and everything has expired.
pub const TIGHT_TTL: Code = Code {
    code: "tight-ttl",
    meaning: "The ttl is shorter than two periods: when a run is late, every value is EXPIRED until it is done.",
    remedy: "Make it two periods or more.",
};
/// Values are kept for longer than they count.
pub const CARRYOVER_OVER_TTL: Code = Code {
    code: "carryover-over-ttl",
    meaning: "Rows are carried over for longer than the ttl says that a value counts.",
    remedy: "Make `max_periods` smaller, or the ttl as long as the periods that rows are carried for.",
};
/// A window that reaches farther back than rows count.
pub const WINDOW_OVER_TTL: Code = Code {
    code: "window-over-ttl",
    meaning: "A rollup window is longer than the ttl, and the time that rows are carried over: an entity that is absent for so long expires while its window still has rows.",
    remedy: "Make the ttl, or the carryover, as long as the longest window.",
};
/// A person's rows that no erasure would find.
pub const NO_SUBJECT: Code = Code {
    code: "no-subject",
    meaning: "By its name a join key is a person, and the view has no `subject`: an erasure would not find its rows.",
    remedy: "Set `subject` to the key; or, if it is no person, allow this code.",
};

/// The table: all codes, in the order of `docs/lint.md`.
pub const CODES: &[Code] = &[
    EVENT_TIME,
    NO_SUBJECT,
    NO_ROW_COUNT,
    NO_UNIQUE,
    ONLY_WARNINGS,
    TIGHT_TTL,
    CARRYOVER_OVER_TTL,
    WINDOW_OVER_TTL,
    SELECT_STAR,
    UNUSED_COLUMN,
    WEAK_DESCRIPTION,
    NO_UNIT,
    NO_KEY_DESCRIPTION,
    NO_TAGS,
    OWNER_CONTACT,
    ODD_NAME,
    NAME_REPEATS_VIEW,
    NAME_LIKE_WINDOW,
];

/// Whether a rule has this code.
pub fn is_code(word: &str) -> bool {
    CODES.iter().any(|code| code.code == word)
}

/// All findings in a project, as warnings, by path and place; codes in `allow` are left out.
pub fn lint(definitions: &Definitions, allow: &[String]) -> Vec<Diagnostic> {
    let mut findings = Findings::default();
    for loaded in definitions.views.values() {
        rules::of_view(loaded, &mut findings);
    }
    for loaded in definitions.services.values() {
        rules::of_service(loaded, &mut findings);
    }
    let mut found = findings.0;
    found.retain(|finding| !allow.iter().any(|code| *code == finding.code));
    found.sort_by(|a, b| {
        (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
    });
    found
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Diagnostic>);

impl Findings {
    /// In a file, at a place.
    fn add(&mut self, path: &str, at: (u32, u32), code: &Code, message: String) {
        let Code { code, remedy, .. } = *code;
        let help = remedy.trim_end_matches('.');
        let mut help = help.to_owned();
        if let Some(first) = help.get(..1) {
            let lower = first.to_lowercase();
            help.replace_range(..1, &lower);
        }
        self.0.push(Diagnostic::error(path, at, code, message, help).into_warning());
    }

    /// In a JSON, at a field.
    fn at_field(&mut self, (path, text): (&str, &str), field: &str, code: &Code, message: String) {
        self.add(path, position_in_config(text, field), code, message);
    }
}
