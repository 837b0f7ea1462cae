//! One file a verb.

mod alert;
mod apply;
mod backfill;
mod completions;
mod dags;
mod delete;
mod dev;
mod dlq;
mod erase;
mod get;
mod history;
pub mod init;
mod lint;
mod ls;
mod materialize;
mod order;
mod plan;
mod put;
mod record;
mod run;
mod run_spark;
pub mod search;
mod show;
mod step;
mod stores;
mod streams;
mod table;
mod tag;
mod test;
mod validate;
mod whole;

use crate::{
    args::{Cli, Verb},
    failure::Failure,
};

/// Runs the verb.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, verb } = cli;
    match verb {
        Verb::Init(args) => init::run(&global, &args),
        Verb::Validate(args) => validate::run(&global, &args).await,
        Verb::Plan(args) => plan::run(&global, &args).await,
        Verb::Apply(args) => apply::run(&global, &args).await,
        Verb::Run(args) => run::run(&global, &args).await,
        Verb::Materialize(args) => materialize::run(&global, &args).await,
        Verb::Get(args) => get::run(&global, &args).await,
        Verb::Put(args) => put::run(&global, &args).await,
        Verb::Delete(args) => delete::run(&global, &args).await,
        Verb::Search(args) => search::run(&global, &args).await,
        Verb::Ls(args) => ls::run(&global, &args).await,
        Verb::Show(args) => show::run(&global, &args).await,
        Verb::History(args) => history::run(&global, &args).await,
        Verb::Erase(args) => erase::run(&global, &args).await,
        Verb::Record(args) => record::run(&global, &args).await,
        Verb::Tag(args) => tag::run(&global, &args).await,
        Verb::Stores(args) => stores::run(&args),
        Verb::Dev(args) => dev::run(&global, &args).await,
        Verb::Lint(args) => lint::run(&global, &args),
        Verb::Backfill(args) => backfill::run(&global, &args).await,
        Verb::Test(args) => test::run(&global, &args).await,
        Verb::Dags(args) => dags::run(&global, &args).await,
        Verb::Dlq(args) => dlq::run(&global, &args).await,
        Verb::Streams(args) => streams::run(&global, &args).await,
        Verb::Step(args) => step::run(&global, &args).await,
        Verb::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
    }
}
