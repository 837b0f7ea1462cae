//! What stands between a client and its server, and spoils things on purpose.

use std::{
    collections::HashMap,
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use crate::{Error, process::connect};

/// What happens to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is passed on, and so is the answer.
    Pass,
    /// It is passed on after a while; the client may have gone by then.
    PassLate(Duration),
    /// It never reaches the server; this is the answer.
    Answer(u16, String),
    /// It never reaches the server; there is no answer for so long, then the connection is closed.
    Silence(Duration),
    /// It reaches the server, which does it; the connection is closed instead of answering.
    LoseAnswer,
}

/// Judges a request by its bytes: of HTTP the head's last word of `X-Amz-Target` (the operation)
/// and the body; of anything else an empty text and what came in one piece.
type Judge = Box<dyn Fn(&str, &[u8]) -> Verdict + Send + Sync>;

/// A proxy on a free loopback port. Ends with the process; one a test is cheap.
pub struct Proxy {
    port: u16,
    to: Arc<AtomicU16>,
    judge: Arc<Mutex<Arc<Judge>>>,
    open: Arc<Mutex<HashMap<u64, TcpStream>>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port).finish_non_exhaustive()
    }
}

type Handle = fn(&mut BufReader<TcpStream>, u16, &Mutex<Arc<Judge>>) -> io::Result<()>;

impl Proxy {
    /// Speaks HTTP/1.1: a request, then its answer.
    pub fn http(to: u16) -> Result<Self, Error> {
        Self::start(to, http_exchange)
    }
    /// Knows no protocol: what comes in one piece is judged, and what answers it is passed back.
    pub fn tcp(to: u16) -> Result<Self, Error> {
        Self::start(to, tcp_connection)
    }

    fn start(to: u16, handle: Handle) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| Error::io("opening the proxy's port", &error))?;
        let address = listener.local_addr();
        let port =
            address.map_err(|error| Error::io("asking for the proxy's port", &error))?.port();
        let pass: Judge = Box::new(|_, _| Verdict::Pass);
        let judge = Arc::new(Mutex::new(Arc::new(pass)));
        let proxy = Self { port, to: Arc::new(AtomicU16::new(to)), judge, open: Arc::default() };
        let (to, judges, open) = (proxy.to.clone(), proxy.judge.clone(), proxy.open.clone());
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming().flatten()) {
                let (to, judges, open) = (to.clone(), judges.clone(), open.clone());
                // Known before it is served, so that a cut that comes now finds it.
                if let Ok(own) = stream.try_clone() {
                    locked(&open).insert(number, own);
                }
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while handle(&mut stream, to.load(SeqCst), &judges).is_ok() {}
                    locked(&open).remove(&number);
                });
            }
        });
        Ok(proxy)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on requests are judged like this: by operation (empty where it is not HTTP) and body.
    pub fn judge(&self, judge: impl Fn(&str, &[u8]) -> Verdict + Send + Sync + 'static) {
        *locked(&self.judge) = Arc::new(Box::new(judge));
    }

    /// Closes every connection that is open now; what is under way on them goes unanswered.
    pub fn cut(&self) {
        for stream in locked(&self.open).values() {
            // One that is closed already needs nothing.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on connections are made to another server on this machine; open ones are cut.
    pub fn retarget(&self, to: u16) {
        self.to.store(to, SeqCst);
        self.cut();
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn verdict(judge: &Mutex<Arc<Judge>>, operation: &str, body: &[u8]) -> Verdict {
    let judge = locked(judge).clone();
    judge(operation, body)
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}

fn http_exchange(
    client: &mut BufReader<TcpStream>,
    to: u16,
    judge: &Mutex<Arc<Judge>>,
) -> io::Result<()> {
    let (head, body) = read_message(client)?;
    let operation = header(&head, "x-amz-target").unwrap_or_default();
    let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
    let verdict = verdict(judge, &operation, &body);
    match &verdict {
        Verdict::Pass | Verdict::LoseAnswer => {}
        Verdict::PassLate(wait) => thread::sleep(*wait),
        Verdict::Silence(wait) => {
            thread::sleep(*wait);
            return Err(gone());
        }
        Verdict::Answer(status, text) => {
            let answer = format!(
                "HTTP/1.1 {status} Injected\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            return client.get_mut().write_all(answer.as_bytes());
        }
    }
    let mut server = BufReader::new(connect(to)?);
    server.get_mut().write_all(head.as_bytes())?;
    server.get_mut().write_all(&body)?;
    let (head, body) = read_message(&mut server)?;
    if verdict == Verdict::LoseAnswer {
        return Err(gone());
    }
    client.get_mut().write_all(head.as_bytes())?;
    client.get_mut().write_all(&body)
}

/// Start line and headers with the empty line, then the body by its length.
fn read_message(stream: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(gone());
        }
    }
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A whole connection: one call serves it to its end.
fn tcp_connection(
    client: &mut BufReader<TcpStream>,
    to: u16,
    judge: &Mutex<Arc<Judge>>,
) -> io::Result<()> {
    let server = connect(to)?;
    server.set_read_timeout(None)?;
    let (mut answers, mut back) = (server.try_clone()?, client.get_ref().try_clone()?);
    let lose = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let lost = lose.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            if lost.load(SeqCst) || back.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = back.shutdown(Shutdown::Both);
        let _ = answers.shutdown(Shutdown::Both);
    });
    let mut server = server;
    loop {
        let piece = client.fill_buf()?.to_vec();
        if piece.is_empty() {
            let _ = server.shutdown(Shutdown::Both);
            return Err(gone());
        }
        client.consume(piece.len());
        match verdict(judge, "", &piece) {
            Verdict::Pass => {}
            Verdict::PassLate(wait) => thread::sleep(wait),
            Verdict::Silence(wait) => {
                thread::sleep(wait);
                let _ = server.shutdown(Shutdown::Both);
                return Err(gone());
            }
            Verdict::Answer(_, text) => {
                client.get_mut().write_all(text.as_bytes())?;
                continue;
            }
            Verdict::LoseAnswer => lose.store(true, SeqCst),
        }
        server.write_all(&piece)?;
    }
}
