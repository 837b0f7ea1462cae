//! Views that read views: what could never be run is told of, and the other DAGs are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use trivium_model::ViewRef;
use trivium_runtime::Kind;

use super::tree::Fixture;
use crate::{
    Change, Settings,
    command::generate,
    reads::{Reads, Wrong},
};

fn view(name: &str) -> ViewRef {
    name.parse().unwrap()
}

fn wrong(toml: &str, reads: &[(&str, &[&str])]) -> Vec<Wrong> {
    let settings = Settings::parse("trivium.toml", toml).unwrap();
    let known: BTreeMap<ViewRef, &[&str]> =
        reads.iter().map(|(name, tables)| (view(name), *tables)).collect();
    let mut all = Reads::new(&settings);
    for (name, tables) in &known {
        let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
        all.add(name, &tables);
    }
    all.wrong(|name| known.contains_key(name))
}

fn section(name: &str, view: &str) -> String {
    format!("[sources.{name}]\nview = \"{view}\"\n")
}

#[test]
fn circles_are_told_at_the_section_that_closes_them() {
    let toml = ["a", "b", "c", "d"].map(|name| section(name, &format!("shop/{name}@1"))).join("\n");
    let found = wrong(
        &toml,
        &[
            ("shop/a@1", &["B"]),
            ("shop/b@1", &["orders", "c"]),
            ("shop/c@1", &["a"]),
            // It reads of the circle, and is in none.
            ("shop/d@1", &["a"]),
        ],
    );
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        one.finding.to_string(),
        "trivium.toml:7:10: error[circular-views]: views read each other's rows: shop/a@1 reads \
         shop/b@1 (as `b`), which reads shop/c@1 (as `c`), which reads shop/a@1 (as `a`), let one \
         of them read something else: each would wait for ever"
    );
    let concerned: BTreeSet<ViewRef> = one.views.iter().cloned().collect();
    assert_eq!(concerned, ["shop/a@1", "shop/b@1", "shop/c@1"].map(view).into());
}

#[test]
fn each_circle_is_told_and_none_but_its_own_views() {
    // a and b read each other, as do d and e; c leads from one to the other, and f reads all of them.
    let toml = ["a", "b", "c", "d", "e"].map(|name| section(name, &format!("shop/{name}@1")));
    let found = wrong(
        &toml.concat(),
        &[
            ("shop/a@1", &["b"]),
            ("shop/b@1", &["a", "c"]),
            ("shop/c@1", &["d"]),
            ("shop/d@1", &["e"]),
            ("shop/e@1", &["d"]),
            ("shop/f@1", &["a", "b", "c", "d", "e"]),
        ],
    );
    let concerned: Vec<BTreeSet<ViewRef>> =
        found.iter().map(|one| one.views.iter().cloned().collect()).collect();
    assert_eq!(
        concerned,
        [["shop/a@1", "shop/b@1"], ["shop/d@1", "shop/e@1"]]
            .map(|circle| BTreeSet::from(circle.map(view)))
    );
}

#[test]
fn ten_thousand_views_below_a_circle_are_looked_through_once() {
    // A chain of readers, each of the one before, behind a view that reads itself: a look for a way back from
    // each, or for each source among all, would be a hundred million steps.
    const COUNT: usize = 10_000;
    let name = |number: usize| format!("shop/v{number}@1");
    let toml: String =
        (0..COUNT).map(|number| section(&format!("s{number}"), &name(number))).collect();
    let settings = Settings::parse("trivium.toml", &toml).unwrap();
    let mut reads = Reads::new(&settings);
    for number in 0..COUNT {
        let up = number.saturating_sub(1);
        reads.add(&view(&name(number)), &[format!("S{up}"), "orders".to_owned()]);
    }
    let found = reads.wrong(|_| true);
    let [one] = found.as_slice() else { panic!("{}", found.len()) };
    assert_eq!(one.views, [view("shop/v0@1")]);
    assert_eq!(reads.unknown(|_| false).len(), COUNT);
}

#[test]
fn a_view_may_read_one_twice_and_not_itself() {
    let toml = [section("a", "shop/a@1"), section("b", "shop/b@1")].concat();
    let fine: &[(&str, &[&str])] =
        &[("shop/a@1", &[]), ("shop/b@1", &["a"]), ("shop/c@1", &["a", "b"])];
    assert_eq!(wrong(&toml, fine), []);
    let found = wrong(&toml, &[("shop/a@1", &["orders", "a"]), ("shop/b@1", &["a"])]);
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(one.finding.message, "shop/a@1 reads its own rows, as `a`");
    assert_eq!((one.finding.line, one.views.as_slice()), (1, &[view("shop/a@1")][..]));
}

#[test]
fn a_source_that_no_view_is_is_told_whether_it_is_read_or_not() {
    let toml = [section("a", "shop/a@2"), section("b", "shop/b@1")].concat();
    let found = wrong(&toml, &[("shop/a@1", &["a"])]);
    let said: Vec<(u32, &str, usize)> = found
        .iter()
        .map(|one| (one.finding.line, &*one.finding.message, one.views.len()))
        .collect();
    assert_eq!(
        said,
        [
            (1, "sources.a names shop/a@2, which no config has", 1),
            (3, "sources.b names shop/b@1, which no config has", 0),
        ]
    );
}

#[test]
fn a_view_that_would_wait_for_ever_keeps_its_dag() {
    let fixture = Fixture::new();
    let _ = fixture.generate();
    let dag = "dags/flights/carrier_daily_v1.py";
    let before = fs::read_to_string(fixture.path(dag)).unwrap();
    fixture.edit("configs/flights/carrier_daily.v1.json", "Punctuality", "Lateness");
    fixture.edit("configs/flights/airport_weather.v1.json", "\"owner\"", " \"owner\"");
    let itself = section("flights", "flights/carrier_daily@1");
    fs::write(fixture.path("trivium.toml"), itself).unwrap();
    let outcome = generate(&fixture.args(true, false)).unwrap();
    let [finding] = outcome.findings.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((&*finding.code, finding.line), ("circular-views", 1));
    assert!(finding.path.ends_with("trivium.toml"), "{}", finding.path);
    assert_eq!(outcome.kind(true), Some(Kind::InvalidArgument));
    let concerned = Change::Update("flights/carrier_daily_v1.py".to_owned());
    assert!(!outcome.changes.contains(&concerned), "{outcome:?}");
    // Which reads no view, and is made as ever.
    let other = Change::Update("flights/airport_weather_v1.py".to_owned());
    assert!(outcome.changes.contains(&other), "{outcome:?}");
    assert!(
        !outcome
            .changes
            .iter()
            .any(|change| matches!(change, Change::Remove(path) if path.ends_with(".py")))
    );
    assert_eq!(fs::read_to_string(fixture.path(dag)).unwrap(), before);
    let known = section("flights", "flights/ground_stop@1");
    fs::write(fixture.path("trivium.toml"), known).unwrap();
    assert!(generate(&fixture.args(false, false)).unwrap().findings.is_empty());
    assert_ne!(fs::read_to_string(fixture.path(dag)).unwrap(), before);
}

#[test]
fn a_view_that_only_the_registry_may_have_is_waited_for() {
    let fixture = Fixture::new();
    fs::write(fixture.path("trivium.toml"), section("flights", "flights/none@1")).unwrap();
    let outcome = generate(&fixture.args(false, false)).unwrap();
    let [finding] = outcome.findings.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((&*finding.code, finding.line), ("unknown-source-view", 1));
    assert!(!finding.is_error() && finding.help.contains("the registry"), "{finding}");
    assert_eq!(outcome.kind(false), None);
    let dag = fs::read_to_string(fixture.path("dags/flights/carrier_daily_v1.py")).unwrap();
    assert!(dag.contains("\"trivium://flights/none/v1\","), "{dag}");
}

#[test]
fn a_view_whose_file_is_wrong_is_no_unknown_one() {
    let fixture = Fixture::new();
    fs::write(fixture.path("trivium.toml"), section("daily", "flights/carrier_daily@1")).unwrap();
    fixture.edit("configs/flights/carrier_daily.v1.json", "\"owner\"", "\"oner\"");
    let outcome = generate(&fixture.args(false, false)).unwrap();
    assert!(outcome.findings.iter().all(|one| one.code != "unknown-source-view"), "{outcome:?}");
    assert!(!outcome.findings.is_empty());
}
