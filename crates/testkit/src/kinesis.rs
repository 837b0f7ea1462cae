//! A Kinesis API: kinesalite.

use std::path::Path;

use crate::{
    Error,
    process::{Server, free_port, installed, speaks_http, with_retries},
};

/// An empty Kinesis in memory, of 100 shards at most. Takes any credentials; it has no enhanced fan-out. Streams
/// may be named by their ARNs.
#[derive(Debug)]
pub struct Kinesis(Server);

impl Kinesis {
    /// Starts one and waits until it answers.
    pub fn start() -> Result<Self, Error> {
        let script = installed("kinesalite/server.js")?.display().to_string();
        with_retries(|| {
            let port = free_port()?;
            let arguments = |_: &Path| vec![script.clone(), port.to_string()];
            let mut server = Server::start(Path::new("node"), port, arguments)?;
            server.wait_until(speaks_http)?;
            Ok(Self(server))
        })
    }

    /// `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port())
    }
    /// The process.
    pub fn server(&self) -> &Server {
        &self.0
    }
}
