//! `stores migrate`: moving the rows to another table, and embeddings to another index, step by step.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use trivium_api::ApiError;
use trivium_index_opensearch::OpenSearchIndex;
use trivium_runtime::{Kind, telemetry};
use trivium_store::embedding::{
    EmbeddingIndex as _, IndexCompared, IndexCopied, compare_index, copy_index_with,
};
use trivium_store_dynamodb::{Copied, Migrator, Pace, Verified};

use crate::{
    args::{self, IndexPace, IndexVerb, MigrateVerb},
    config::Config,
    index, say,
    store::{self, of_table},
};

/// How often a copying says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Does one step.
pub async fn run(config: &Config, verb: &MigrateVerb) -> Result<(), ApiError> {
    telemetry::init_logs("warn", config.log);
    if let MigrateVerb::Index { verb } = verb {
        return of_index(config, verb).await;
    }
    let Some(migrator) = store::table(config)?.migrator() else {
        return Err(ApiError::invalid("the config names no table to move to")
            .at("dynamodb.moving_to")
            .help("give its table and region, on all nodes first; docs/serving.md says how"));
    };
    match verb {
        MigrateVerb::Start(pace) => {
            tell(&migrator.start().await.map_err(failed)?.to_string());
            copy(&migrator, pace).await
        }
        MigrateVerb::Back(pace) => {
            tell(&migrator.back().await.map_err(failed)?.to_string());
            copy(&migrator, pace).await
        }
        MigrateVerb::Status => say(&migrator.stage().await.map_err(failed)?.to_string()),
        MigrateVerb::Verify => {
            let verified = migrator.verify().await.map_err(failed)?;
            say(&told(&verified))?;
            match verified.problem() {
                None => say("complete: `stores migrate finish` may follow"),
                Some(why) => Err(ApiError::new(trivium_runtime::Kind::FailedPrecondition, why)
                    .at("stores migrate verify")
                    .help("run `stores migrate start` (or `back`) to its end, then this again")),
            }
        }
        MigrateVerb::Finish => say(&migrator.finish().await.map_err(failed)?.to_string()),
        // Above: it needs no second table.
        MigrateVerb::Index { .. } => Ok(()),
    }
}

/// A step that another command has overtaken was answered well: nothing is wrong with the way there.
fn failed(error: trivium_store_dynamodb::Error) -> ApiError {
    use trivium_store_dynamodb::Error;
    match error {
        Error::Store { source: trivium_store::Error::Invalid(why), .. } => {
            ApiError::new(Kind::FailedPrecondition, why).at("dynamodb.table").help(
                "`stores migrate status` says which way its rows go; run what you mean again, once",
            )
        }
        error => of_table(&error),
    }
}

/// A step of the move of the embeddings.
async fn of_index(config: &Config, verb: &IndexVerb) -> Result<(), ApiError> {
    let indexes = index::open(config)?;
    let Some((from, to)) = indexes.as_ref().and_then(|indexes| indexes.pair()) else {
        return Err(ApiError::invalid("the config names no index to move to")
            .at("opensearch.moving_to")
            .help("give its endpoint or prefix, on all nodes first; docs/serving.md says how"));
    };
    let failed = |error: trivium_store::Error| {
        ApiError::new(Kind::Unavailable, error.to_string()).at("opensearch")
    };
    if from.is_same(to).await.map_err(failed)? {
        return Err(ApiError::new(Kind::FailedPrecondition, "these are the indexes themselves")
            .at("opensearch.moving_to")
            .help("give another prefix, or another cluster's endpoint"));
    }
    match verb {
        IndexVerb::Copy(pace) => {
            // What was found complete before need not be so any more: nodes may have known one alone since.
            for index in [from, to] {
                index.unset_complete().await.map_err(failed)?;
            }
            copy_documents(config, from, to, pace).await
        }
        IndexVerb::Verify => {
            let compared = compare_documents(config, from, to).await?;
            let IndexCompared { same, only_first, only_second, different } = compared;
            say(&format!(
                "{same} documents are in both\n\
                 {only_first} are not in the second\n\
                 {only_second} are in the second alone\n\
                 {different} are others there"
            ))?;
            match compared.problem() {
                None => {
                    to.set_complete(from).await.map_err(failed)?;
                    say("complete: `opensearch.moving_to.complete` may be set")
                }
                Some(why) => {
                    to.unset_complete().await.map_err(failed)?;
                    Err(ApiError::new(Kind::FailedPrecondition, why)
                        .at("stores migrate index verify")
                        .help("run `stores migrate index copy` to its end, then this again"))
                }
            }
        }
        IndexVerb::Status => say(match to.is_complete(from).await.map_err(failed)? {
            true => "complete: `opensearch.moving_to.complete` may be set",
            false => {
                "not complete, or not compared: `stores migrate index copy` and `verify` follow"
            }
        }),
    }
}

async fn copy_documents(
    config: &Config,
    from: &OpenSearchIndex,
    to: &OpenSearchIndex,
    pace: &IndexPace,
) -> Result<(), ApiError> {
    let mut total = IndexCopied::default();
    for spec in index::definitions(config).await?.indexes() {
        // Nobody may have put anything there.
        let made = from.ensure(spec, None).await;
        made.map_err(|error| index::of_feature(spec, &error))?;
        let began = Instant::now();
        let tell = async |copied: &IndexCopied| {
            tell(&format!("{spec}: {} documents looked at, {} copied", copied.seen, copied.copied));
            if let Some(per_second) = pace.documents_per_second {
                let due = Duration::from_secs_f64(copied.seen as f64 / f64::from(per_second.get()));
                tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            }
        };
        let copied = copy_index_with(from, to, spec, tell).await;
        let copied = copied.map_err(|error| index::of_feature(spec, &error))?;
        total.seen += copied.seen;
        total.copied += copied.copied;
    }
    say(&format!(
        "{} documents looked at, {} copied: `stores migrate index verify` follows",
        total.seen, total.copied
    ))
}

async fn compare_documents(
    config: &Config,
    from: &OpenSearchIndex,
    to: &OpenSearchIndex,
) -> Result<IndexCompared, ApiError> {
    let mut total = IndexCompared::default();
    for spec in index::definitions(config).await?.indexes() {
        let compared = compare_index(from, to, spec).await;
        total.add(&compared.map_err(|error| index::of_feature(spec, &error))?);
    }
    Ok(total)
}

async fn copy(migrator: &Migrator, pace: &args::Pace) -> Result<(), ApiError> {
    let mut told_at = Instant::now();
    let progress = |copied: Copied| {
        if told_at.elapsed() >= TELL_EVERY {
            told_at = Instant::now();
            tell(&format!("{} items looked at, {} moved", copied.seen, copied.moved));
        }
    };
    let pace = Pace { items_per_second: pace.rows_per_second };
    let copied = migrator.copy(pace, progress).await.map_err(|error| of_table(&error))?;
    if copied.waiting > 0 {
        return say(&format!(
            "{} items looked at, {} moved; {} are about to be erased: run it again when they are gone",
            copied.seen, copied.moved, copied.waiting
        ));
    }
    say(&format!(
        "{} items looked at, {} moved: all have; `stores migrate verify` and `finish` follow",
        copied.seen, copied.moved
    ))
}

/// To standard error: what it comes to stands on standard output.
fn tell(text: &str) {
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn told(verified: &Verified) -> String {
    let Verified { unmoved, arrived, unchanged, gone, items, leftovers, wrong, .. } = verified;
    format!(
        "{unmoved} items have not moved\n\
         {arrived} have arrived, {unchanged} of them unchanged by their checksums\n\
         {gone} have gone since they moved (expired, or never written)\n\
         {wrong} are not what was handed over\n\
         {items} items count where they moved to, {leftovers} leftovers do not"
    )
}

#[cfg(test)]
mod tests;
