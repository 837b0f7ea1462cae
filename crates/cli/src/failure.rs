//! Errors of every part, as one shape: what, where, what to do.

use std::{io, path::Path};

use trivium_api::ApiError;
use trivium_model::Diagnostic;
use trivium_runtime::Kind;

/// ELOOP, which the standard library has no stable name for.
const LINKS_LOOP: i32 = 40;

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
    let (kind, help) = kind_of(error).unwrap_or((Kind::Internal, ""));
    ApiError::new(kind, wording(error)).at(what).help(help).into()
}

/// What a system error means for the caller, and what to do; none where it may mean anything.
fn kind_of(error: &io::Error) -> Option<(Kind, &'static str)> {
    use io::ErrorKind as Is;
    Some(match error.kind() {
        Is::NotFound => (Kind::NotFound, "check the path"),
        Is::PermissionDenied => {
            (Kind::PermissionDenied, "ask for the right to it, or name another")
        }
        Is::AlreadyExists | Is::DirectoryNotEmpty => (Kind::FailedPrecondition, "name another"),
        Is::AddrInUse | Is::AddrNotAvailable => (Kind::Unavailable, ""),
        Is::InvalidData => (Kind::InvalidArgument, "save it as UTF-8 text"),
        // What the path says can never work.
        Is::NotADirectory => (Kind::InvalidArgument, "a file stands where a folder is meant"),
        Is::IsADirectory => (Kind::InvalidArgument, "name a file: this is a folder"),
        Is::InvalidFilename => (Kind::InvalidArgument, "take a shorter name"),
        Is::InvalidInput => (Kind::InvalidArgument, "take another name"),
        Is::ReadOnlyFilesystem => (Kind::PermissionDenied, "name a place that can be written"),
        Is::StorageFull | Is::QuotaExceeded | Is::FileTooLarge => {
            (Kind::ResourceExhausted, "make room on the disk")
        }
        _ if error.raw_os_error() == Some(LINKS_LOOP) => {
            (Kind::InvalidArgument, "mend the link: it leads to itself")
        }
        _ => return None,
    })
}

/// What the operating system says.
pub fn wording(error: &io::Error) -> String {
    without_number(&error.to_string()).to_lowercase()
}

/// Without the "(os error 2)" at the end, which helps nobody.
fn without_number(text: &str) -> &str {
    text.split(" (os error").next().unwrap_or(text)
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
                .help("is `trivium dev` running? Ask it with --server and the address that it printed, or stop it")
                .into();
        }
        Error::Layout { .. } => {
            (Kind::FailedPrecondition, "use the Trivium that wrote it, or a newer one")
        }
        Error::Option { .. } => (Kind::InvalidArgument, ""),
        Error::Directory { source, .. } => {
            let kind = kind_of(source).map_or(Kind::Unavailable, |(kind, _)| kind);
            (kind, "check that it is a folder, writable, and that its disk has room")
        }
        Error::Engine { .. } => (
            Kind::DataLoss,
            "remove the folder and run `trivium materialize` (what was put directly is lost), or restore a copy",
        ),
    };
    ApiError::new(kind, chain(error)).at(path.display().to_string()).help(help).into()
}

/// Why the index of embeddings cannot be opened.
pub fn index(error: &trivium_index_embedded::Error, path: &Path) -> Failure {
    use trivium_index_embedded::Error;
    let (kind, help) = match error {
        Error::Locked { .. } => {
            return ApiError::new(Kind::Unavailable, "another process has the embeddings open")
                .at(path.display().to_string())
                .help("is `trivium dev` running? Ask it with --server and the address that it printed, or stop it")
                .into();
        }
        Error::Layout { .. } => {
            (Kind::FailedPrecondition, "use the Trivium that wrote it, or a newer one")
        }
        Error::Directory { source, .. } => {
            let kind = kind_of(source).map_or(Kind::Unavailable, |(kind, _)| kind);
            (kind, "check that it is a folder, writable, and that its disk has room")
        }
        Error::Corrupt { .. } | Error::Engine { .. } => (
            Kind::DataLoss,
            "restore a copy; or remove the folder and write the rows with embeddings again",
        ),
    };
    ApiError::new(kind, chain(error)).at(path.display().to_string()).help(help).into()
}

/// What the lake, a run or a materialization says.
pub fn offline(error: &trivium_offline::Error) -> Failure {
    use trivium_offline::Error;
    let (kind, help) = match (error, error.help()) {
        (_, Some(help)) => (error.kind(), help),
        (Error::Corrupt { .. }, None) => {
            let help = "restore the file from a copy; or move the partition's folder away and run its period \
                        again (docs/catalog.md, a lake that was made anew)";
            (error.kind(), help)
        }
        (Error::Io { source, .. }, None) => {
            kind_of(source).unwrap_or((error.kind(), "is the folder writable, the disk full?"))
        }
        (_, None) => (error.kind(), ""),
    };
    ApiError::new(kind, chain(error)).at(error.place().unwrap_or_default()).help(help).into()
}

/// What the DAG generator says.
pub fn daggen(error: &trivium_daggen::Error) -> Failure {
    match error {
        trivium_daggen::Error::Settings { place, message, help } => {
            ApiError::new(error.kind(), message).at(place).help(*help).into()
        }
        _ => ApiError::new(error.kind(), error.to_string()).into(),
    }
}

/// What the generator of jobs, or Flink, says.
pub fn streamgen(error: trivium_streamgen::Error) -> Failure {
    use trivium_streamgen::Error;
    let kind = error.kind();
    match error {
        Error::Invalid { place, message, help } => {
            ApiError::new(kind, message).at(place).help(help).into()
        }
        Error::Missing { message, help } => ApiError::new(kind, message).help(help).into(),
        Error::Findings(findings) => {
            Failure::findings(findings, "correct the files; nothing was changed")
        }
        error => ApiError::new(kind, error.to_string()).into(),
    }
}

/// What a run on Spark says.
pub fn spark(error: &trivium_spark::Error) -> Failure {
    use trivium_spark::Error;
    let (kind, help) = match error {
        Error::Offline(error) => return offline(error),
        Error::Io { source, .. } => kind_of(source).unwrap_or((error.kind(), error.help())),
        _ => (error.kind(), error.help()),
    };
    ApiError::new(kind, chain(error)).help(help).into()
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
        Error::Malformed { .. } => (Kind::InvalidArgument, trivium_offline::MALFORMED_HELP),
        Error::Resources(_) => (Kind::ResourceExhausted, "ask for less at once"),
        Error::Internal(_) => (Kind::Internal, ""),
    };
    ApiError::new(kind, chain(error)).at(error.file().unwrap_or_default()).help(help).into()
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
        Error::ApiKey => ApiError::new(kind, error.to_string()).at("--api-key").into(),
        Error::Address { .. } | Error::Unknown(_) => ApiError::new(kind, error.to_string()).into(),
    }
}

/// An error and what caused it, on one line. A source that its error's text already holds is left out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        let cause_text = without_number(&cause_text);
        if !text.contains(cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
