//! One connection, by RESP2. Whoever stops waiting for an answer drops it: what is on its way would be
//! taken for the answer to the next question.

use std::io;

use bytes::{Bytes, BytesMut};
use fred::types::config::Server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};
use trivium_codec::RowKey;
use trivium_store::{CacheEntry, CacheEpoch, CacheError};

use super::answer::{Answer, Progress, line, said};
use crate::{client::Credentials, entry, failure, keys};

/// Answers are mostly of one size, which the last ones tell; this much before there was one.
const ROOM: usize = 16 << 10;
/// More is not kept for the next answer.
const ROOM_MAX: usize = 1 << 20;

/// A connection of which nobody waits for an answer.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: TcpStream,
    request: Vec<u8>,
    received: BytesMut,
    /// About as long as the longest answer of late.
    room: usize,
    /// The server was found to know this epoch's scripts, after a read. It forgets them only by ending,
    /// which ends the connection (or when it is told to, and then its data are the same).
    proven: Option<CacheEpoch>,
    _permit: OwnedSemaphorePermit,
}

/// Why there is nothing to read.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The server is not the one that was marked. The connection is as good as before.
    NotMarked,
    /// The server's answer: an error, or none that makes sense. The connection is of no use any more.
    Answer(CacheError),
    /// The connection has ended. Another may be better.
    Connection,
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Self {
        Self::Connection
    }
}
impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Self::Answer(error)
    }
}

impl Reader {
    pub(crate) async fn open(
        server: &Server,
        credentials: &Credentials,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((&*server.host, server.port)).await?;
        stream.set_nodelay(true)?;
        let (request, received) = (Vec::new(), BytesMut::new());
        let mut reader =
            Self { stream, request, received, room: ROOM, proven: None, _permit: permit };
        if let Some(password) = &credentials.password {
            let user = credentials.username.as_deref();
            put_count(&mut reader.request, 2 + usize::from(user.is_some()));
            for word in ["AUTH"].into_iter().chain(user).chain([password.as_str()]) {
                put_word(&mut reader.request, word.as_bytes());
            }
        } else {
            // As good as any command to see whether somebody is there, and lets us in.
            reader.request.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        }
        reader.stream.write_all(&reader.request).await?;
        let answer = reader.line().await?;
        if answer.first() != Some(&b'+') {
            return Err(io::Error::other(said(answer.get(1..).unwrap_or_default()).to_string()));
        }
        Ok(reader)
    }

    /// What the keys hold, in their order. Where it has not been found yet, on this connection, that the
    /// server knows the epoch's script, that is asked in the same go. Asking *after* reading is
    /// what counts: a server that knows it then has known it all the time, for only marking makes it
    /// known.
    pub(crate) async fn look(
        &mut self,
        epoch: CacheEpoch,
        script: &str,
        keys: &[RowKey],
    ) -> Result<Vec<Result<CacheEntry, CacheError>>, Failed> {
        let is_proven = self.proven == Some(epoch);
        self.ask(epoch, (!is_proven).then_some(script), keys);
        self.stream.write_all(&self.request).await?;
        let mut answer = Answer::of(keys.len() + 1);
        self.received.reserve(self.room);
        while let Progress::Partial(more) = answer.go_on(&self.received)? {
            self.received.reserve(more);
            self.receive().await?;
        }
        let whole = self.received.split_to(answer.end()).freeze();
        self.room = whole.len().max(self.room - self.room / 8).clamp(ROOM, ROOM_MAX);
        let values = answer.values();
        if values.len() != keys.len() + 1 {
            return Err(failure::odd_answer().into());
        }
        if !is_proven {
            if self.line().await? != b"*1"[..] {
                return Err(failure::odd_answer().into());
            }
            if self.line().await? != b":1"[..] {
                return Err(Failed::NotMarked);
            }
            self.proven = Some(epoch);
        }
        if whole[values[0].clone()] != epoch.marker.to_le_bytes() {
            return Err(Failed::NotMarked);
        }
        let value = |place: &std::ops::Range<usize>| {
            entry::parse((!place.is_empty()).then(|| whole.slice(place.clone())))
        };
        Ok(values[1..].iter().map(value).collect())
    }

    /// Writes the request: one buffer, used again and again.
    fn ask(&mut self, epoch: CacheEpoch, script: Option<&str>, keys: &[RowKey]) {
        let request = &mut self.request;
        request.clear();
        put_count(request, keys.len() + 2);
        put_word(request, b"MGET");
        put_word(request, &keys::marker(epoch, 0));
        let start = keys::start(epoch);
        for key in keys {
            let mut bucket = itoa::Buffer::new();
            let parts = keys::row(&start, bucket.format(keys::bucket_of(key)), key);
            put_head(request, b'$', parts.iter().map(|part| part.len()).sum());
            for part in parts {
                request.extend_from_slice(part);
            }
            request.extend_from_slice(b"\r\n");
        }
        if let Some(script) = script {
            put_count(request, 3);
            for word in ["SCRIPT", "EXISTS", script] {
                put_word(request, word.as_bytes());
            }
        }
    }

    /// The next line.
    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some((found, next)) = line(&self.received, 0) {
                let length = found.len();
                let mut whole = self.received.split_to(next);
                whole.truncate(length);
                return Ok(whole.freeze());
            }
            self.received.reserve(64);
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn put_count(request: &mut Vec<u8>, words: usize) {
    put_head(request, b'*', words);
}

fn put_head(request: &mut Vec<u8>, kind: u8, number: usize) {
    request.push(kind);
    request.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    request.extend_from_slice(b"\r\n");
}

fn put_word(request: &mut Vec<u8>, word: &[u8]) {
    put_head(request, b'$', word.len());
    request.extend_from_slice(word);
    request.extend_from_slice(b"\r\n");
}
