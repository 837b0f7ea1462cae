//! Valkey, alone or as a small cluster.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error,
    process::{Server, free_port, installed, with_retries},
    resp,
};

/// One Valkey server. Keeps nothing on disk.
#[derive(Debug)]
pub struct Valkey {
    server: Server,
    options: Vec<String>,
}

impl Valkey {
    /// Starts one with `volatile-lru` and these options besides (`["--maxmemory", "5mb"]`).
    pub fn start(options: &[&str]) -> Result<Self, Error> {
        let options: Vec<String> = options.iter().map(|&word| word.to_owned()).collect();
        let server = with_retries(|| start_server(free_port()?, &options))?;
        Ok(Self { server, options })
    }

    /// Kills it and starts it again, empty, on the same port.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.server.signal("KILL")?;
        self.server = start_server(self.server.port(), &self.options)?;
        Ok(())
    }

    /// Kills it and starts it again with what a snapshot (`dump.rdb`) holds, on the same port.
    pub fn restart_from(&mut self, snapshot: &[u8]) -> Result<(), Error> {
        self.server.signal("KILL")?;
        // A folder of this one's, which ends with it below: the server has read the file by then.
        let path = self.server.folder().join("restored.rdb");
        std::fs::write(&path, snapshot).map_err(|error| Error::io("writing a snapshot", &error))?;
        let mut options = self.options.clone();
        let folder = self.server.folder().display().to_string();
        options.extend(["--dir", &folder, "--dbfilename", "restored.rdb"].map(str::to_owned));
        self.server = start_server(self.server.port(), &options)?;
        Ok(())
    }

    /// Sends one command, words apart; the answer as text, parts of an array one a line.
    pub fn command(&self, words: &[&str]) -> Result<String, Error> {
        resp::command(self.server.port(), words)
            .map_err(|error| Error::io(&format!("`{}`", words.join(" ")), &error))
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }
    /// The process.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

fn start_server(port: u16, options: &[String]) -> Result<Server, Error> {
    let program: PathBuf = installed("valkey/valkey-server")?;
    let mut server = Server::start(&program, port, |folder| arguments(port, folder, options))?;
    server
        .wait_until(|port| resp::command(port, &["PING"]).is_ok_and(|answer| answer == "PONG"))?;
    Ok(server)
}

fn arguments(port: u16, folder: &Path, options: &[String]) -> Vec<String> {
    let fixed = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut arguments: Vec<String> = fixed.map(str::to_owned).to_vec();
    arguments.extend(
        ["--maxmemory-policy", "volatile-lru", "--repl-diskless-sync-delay", "0"]
            .map(str::to_owned),
    );
    arguments.extend(["--port".to_owned(), port.to_string()]);
    arguments.extend(["--dir".to_owned(), folder.display().to_string()]);
    arguments.extend(["--logfile".to_owned(), folder.join("log").display().to_string()]);
    arguments.extend_from_slice(options);
    arguments
}

/// Valkey servers that share the slots among them, without replicas.
#[derive(Debug)]
pub struct ValkeyCluster(Vec<Valkey>);

impl ValkeyCluster {
    /// Starts so many and waits until all of them say that the cluster is whole.
    pub fn start(nodes: u16) -> Result<Self, Error> {
        const SLOTS: u16 = 16_384;
        let start = || {
            // By default the bus has the port + 10000, which may not exist or be taken.
            let bus = free_port()?.to_string();
            let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            Valkey::start(&options).map(|server| (server, bus))
        };
        let mut servers: Vec<Valkey> = Vec::new();
        let mut first: Option<(String, String)> = None;
        for node in 0..nodes {
            let (server, bus) = start()?;
            let (from, to) = (SLOTS / nodes * node, SLOTS / nodes * (node + 1));
            let to = if node + 1 == nodes { SLOTS } else { to };
            server.command(&[
                "CLUSTER",
                "ADDSLOTSRANGE",
                &from.to_string(),
                &(to - 1).to_string(),
            ])?;
            let port = server.server.port().to_string();
            match &first {
                None => first = Some((port, bus)),
                Some((port, bus)) => {
                    server.command(&["CLUSTER", "MEET", "127.0.0.1", port, bus])?;
                }
            }
            servers.push(server);
        }
        let started = Instant::now();
        let is_whole = |server: &Valkey| {
            let info = server.command(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok")
                && info.contains(&format!("cluster_known_nodes:{nodes}"))
                && info.contains(&format!("cluster_size:{nodes}"))
        };
        while !servers.iter().all(is_whole) {
            if started.elapsed() > Duration::from_secs(60) {
                return Err(Error::new("the cluster did not come together in time"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Self(servers))
    }

    /// The servers.
    pub fn nodes(&self) -> &[Valkey] {
        &self.0
    }
    /// The servers, to restart one.
    pub fn nodes_mut(&mut self) -> &mut [Valkey] {
        &mut self.0
    }
}
