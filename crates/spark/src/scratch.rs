//! The folder of a run in this process: what its jobs pass on to each other.
//!
//! It goes with the run. One that was killed leaves its folder behind; the next run finds its lock free and
//! takes it away.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::Error;

/// No namespace has such a name.
const FOLDER: &str = "_local";
const LOCK_FILE: &str = "_lock";

/// A run's folder, held as long as this lives.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _held: File,
}

impl Scratch {
    /// A new folder below a project's data folder.
    pub fn new(data_dir: &Path) -> Result<Self, Error> {
        let all = data_dir.join("runs").join(FOLDER);
        fs::create_dir_all(&all).map_err(Error::io("create", &all))?;
        // Held until the new folder has its own lock: nobody takes it for one that was left behind.
        let _looking = lock(&all)?;
        sweep(&all);
        let path = all.join(Uuid::now_v7().simple().to_string());
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        let held = lock(&path)?;
        Ok(Self { path, _held: held })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is swept by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Error::io("open", &path))?;
    file.lock().map_err(Error::io("lock", &path))?;
    Ok(file)
}

/// Takes away what nobody holds. What cannot be taken away harms nobody, and the next run tries again.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let folder = entry.path();
        if !folder.is_dir() {
            continue;
        }
        let is_held = File::open(folder.join(LOCK_FILE)).is_ok_and(|file| file.try_lock().is_err());
        if !is_held {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}
