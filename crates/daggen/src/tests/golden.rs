//! The DAGs of the example project are checked in: `dags/` is what its configs and settings give.

use crate::{Plan, Settings, source::Source, watch::Watcher};

use super::repository;

#[test]
fn the_examples_dags_are_up_to_date() {
    let settings = Settings::read(&repository().join("trivium.toml")).unwrap();
    let source = Source::Folder(repository().join("configs"));
    let look = Watcher::new(source, settings).unwrap().look().unwrap();
    assert!(look.wrong.is_empty(), "{:?}", look.wrong);
    let plan: Plan = look.plan;
    let dags = repository().join("dags");
    let changes = plan.changes(&dags).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        plan.apply(&dags, &changes, true).unwrap();
        return;
    }
    assert!(changes.is_empty(), "run `make codegen`: {changes:#?}");
}
