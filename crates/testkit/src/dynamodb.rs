//! DynamoDB Local.

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use crate::{
    Error,
    process::{Server, connect, free_port, installed, with_retries},
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
            server.wait_until(answers)?;
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
    // The client compiler and the serial collector: it starts twice as fast and needs a third.
    let mut arguments = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]
        .map(str::to_owned)
        .to_vec();
    arguments.push(format!("{}/*", jars.display()));
    arguments.push("software.amazon.dynamodb.services.local.main.ServerRunner".to_owned());
    arguments.extend(["-inMemory", "-sharedDb", "-disableTelemetry", "-port"].map(str::to_owned));
    arguments.push(port);
    arguments
}

/// Whether it speaks HTTP yet: anything but silence will do.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = connect(port)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok::<_, std::io::Error>(start)
    };
    ask().is_ok_and(|start| start == *b"HTTP/")
}
