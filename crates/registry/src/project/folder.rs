//! A configs folder on a disk.

use std::{
    fs::{Metadata, ReadDir},
    io,
    path::Path,
};

use trivium_model::{Diagnostic, LineIndex, config::Code};

use super::{FILE_TOO_LARGE, File, NOT_A_FILE, NOT_UTF8, UNREADABLE, file_bytes_max};

/// The configs folder holds namespaces, and these hold files: much deeper is a mistake, or a loop
/// of links.
const DEPTH_MAX: u32 = 4;

/// What lies in a configs folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderFiles {
    /// Its files in the order of their paths, which are relative to it.
    pub files: Vec<File>,
    /// What could not be read as text.
    pub findings: Vec<Diagnostic>,
}

/// Reads a configs folder. Only that the folder itself cannot be listed is an error: what is wrong inside is
/// told as findings, beside all that can be read.
pub fn read_folder(root: &Path) -> io::Result<FolderFiles> {
    let mut found = FolderFiles::default();
    found.walk(std::fs::read_dir(root)?, "", 0);
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A file's bytes as a text, or the finding that they are none.
pub fn file_of(path: String, content: Vec<u8>) -> Result<File, Diagnostic> {
    String::from_utf8(content).map(|text| File { path: path.clone(), text }).map_err(|error| {
        let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()])
            .into_owned();
        let position = LineIndex::new(&before).position(before.len());
        let message = "the file is not UTF-8 text";
        Diagnostic::error(path, position, NOT_UTF8.code, message, "save it as UTF-8")
    })
}

impl FolderFiles {
    /// One entry that cannot be read is one finding, and the others are read.
    fn walk(&mut self, entries: ReadDir, relative: &str, depth: u32) {
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(relative.trim_end_matches('/').to_owned(), &error);
                    continue;
                }
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let path = format!("{relative}{}", name.to_string_lossy());
                self.refuse(path, &NOT_UTF8, "the file's name is not UTF-8", "rename it");
                continue;
            };
            // Editors and systems leave such files, and links that lead nowhere.
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            let path = entry.path();
            let within = format!("{relative}{name}");
            match std::fs::metadata(&path) {
                Ok(about) if about.is_dir() => {
                    if depth < DEPTH_MAX {
                        match std::fs::read_dir(&path) {
                            Ok(entries) => self.walk(entries, &format!("{within}/"), depth + 1),
                            Err(error) => self.unreadable(within, &error),
                        }
                    }
                }
                Ok(about) => self.read_file(&path, within, &about),
                Err(error) => {
                    let is_link = path.symlink_metadata().is_ok_and(|link| link.is_symlink());
                    if is_link && error.kind() == io::ErrorKind::NotFound {
                        let message = "the link leads nowhere";
                        let help = "mend the link, or take it away";
                        self.refuse(within, &UNREADABLE, message, help);
                    } else {
                        self.unreadable(within, &error);
                    }
                }
            }
        }
    }

    fn read_file(&mut self, path: &Path, relative: String, about: &Metadata) {
        if !about.is_file() {
            let message = "this is no regular file";
            self.refuse(relative, &NOT_A_FILE, message, "take it away");
            return;
        }
        let most = file_bytes_max(&relative);
        if about.len() > most as u64 {
            let message = format!("{} bytes are more than the {most} of one file", about.len());
            self.refuse(relative, &FILE_TOO_LARGE, &message, "split the view");
            return;
        }
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) => return self.unreadable(relative, &error),
        };
        match file_of(relative, content) {
            Ok(file) => self.files.push(file),
            Err(finding) => self.findings.push(finding),
        }
    }

    fn unreadable(&mut self, path: String, error: &io::Error) {
        // Without "(os error 2)" at the end, which helps nobody.
        let message = error.to_string();
        let message = message.split(" (os error").next().unwrap_or(&message).to_lowercase();
        let help = "make it readable, or take it away";
        self.refuse(path, &UNREADABLE, &message, help);
    }

    fn refuse(&mut self, path: String, code: &Code, message: &str, help: &str) {
        self.findings.push(Diagnostic::error(path, (1, 1), code.code, message, help));
    }
}
