//! One command to a Valkey at a time: enough to set up a cluster and to look at a server from outside.

use std::{
    io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _},
    net::TcpStream,
};

use crate::process::connect;

/// Sends a command on a connection of its own; the answer as text, parts of an array one a line. An
/// error answer is an error.
pub(crate) fn command(port: u16, words: &[&str]) -> Result<String> {
    let mut stream = connect(port)?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes())?;
    read(&mut BufReader::new(stream))
}

fn read(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let rest = line.get(1..).unwrap_or_default();
    match line.as_bytes().first() {
        Some(b'+' | b':') => Ok(rest.to_owned()),
        Some(b'$') => {
            let Ok(length) = rest.parse::<usize>() else { return Ok("(nil)".to_owned()) };
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(b'*') => {
            let count: usize = rest.parse().unwrap_or(0);
            let parts: Result<Vec<String>> = (0..count).map(|_| read(stream)).collect();
            Ok(parts?.join("\n"))
        }
        _ => Err(Error::new(ErrorKind::InvalidData, line.to_owned())),
    }
}
