//! A view's query on a Flink in one process, over recorded events.
//!
//! The script is the job's but for where messages come from and payloads go: files, of which Flink reads an end, so that
//! every window closes. What Flink writes is then read by the worker's own reader, and shown as it would be stored
//! or dead-lettered.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Map, Value as Json};
use trivium_model::{Diagnostic, FeatureView};
use trivium_payload::{AvroSchemas, Decoder, Message};
use trivium_registry::project::ProjectView;

use crate::{
    Error,
    job::{Generator, LocalScript},
};

/// The folder of a Flink: its own distribution's, or what `scripts/flink-env` made.
#[derive(Debug, Clone)]
pub struct Flink {
    home: PathBuf,
    gateway: PathBuf,
    java: OsString,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// Rows that would be stored, by event time and entity, as their payloads have them.
    pub rows: Vec<Map<String, Json>>,
    /// Payloads that would be dead-lettered, and why.
    pub refused: Vec<(String, String)>,
}

/// What Flink has on its class path, beside what its own scripts give it.
const OPENED: &[&str] =
    &["--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"];
const CONFIG: &str = "execution:\n  target: local\n  attached: true\nparallelism:\n  default: 1\nrest:\n  address: localhost\n  bind-address: localhost\n  bind-port: \"0\"\n";
const LOGGING: &str = "rootLogger.level = ERROR\nrootLogger.appenderRef.console.ref = console\nappender.console.type = CONSOLE\nappender.console.name = console\nappender.console.target = SYSTEM_ERR\nappender.console.layout.type = PatternLayout\nappender.console.layout.pattern = %p %c{1} %m%n\n";
/// Runs a script of SQL; part of Flink since 2.0.
const DRIVER: &str = "org.apache.flink.table.runtime.application.SqlDriver";

impl Flink {
    /// The one in a folder; where none is named, the one that `scripts/flink-env` made.
    pub fn find(home: Option<&Path>) -> Result<Self, Error> {
        let home = match home {
            Some(home) => home.to_path_buf(),
            None => {
                let cache = std::env::var_os("TRIVIUM_CACHE").map(PathBuf::from);
                let cache =
                    cache.or_else(|| Some(std::env::home_dir()?.join(".cache").join("trivium")));
                cache.unwrap_or_default().join("servers").join("flink")
            }
        };
        let missing = || {
            Error::Missing {
            message: format!("there is no Flink in {}", home.display()),
            help: "run scripts/flink-env, or name a folder that has Flink's `lib` and `opt` by --flink or TRIVIUM_FLINK".to_owned(),
        }
        };
        let absolute = std::path::absolute(&home).map_err(Error::io("find", &home))?;
        let gateway = fs::read_dir(absolute.join("opt"))
            .ok()
            .and_then(|entries| {
                let paths = entries.flatten().map(|entry| entry.path());
                paths.into_iter().find(|path| {
                    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                    name.is_some_and(|name| {
                        name.starts_with("flink-sql-gateway-") && name.ends_with(".jar")
                    })
                })
            })
            .ok_or_else(missing)?;
        if !absolute.join("lib").is_dir() {
            return Err(missing());
        }
        let java = std::env::var_os("JAVA_HOME")
            .map(|home| Path::new(&home).join("bin").join("java").into_os_string());
        Ok(Self { home: absolute, gateway, java: java.unwrap_or_else(|| "java".into()) })
    }

    /// The command that runs a script of SQL in one process. Flink's settings are written into a folder, which it
    /// uses for what it needs meanwhile. A script that only starts jobs ends with them if it says
    /// `SET 'table.dml-sync' = 'true'`, else at once.
    pub fn command(&self, script: &Path, folder: &Path) -> Result<Command, Error> {
        let conf = folder.join("conf");
        fs::create_dir_all(&conf).map_err(Error::io("create", &conf))?;
        for (name, text) in [("config.yaml", CONFIG), ("log4j2.properties", LOGGING)] {
            let path = conf.join(name);
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
        let mut logging = OsString::from("-Dlog4j.configurationFile=");
        logging.push(conf.join("log4j2.properties"));
        let mut temporary = OsString::from("-Djava.io.tmpdir=");
        temporary.push(folder);
        let mut command = Command::new(&self.java);
        command
            .args(["-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(OPENED)
            .args([logging, temporary])
            .arg("-cp")
            .arg(self.home.join("lib").join("*"))
            .args(["org.apache.flink.client.cli.CliFrontend", "run", "-t", "local", "-c", DRIVER])
            .arg(&self.gateway)
            .arg("--scriptUri")
            .arg(format!("file://{}", script.display()))
            .env("FLINK_CONF_DIR", &conf)
            .env("FLINK_LIB_DIR", self.home.join("lib"))
            .env("FLINK_OPT_DIR", self.home.join("opt"))
            .stdin(Stdio::null());
        Ok(command)
    }
}

/// Events of a file, as the messages of each input.
///
/// Each line is `{"input": "departures", "value": {…}}`; a value that is a text is a message as it stands, JSON or not.
pub fn events(
    view: &FeatureView,
    path: &str,
    text: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let windows = view.window.as_ref().and_then(|window| window.job.as_ref());
    let own = windows.map(|_| crate::windows::EVENTS);
    let inputs = view.job.iter().flat_map(|job| &job.inputs).map(|input| input.name.as_str());
    let names: Vec<&str> = inputs.chain(own).collect();
    let mut found: BTreeMap<String, String> =
        names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |message: String, help: &str| Error::Invalid {
            place: format!("{path}:{}", number + 1),
            message,
            help: help.to_owned(),
        };
        let form = "write `{\"input\": \"NAME\", \"value\": {…}}` on each line";
        let event: Map<String, Json> = serde_json::from_str(line)
            .map_err(|error| wrong(format!("this is no JSON object: {error}"), form))?;
        if let Some(unknown) =
            event.keys().find(|key| !["input", "value", "key", "time"].contains(&key.as_str()))
        {
            return Err(wrong(format!("there is no field `{unknown}` in events"), form));
        }
        let input = event.get("input").and_then(Json::as_str);
        let input = match (input, names.as_slice()) {
            (Some(input), _) => input,
            // Of one input nobody needs to say which.
            (None, [only]) if !event.contains_key("input") => only,
            (None, _) => {
                return Err(wrong("it does not say of which input it is".to_owned(), form));
            }
        };
        let Some(messages) = found.get_mut(input) else {
            let message = format!("the view has no input `{input}`");
            return Err(wrong(message, &format!("the view's inputs: {}", names.join(", "))));
        };
        let message = match event.get("value") {
            None => return Err(wrong("it has no value".to_owned(), form)),
            Some(Json::String(text)) if text.contains(['\n', '\r']) => {
                return Err(wrong("a message of several lines".to_owned(), "write it on one"));
            }
            Some(Json::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        messages.push_str(&message);
        messages.push('\n');
    }
    Ok(found)
}

/// Runs the view's query over the events of each input, and gives its rows.
pub fn run(
    generator: &Generator,
    flink: &Flink,
    loaded: &ProjectView,
    events: &BTreeMap<String, String>,
) -> Result<Rows, Error> {
    let view = &loaded.view;
    let temporary = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("trivium-flink-")
        .tempdir_in(&temporary)
        .map_err(Error::io("create a folder in", &temporary))?;
    let folder = folder.path();
    let Some(script) = generator.local(loaded, &folder.to_string_lossy())? else {
        return Err(Error::Invalid {
            place: view.reference().to_string(),
            message: "the view has no SQL that Flink could run".to_owned(),
            help: "name a view of the lane `stream` that has `inputs`, or `window.job`".to_owned(),
        });
    };
    for (input, messages) in events {
        let inside = folder.join("in").join(input);
        fs::create_dir_all(&inside).map_err(Error::io("create", &inside))?;
        let path = inside.join("messages");
        fs::write(&path, messages).map_err(Error::io("write", &path))?;
    }
    let path = folder.join("job.sql");
    let mut file = fs::File::create(&path).map_err(Error::io("write", &path))?;
    file.write_all(script.text.as_bytes()).map_err(Error::io("write", &path))?;
    let mut command = flink.command(&path, folder)?;
    let done = command.output().map_err(|error| Error::Missing {
        message: format!("{} cannot be run: {error}", flink.java.to_string_lossy()),
        help: "install Java 17, or set JAVA_HOME".to_owned(),
    })?;
    if !done.status.success() {
        let said =
            [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        return Err(failure(loaded, &script, &said.concat()));
    }
    let mut lines = Vec::new();
    written(&folder.join("out"), &mut lines)?;
    read(view, &lines)
}

/// The lines of all files that Flink has finished.
fn written(folder: &Path, lines: &mut Vec<String>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Nothing was written.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let is_hidden =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            written(&path, lines)?;
            continue;
        }
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        lines.extend(text.lines().map(ToOwned::to_owned));
    }
    Ok(())
}

/// What the worker makes of payloads.
pub fn read(view: &FeatureView, lines: &[String]) -> Result<Rows, Error> {
    let decoder = Decoder::new(view).map_err(Error::Internal)?;
    let mut reader = decoder.reader();
    let schemas = AvroSchemas::default();
    let mut rows = Vec::new();
    let mut refused = Vec::new();
    for line in lines {
        let message = Message { key: None, value: Some(line.as_bytes()), headers: &[], time: None };
        match reader.read(&message, &schemas) {
            Ok(Some(event)) => {
                let row = serde_json::from_str(line)
                    .map_err(|error| Error::Internal(format!("{line}: {error}")))?;
                rows.push((event.event_time, line.clone(), row));
            }
            Ok(None) => {}
            Err(why) => refused.push((line.clone(), why.to_string())),
        }
    }
    rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    refused.sort();
    Ok(Rows { rows: rows.into_iter().map(|(_, _, row)| row).collect(), refused })
}

/// What Flink said, at its place in the author's file where it names one.
pub fn failure(loaded: &ProjectView, script: &LocalScript, said: &str) -> Error {
    let cause = said
        .lines()
        .filter_map(|line| line.strip_prefix("Caused by: "))
        // What follows from the end of a job that failed.
        .rfind(|line| !line.contains("MiniCluster is not yet running"))
        .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("Flink said nothing");
    // `org.apache.flink.table.api.TableException: what is wrong`
    let message = match cause.split_once(": ") {
        Some((class, rest)) if !class.contains(' ') && class.contains('.') => rest,
        _ => cause,
    };
    let help = if said.contains("consuming update changes") {
        "the query gives rows that change afterwards: aggregate over windows (`TUMBLE`, `HOP`, `CUMULATE`) or `OVER`, not by a plain GROUP BY"
    } else {
        "Flink refused the query, or failed in it"
    };
    let Some(query) = &loaded.flink else { return Error::Flink(message.to_owned()) };
    let place = said.lines().rev().find_map(place_of).and_then(|(line, column)| {
        let lines = u32::try_from(query.statement().lines().count()).unwrap_or(u32::MAX);
        let own = line.checked_sub(script.query_line)?;
        (own < lines).then_some((own + 1, column))
    });
    let at = place.unwrap_or((1, 1));
    let finding = Diagnostic::error(query.path(), at, FLINK, message.trim_end_matches('.'), help);
    Error::Findings(vec![finding])
}

/// The code of what Flink says of a query.
pub const FLINK: &str = "sql-flink";

/// The first `line 3, column 5` of a text.
fn place_of(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("line ")?;
    let (line, rest) = rest.split_once(", column ")?;
    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, column.parse().ok()?))
}
