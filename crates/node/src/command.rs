//! What a program says, and its exit code.

use std::{future::Future, io::Write as _, process::ExitCode};

use trivium_api::ApiError;
use trivium_runtime::Kind;

/// Runs to the end, and turns a failure into an exit code.
pub fn run(work: impl Future<Output = Result<(), ApiError>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(&ApiError::internal(format!("no runtime: {error}"))),
    };
    let outcome = runtime.block_on(Box::pin(work));
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refused(&error),
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) is no failure.
pub fn say(text: &str) -> Result<(), ApiError> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(ApiError::new(Kind::Unavailable, format!("the answer cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn refused(error: &ApiError) -> ExitCode {
    // Nothing better can be done where standard error is closed.
    let _ = writeln!(std::io::stderr(), "error[{}]: {error}", error.kind.code());
    ExitCode::from(error.kind.exit())
}
