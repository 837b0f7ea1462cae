//! A serving node's process, and the one page that is asked of it over plain HTTP.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

use crate::spoilt::Spoilt;

/// The variable that tells a node of this package how to break the protocol.
pub const SPOILT: &str = "TRIVIUM_CHAOS_SPOILT";

/// Runs the node, says its pid, and kills it when the pipe on its own stdin closes: with this process,
/// however that ends.
const WATCH: &str =
    r#""$@" & echo $!; exec >/dev/null; read -r _; kill -9 $! 2>/dev/null; wait $!"#;

/// How a node is started.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    pub program: &'a Path,
    pub config: &'a Path,
    /// What it logs is added to it.
    pub log: &'a Path,
    pub spoilt: Option<Spoilt>,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    watcher: Child,
    pipe: Option<ChildStdin>,
    pid: u32,
    pub http: String,
    pub grpc: String,
}

impl Start<'_> {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TRIVIUM_") {
                command.env_remove(name);
            }
        }
        if let Some(spoilt) = self.spoilt {
            command.env(SPOILT, spoilt.name());
        }
        command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
        command.env("TRIVIUM_LOG", "warn");
        command
    }

    /// Runs a verb to its end.
    pub fn verb(&self, words: &[&str]) -> Result<()> {
        let mut command = self.command(&self.program.display().to_string());
        let done = command.arg("--config").arg(self.config).args(words).output()?;
        if !done.status.success() {
            bail!("`{}` failed: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// Starts it, and waits until it serves.
    pub fn run(&self) -> Result<Node> {
        let log = File::options().append(true).create(true).open(self.log)?;
        let mut watcher = self
            .command("sh")
            .args(["-c", WATCH, "sh"])
            .arg(self.program)
            .arg("--config")
            .arg(self.config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting sh")?;
        let pipe = watcher.stdin.take();
        let stdout = watcher.stdout.take().context("sh has no stdout")?;
        // From here on it ends with this value.
        let mut node = Node { watcher, pipe, pid: 0, http: String::new(), grpc: String::new() };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        node.pid = line.trim().parse().context("sh said no pid")?;
        line.clear();
        stdout.read_line(&mut line)?;
        let addresses: Json = serde_json::from_str(&line).context("the node did not start")?;
        thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        let address = |name: &str| addresses[name].as_str().unwrap_or_default().to_owned();
        node.http = address("http").replace("http://", "");
        node.grpc = address("grpc").replace("grpc://", "http://");
        Ok(node)
    }
}

impl Node {
    /// Sends a signal by name: `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let kill = format!("kill -{name} {}", self.pid);
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        if !status.success() {
            bail!("`{kill}` failed");
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The shell has killed the node by then.
        let _ = self.watcher.wait();
    }
}

/// The body of a page, or of the answer to a JSON text; not for long ones, nor in a hurry.
pub fn http(address: &str, path: &str, body: Option<&str>) -> Result<String> {
    let address = address.parse().with_context(|| format!("`{address}`"))?;
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let (method, length) = body.map_or(("GET", 0), |body| ("POST", body.len()));
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: chaos\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.unwrap_or_default().as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    if !head.lines().next().is_some_and(|line| line.contains(" 200")) {
        bail!("{path}: {answer}");
    }
    Ok(body.to_owned())
}
