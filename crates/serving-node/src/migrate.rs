//! `stores migrate`: moving the rows to another table, step by step.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use trivium_api::ApiError;
use trivium_runtime::telemetry;
use trivium_store_dynamodb::{Copied, Migrator, Pace, Verified};

use crate::{
    args::{self, MigrateVerb},
    config::Config,
    say,
    store::{self, of_table},
};

/// How often a copying says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Does one step.
pub async fn run(config: &Config, verb: &MigrateVerb) -> Result<(), ApiError> {
    telemetry::init_logs("warn", config.log);
    let failed = |error| of_table(&error);
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
    }
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
