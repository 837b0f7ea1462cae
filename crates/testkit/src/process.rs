//! A server process that cannot outlive its test.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::Error;

/// Runs the server, says its pid, and ends it when the pipe on its own stdin closes. The server's
/// stdin is not that pipe: a shell gives its background processes an empty one.
const WATCH: &str = r#""$@" & echo $!; exec >/dev/null; read -r _; kill -9 $! 2>/dev/null; wait"#;
/// A JVM on a busy machine takes its time.
const READY: Duration = Duration::from_secs(120);

/// A running server.
#[derive(Debug)]
pub struct Server {
    watcher: Child,
    /// Closing it ends the server.
    pipe: Option<ChildStdin>,
    pid: u32,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// Starts a program in a temporary folder; `arguments` get the port and that folder.
    pub(crate) fn start(
        program: &Path,
        port: u16,
        arguments: impl FnOnce(&Path) -> Vec<String>,
    ) -> Result<Self, Error> {
        let folder = TempDir::with_prefix("trivium-test-")
            .map_err(|error| Error::io("making a temporary folder", &error))?;
        let log = File::create(folder.path().join("log"))
            .map_err(|error| Error::io("making the server's log", &error))?;
        let mut watcher = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(program)
            .args(arguments(folder.path()))
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| Error::io("starting sh", &error))?;
        let pipe = watcher.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = watcher.stdout.take() {
            let mut lines = BufReader::new(stdout);
            lines.read_line(&mut line).map_err(|error| Error::io("reading the pid", &error))?;
            // What the server itself prints to its stdout goes on: somebody has to read it.
            thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        }
        let pid = line.trim().parse();
        let pid = pid.map_err(|_| Error::new(format!("sh said `{line}` instead of a pid")))?;
        Ok(Self { watcher, pipe, pid, port, folder })
    }

    /// Waits until `is_ready`, or until the server has ended, or too long.
    pub(crate) fn wait_until(
        &mut self,
        mut is_ready: impl FnMut(u16) -> bool,
    ) -> Result<(), Error> {
        let started = Instant::now();
        while !is_ready(self.port) {
            let ended = !self.is_running();
            if ended || started.elapsed() > READY {
                let why = if ended { "ended" } else { "was not ready in time" };
                return Err(Error::new(format!("the server {why}; it said: {}", self.log())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.pid
    }
    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
    /// What it wrote to stderr, and to a file called `log`.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn is_running(&self) -> bool {
        // A process that has ended and was not waited for yet is a zombie: state `Z`.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let Some((_, state)) = stat.rsplit_once(')') else { return false };
        // Of many threads the first is a zombie while others, and with them its ports, are still there.
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid));
        !state.trim_start().starts_with('Z') || threads.is_ok_and(|threads| threads.count() > 1)
    }

    /// Sends a signal by name: `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid)])
            .status()
            .map_err(|error| Error::io("starting sh", &error))?;
        if !status.success() {
            return Err(Error::new(format!("kill -{name} {} failed", self.pid)));
        }
        if name == "KILL" {
            while self.is_running() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        self.signal("TERM")?;
        let started = Instant::now();
        while self.is_running() {
            if started.elapsed() > READY {
                let said = self.log();
                return Err(Error::new(format!(
                    "the server did not end when asked; it said: {said}"
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Waits for the shell, which has then killed the server. Nothing to do where it fails.
        let _ = self.watcher.wait();
    }
}

/// A port that is free now. Somebody may take it before the server does: callers start again.
pub(crate) fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::io("looking for a free port", &error))
}

pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Whether it speaks HTTP yet: anything but silence will do.
pub(crate) fn speaks_http(port: u16) -> bool {
    let ask = || {
        let mut stream = connect(port)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok::<_, std::io::Error>(start)
    };
    ask().is_ok_and(|start| start == *b"HTTP/")
}

/// What every JVM here is started with, before the class.
pub(crate) fn jvm(heap: &str, classes: &str) -> Vec<String> {
    // The client compiler and the serial collector: it starts twice as fast and needs a third.
    let heap = format!("-Xmx{heap}");
    [&heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes]
        .map(str::to_owned)
        .to_vec()
}

/// Tries a start a few times: the port may be taken in between.
pub(crate) fn with_retries<T>(start: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    start().or_else(|_| start()).or_else(|_| start())
}

/// Where `scripts/setup-stores` put a server.
pub(crate) fn installed(server: &str) -> Result<PathBuf, Error> {
    let cache = match (env::var_os("TRIVIUM_CACHE"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache/trivium"),
        (None, None) => return Err(Error::new("neither TRIVIUM_CACHE nor HOME is set")),
    };
    let path = cache.join("servers").join(server);
    if path.exists() {
        return Ok(path);
    }
    Err(Error::new(format!(
        "{} is not there: run scripts/setup-stores (`make test-stores` does), then this again",
        path.display()
    )))
}
