//! Errors of every part, as one shape: what, where, what to do.

use std::{io, path::Path};

use trivium_api::ApiError;
use trivium_model::Diagnostic;
use trivium_runtime::Kind;

/// Why a verb failed: an error as servers give it, and findings in files, if that is what it was.
#[derive(Debug)]
pub struct Failure {
    /// What, where, what to do; its kind is the exit code.
    pub error: ApiError,
    /// Each printed on its own line before the error.
    pub findings: Vec<Diagnostic>,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { error, findings: Vec::new() }
    }
}

impl Failure {
    /// Findings that refuse the files.
    pub fn findings(findings: Vec<Diagnostic>, help: &str) -> Self {
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        let mut files: Vec<&str> =
            findings.iter().filter(|f| f.is_error()).map(|f| f.path.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let message = format!(
            "{errors} error{} in {} file{}",
            plural(errors),
            files.len(),
            plural(files.len())
        );
        Self { error: ApiError::invalid(message).help(help), findings }
    }
}

/// A file or folder that the system would not let us use.
pub fn io(what: &str, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Kind::FailedPrecondition,
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => Kind::Unavailable,
        io::ErrorKind::InvalidData => Kind::InvalidArgument,
        _ => Kind::Internal,
    };
    // The operating system's wording ends in "(os error 2)", which helps nobody.
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
    ApiError::new(kind, text).at(what).into()
}

/// See [`io`].
pub fn file(path: &Path, error: &io::Error) -> Failure {
    io(&path.display().to_string(), error)
}

/// What the registry's adapter says.
pub fn registry(error: &trivium_registry::Error, path: &Path) -> Failure {
    use trivium_registry::Error;
    let (kind, help) = match error {
        Error::Conflict { .. } => {
            (Kind::Conflict, "run `trivium plan` again, then apply what it shows")
        }
        Error::NotFound(_) => (Kind::NotFound, "`trivium ls` lists what is there"),
        Error::Invalid(_) => (Kind::InvalidArgument, ""),
        Error::Unavailable(_) => {
            (Kind::Unavailable, "try again; is the folder writable, the disk full?")
        }
        Error::Corrupt(_) => (Kind::DataLoss, "restore registry.db from a copy"),
        #[allow(unreachable_patterns, reason = "the port may learn more kinds")]
        _ => (Kind::Internal, ""),
    };
    ApiError::new(kind, chain(error)).at(path.display().to_string()).help(help).into()
}

/// Why the online store cannot be opened.
pub fn store(error: &trivium_store_embedded::Error, path: &Path) -> Failure {
    use trivium_store_embedded::Error;
    let (kind, help) = match error {
        Error::Locked { .. } => {
            return ApiError::new(Kind::Unavailable, "another process has the online store open")
                .at(path.display().to_string())
                .help("is `trivium dev` running? Ask it with --server http://127.0.0.1:7400, or stop it")
                .into();
        }
        Error::Layout { .. } => {
            (Kind::FailedPrecondition, "use the Trivium that wrote it, or a newer one")
        }
        Error::Option { .. } => (Kind::InvalidArgument, ""),
        Error::Directory { .. } => (
            Kind::Unavailable,
            "check that the folder is writable and its disk has room, then start again",
        ),
        Error::Engine { .. } => (
            Kind::DataLoss,
            "remove the folder and run `trivium materialize` (what was put directly is lost), or restore a copy",
        ),
    };
    ApiError::new(kind, chain(error)).at(path.display().to_string()).help(help).into()
}

/// What the lake, a run or a materialization says.
pub fn offline(error: &trivium_offline::Error) -> Failure {
    let help = match (error.help(), error) {
        (Some(help), _) => help,
        (None, trivium_offline::Error::Corrupt { .. }) => {
            "run the view's periods again, or restore the file"
        }
        (None, trivium_offline::Error::Io { .. }) => "is the folder writable, the disk full?",
        (None, _) => "",
    };
    let field = match error {
        trivium_offline::Error::Invalid { field: Some(field), .. } => field.as_str(),
        _ => "",
    };
    ApiError::new(error.kind(), chain(error)).at(field).help(help).into()
}

/// What the engine says outside of a run.
pub fn engine(error: &trivium_engine::Error) -> Failure {
    use trivium_engine::Error;
    let (kind, help) = match error {
        Error::Invalid { .. } => (Kind::InvalidArgument, ""),
        Error::Unsupported { .. } => (Kind::Unimplemented, ""),
        Error::Data(_) => (Kind::FailedPrecondition, "mend the data, or the SQL"),
        Error::Source { .. } => {
            (Kind::FailedPrecondition, "correct the source in trivium.toml, or the file")
        }
        Error::Resources(_) => (Kind::ResourceExhausted, "ask for less at once"),
        Error::Internal(_) => (Kind::Internal, ""),
    };
    ApiError::new(kind, chain(error)).help(help).into()
}

/// What a call over gRPC says.
pub fn client(error: &trivium_client::Error) -> Failure {
    use trivium_client::Error;
    let kind = error.kind();
    match error {
        Error::Refused { message, field, help, .. } => {
            ApiError::new(kind, message).at(field).help(help).into()
        }
        Error::Connect { address, .. } => ApiError::new(kind, "the server cannot be reached")
            .at(address)
            .help("is it running? `trivium dev` starts one")
            .into(),
        Error::Address { .. } | Error::Unknown(_) => ApiError::new(kind, error.to_string()).into(),
    }
}

/// An error and what caused it, on one line. A source that its error's text already holds is left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
