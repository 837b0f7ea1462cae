//! DynamoDB Local.

use std::path::Path;

use crate::{
    Error,
    process::{Server, free_port, installed, jvm, speaks_http, with_retries},
};

/// An empty DynamoDB in memory. Takes any credentials.
#[derive(Debug)]
pub struct DynamoDb(Server);

impl DynamoDb {
    /// Starts one and waits until it answers.
    pub fn start() -> Result<Self, Error> {
        let jars = installed("dynamodb-local")?;
        with_retries(|| {
            let port = free_port()?;
            let mut server = Server::start(Path::new("java"), port, |_| arguments(&jars, port))?;
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

fn arguments(jars: &Path, port: u16) -> Vec<String> {
    let port = port.to_string();
    let mut arguments = jvm("512m", &format!("{}/*", jars.display()));
    arguments.push("software.amazon.dynamodb.services.local.main.ServerRunner".to_owned());
    arguments.extend(["-inMemory", "-sharedDb", "-disableTelemetry", "-port"].map(str::to_owned));
    arguments.push(port);
    arguments
}
