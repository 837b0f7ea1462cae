//! Into the embedded store, beside Feast into SQLite.

use std::fs;

use anyhow::{Context as _, Result};
use trivium_store::{OnlineRead as _, ReadOptions};
use trivium_store_embedded::{EmbeddedStore, Options};

use crate::{
    Args,
    feast::{self, Feast},
    project::{Project, Took, View},
    rows::Expected,
};

/// The view that is loaded.
pub const VIEW: &str = "large";
/// Keys of one read, when the store is checked.
const ROWS_A_READ: usize = 1_000;

/// What was measured.
pub struct Compared {
    pub ours: Vec<Took>,
    pub feast: Option<feast::Ended>,
}

/// Ours, Feast, ours again: what the machine did meanwhile shows in ours.
pub async fn compare(project: &Project, args: &Args) -> Result<Compared> {
    let view = View { name: VIEW, rows: args.rows };
    let expected = Expected::of(VIEW)?;
    let mut ours = turns(project, &view, &expected, args.rounds).await?;
    let feast = match &args.feast {
        None => None,
        Some(python) => {
            let feast = Feast::define(python, project, &view)?;
            let ended = feast.materialize(args.feast_seconds_max)?;
            ours.extend(turns(project, &view, &expected, args.rounds).await?);
            Some(ended)
        }
    };
    Ok(Compared { ours, feast })
}

async fn turns(
    project: &Project,
    view: &View,
    expected: &Expected,
    rounds: usize,
) -> Result<Vec<Took>> {
    let mut turns = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        if project.online().exists() {
            fs::remove_dir_all(project.online())?;
        }
        let took = project.materialize(view, None)?;
        check(project, view, expected).await?;
        eprintln!("trivium materialize: {} rows in {:.2} s", view.rows, took.wall.as_secs_f64());
        turns.push(took);
    }
    Ok(turns)
}

/// Reads every row and compares every value.
async fn check(project: &Project, view: &View, expected: &Expected) -> Result<()> {
    let store = EmbeddedStore::open(Options::new(project.online()))?;
    let rows: Vec<usize> = (0..view.rows).collect();
    for rows in rows.chunks(ROWS_A_READ) {
        let keys = rows.iter().map(|&row| expected.key(row)).collect::<Result<Vec<_>>>()?;
        let found = store.get(&keys, &ReadOptions::default()).await;
        for (&row, found) in rows.iter().zip(found) {
            let found = found?.with_context(|| format!("row {row} is not in the store"))?;
            expected.check(row, &found)?;
        }
    }
    Ok(())
}
