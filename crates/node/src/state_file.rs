//! The last definitions on disk, so that a node starts while the registry is away.
//!
//! Written beside and renamed into place: a crash leaves the old file or the new one, whole.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use trivium_api::ApiError;
use trivium_registry::{Revision, Snapshot};
use trivium_runtime::Kind;

/// Where the last definitions are kept.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// What stands there, as far as this process knows.
    revision: Option<Revision>,
}

impl StateFile {
    /// The file; nothing is read or written yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), revision: None }
    }

    /// What was kept, and when. `None`: there is no such file yet.
    pub fn load(&mut self) -> Result<Option<(Snapshot, SystemTime)>, ApiError> {
        let failed = |error: std::io::Error| {
            ApiError::new(
                Kind::FailedPrecondition,
                format!("the state file cannot be read: {error}"),
            )
            .at(self.path.display().to_string())
        };
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let written =
            fs::metadata(&self.path).and_then(|about| about.modified()).map_err(failed)?;
        let snapshot = Snapshot::from_text(&text).map_err(|error| {
            ApiError::new(Kind::DataLoss, error.to_string())
                .at(self.path.display().to_string())
                .help("remove the file: it is written anew from the registry")
        })?;
        self.revision = Some(snapshot.revision);
        Ok(Some((snapshot, written)))
    }

    /// Keeps these definitions, unless they are kept already.
    pub fn keep(&mut self, snapshot: &Snapshot) -> Result<(), ApiError> {
        if self.revision == Some(snapshot.revision) {
            return Ok(());
        }
        let text =
            snapshot.to_text().map_err(|error| ApiError::new(Kind::Internal, error.to_string()))?;
        self.replace(text.as_bytes()).map_err(|error| {
            ApiError::new(Kind::Unavailable, format!("the state file cannot be written: {error}"))
                .at(self.path.display().to_string())
                .help("make its folder writable; the node serves on without")
        })?;
        self.revision = Some(snapshot.revision);
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        // Of this process: two nodes that share a file do not write into each other's.
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(name);
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use trivium_registry::{Revision, Snapshot};

    use super::StateFile;

    #[test]
    fn what_is_kept_is_read_back_and_a_broken_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/state.json");
        let mut file = StateFile::new(&path);
        assert!(file.load().unwrap().is_none());
        file.keep(&Snapshot { revision: Revision(3), ..Snapshot::default() }).unwrap();
        let (snapshot, _) = StateFile::new(&path).load().unwrap().unwrap();
        assert_eq!(snapshot.revision, Revision(3));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing beside");
        std::fs::write(&path, "{").unwrap();
        let error = StateFile::new(&path).load().unwrap_err();
        assert!(error.field.ends_with("state.json") && !error.help.is_empty(), "{error}");
    }
}
