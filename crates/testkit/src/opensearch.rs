//! OpenSearch with k-NN, one node.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    Error,
    process::{Server, connect, free_port, installed, jvm, with_retries},
};

/// One OpenSearch node without security, whose data outlive its process, but not this value.
#[derive(Debug)]
pub struct OpenSearch {
    server: Server,
    home: PathBuf,
    /// After the server, which is dropped first.
    data: TempDir,
}

impl OpenSearch {
    /// Starts one, empty, and waits until it answers: half a minute on a busy machine.
    pub fn start() -> Result<Self, Error> {
        let home = installed("opensearch")?;
        let data = TempDir::with_prefix("trivium-test-opensearch-")
            .map_err(|error| Error::io("making a folder for OpenSearch's data", &error))?;
        let server = with_retries(|| start_server(&home, free_port()?, data.path()))?;
        Ok(Self { server, home, data })
    }

    /// Kills it, at whatever it does.
    pub fn kill(&self) -> Result<(), Error> {
        self.server.signal("KILL")
    }

    /// Kills it and starts it again, on the same port, with the data that it had.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill()?;
        self.server = start_server(&self.home, self.server.port(), self.data.path())?;
        Ok(())
    }

    /// `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }
    /// The process.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

fn start_server(home: &Path, port: u16, data: &Path) -> Result<Server, Error> {
    let transport = free_port()?;
    let config = data.join("config");
    let lines = [
        "cluster.name: trivium-test".to_owned(),
        "node.name: trivium-test".to_owned(),
        "discovery.type: single-node".to_owned(),
        "network.host: 127.0.0.1".to_owned(),
        format!("http.port: {port}"),
        format!("transport.port: {transport}"),
        format!("path.data: {}", data.join("data").display()),
        format!("path.logs: {}", data.join("logs").display()),
        // A full disk of the machine is not what is tested: it would lock every index.
        "cluster.routing.allocation.disk.threshold_enabled: false".to_owned(),
        // Tests make an index each.
        "cluster.max_shards_per_node: 5000".to_owned(),
    ];
    std::fs::create_dir_all(&config)
        .and_then(|()| std::fs::write(config.join("opensearch.yml"), lines.join("\n") + "\n"))
        .map_err(|error| Error::io("writing opensearch.yml", &error))?;
    let mut server = Server::start(Path::new("java"), port, |_| arguments(home, &config))?;
    server.wait_until(is_ready)?;
    Ok(server)
}

fn arguments(home: &Path, config: &Path) -> Vec<String> {
    let mut arguments = jvm("512m", &format!("{0}/node:{0}/lib/*", home.display()));
    arguments.push("OpenSearchNode".to_owned());
    arguments.extend([home, config].map(|path| path.display().to_string()));
    arguments
}

/// Whether the shards that it has are there: after a restart it answers before it has found them.
fn is_ready(port: u16) -> bool {
    let ask = || {
        let mut stream = connect(port)?;
        stream.write_all(
            b"GET /_cluster/health?wait_for_status=yellow&wait_for_no_initializing_shards=true&timeout=5s HTTP/1.0\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| {
        let status = ["\"green\"", "\"yellow\""].iter().any(|status| answer.contains(status));
        status && answer.contains("\"timed_out\":false")
    })
}
