//! `trivium stores`: what serving nodes keep rows in. `trivium-serving` does it, in this process's
//! place: DynamoDB's and Valkey's clients are some three minutes of a core in every clean build (128 s
//! and 46 s measured), for verbs that operators type on the machines where that binary is anyway.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use trivium_api::ApiError;
use trivium_runtime::Kind;

use crate::{
    args::{IndexVerb, MigrateVerb, StoresArgs, StoresVerb},
    failure::{self, Failure},
};

const BINARY: &str = "trivium-serving";

/// Hands over; returns only where that fails.
pub fn run(args: &StoresArgs) -> Result<(), Failure> {
    let rows = |pace: Option<_>| pace.map(|pace| ("--rows-per-second", pace));
    let (words, config, pace): (&[&str], _, Option<(&str, _)>) = match &args.verb {
        StoresVerb::Init(place) => (&["init"], &place.config, None),
        StoresVerb::Check(place) => (&["check"], &place.config, None),
        StoresVerb::Migrate { verb } => match verb {
            MigrateVerb::Start(args) => {
                (&["migrate", "start"], &args.place.config, rows(args.rows_per_second))
            }
            MigrateVerb::Back(args) => {
                (&["migrate", "back"], &args.place.config, rows(args.rows_per_second))
            }
            MigrateVerb::Status(place) => (&["migrate", "status"], &place.config, None),
            MigrateVerb::Verify(place) => (&["migrate", "verify"], &place.config, None),
            MigrateVerb::Finish(place) => (&["migrate", "finish"], &place.config, None),
            MigrateVerb::Index { verb } => match verb {
                IndexVerb::Copy(args) => {
                    let pace =
                        args.documents_per_second.map(|pace| ("--documents-per-second", pace));
                    (&["migrate", "index", "copy"], &args.place.config, pace)
                }
                IndexVerb::Verify(place) => (&["migrate", "index", "verify"], &place.config, None),
                IndexVerb::Status(place) => (&["migrate", "index", "status"], &place.config, None),
            },
        },
    };
    let verb = words.join(" ");
    let Some(binary) = find() else {
        return Err(ApiError::new(Kind::NotFound, format!("there is no `{BINARY}` here"))
            .at(format!("stores {verb}"))
            .help(format!(
                "install `{BINARY}` beside this command or on the PATH (`cargo build --release --bin {BINARY}`), \
                 or run `{BINARY} stores {verb} --config {}` where it is",
                config.display()
            ))
            .into());
    };
    let mut command = Command::new(&binary);
    command.arg("stores").args(words).arg("--config").arg(config);
    if let Some((option, pace)) = pace {
        command.arg(option).arg(pace.to_string());
    }
    let error = command.exec();
    Err(failure::file(&binary, &error))
}

/// Beside this command, or on the PATH.
fn find() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_path_buf));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(BINARY))
        .find(|binary| binary.is_file())
}
