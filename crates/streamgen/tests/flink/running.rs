//! A job's process, and what is asked of it over Flink's REST, as its operator asks.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{PATIENCE, flink};

/// What Flink says of its REST before the address.
const TOLD: &str = "Rest endpoint listening at ";
/// Flink says it where it says little else.
const LOGGED: &str = "logger.rest.name = org.apache.flink.runtime.dispatcher.DispatcherRestEndpoint\nlogger.rest.level = INFO\n";

/// It ends with the test, however that ends.
pub struct Job {
    process: Child,
    folder: PathBuf,
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until it is so; the log is shown if it never is.
pub fn until(folder: &Path, what: &str, so: &mut dyn FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "{what} never came to be\n{log}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Job {
    /// Starts a script, from a checkpoint or savepoint if one is named.
    pub fn start(folder: &Path, script: &str, restore: Option<&Path>) -> Self {
        // The job itself is what is checked in; this is how it runs in one process.
        let mut text = format!(
            "SET 'table.dml-sync' = 'true';\nSET 'execution.checkpointing.dir' = 'file://{}';\n",
            folder.join("checkpoints").display()
        );
        if let Some(path) = restore {
            text.push_str(&format!(
                "SET 'execution.state-recovery.path' = 'file://{}';\n",
                path.display()
            ));
        }
        text.push_str(script);
        let path = folder.join("job.sql");
        fs::write(&path, text).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = flink().command(&path, folder).unwrap();
        let logging = folder.join("conf").join("log4j2.properties");
        let properties = fs::read_to_string(&logging).unwrap();
        fs::write(&logging, properties + LOGGED).unwrap();
        let process =
            command.stdout(log.try_clone().unwrap()).stderr(Stdio::from(log)).spawn().unwrap();
        Self { process, folder: folder.to_path_buf() }
    }

    /// Stops it as the operator stops a job that is to be another one: it takes a savepoint, commits what it has written,
    /// gives no window that is not over, and ends. The savepoint.
    pub fn stop_with_savepoint(mut self) -> PathBuf {
        let stops = (0..).map(|number| self.folder.join(format!("savepoints-{number}")));
        let target = stops.into_iter().find(|folder| !folder.exists()).unwrap();
        fs::create_dir(&target).unwrap();
        let jobs = self.ask("GET", "/jobs", "").unwrap();
        let id = jobs["jobs"][0]["id"].as_str().unwrap_or_else(|| panic!("{jobs}")).to_owned();
        let how =
            json!({ "targetDirectory": format!("file://{}", target.display()), "drain": false });
        let asked = self.ask("POST", &format!("/jobs/{id}/stop"), &how.to_string()).unwrap();
        let request = asked["request-id"].as_str().unwrap_or_else(|| panic!("{asked}"));
        let request = format!("/jobs/{id}/savepoints/{request}");
        let folder = self.folder.clone();
        let mut ended = None;
        until(&folder, "the end of the job", &mut || {
            ended = self.process.try_wait().unwrap();
            // The answer ends with the job; that there is no savepoint is told by one that goes on.
            let told = if ended.is_none() { self.ask("GET", &request, "") } else { None };
            let why = told.map(|told| told["operation"]["failure-cause"].to_string());
            assert!(why.as_deref().is_none_or(|why| why == "null"), "{why:?}");
            ended.is_some()
        });
        let log = fs::read_to_string(folder.join("log")).unwrap();
        assert!(ended.unwrap().success(), "{log}");
        let mut savepoints: Vec<PathBuf> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("_metadata").is_file())
            .collect();
        assert_eq!(savepoints.len(), 1, "{log}");
        savepoints.remove(0)
    }

    /// An answer of Flink's REST; none while it is ending.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<Json> {
        let mut address = None;
        until(&self.folder, "Flink's REST", &mut || {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            address = log.split_once(TOLD).and_then(|(_, rest)| {
                let (address, _) = rest.split_once('\n')?;
                Some(address.trim().to_owned())
            });
            address.is_some()
        });
        let mut stream = TcpStream::connect(address?).ok()?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }
}

/// The newest checkpoint that is whole.
pub fn newest_checkpoint(folder: &Path) -> Option<PathBuf> {
    let jobs = fs::read_dir(folder.join("checkpoints")).ok()?;
    let checkpoints = jobs.flatten().flat_map(|job| fs::read_dir(job.path()).into_iter().flatten());
    checkpoints
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("_metadata").is_file())
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
}
