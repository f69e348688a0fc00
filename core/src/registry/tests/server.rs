//! A registry that does what the test says: one closure answers every request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

use crate::id::Digest;

/// A request, as far as tests ask.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Where a range begins.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Close after so many bytes of the body.
    cut: Option<usize>,
    /// Say nothing, and wait until the client goes away.
    hang: bool,
}

impl Answer {
    /// A status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, body: body.into(), ..Answer::default() }
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// Breaks off after so many bytes of the body.
    pub fn cut(mut self, after: usize) -> Answer {
        self.cut = Some(after);
        self
    }

    /// Sends what there is (nothing when the status is 0) and then hangs.
    pub fn hang(status: u16, body: &[u8]) -> Answer {
        Answer { hang: true, ..Answer::new(status, body) }
    }
}

type Handler = dyn FnMut(&Request) -> Answer + Send;

/// The server; gone when dropped.
pub struct Server {
    /// `address:port`
    pub host: String,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts on a free port.
    pub fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Server {
        Server::start_at("127.0.0.1", handler)
    }

    /// The same at another address of this machine.
    pub fn start_at(address: &str, handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Server {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (requests, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let state = State { handler: Mutex::new(Box::new(handler)), requests: requests.clone() };
        let stop = ended.clone();
        let thread = std::thread::spawn(move || accept(&listener, &Arc::new(state), &stop));
        Server { host, requests, ended, thread: Some(thread) }
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The paths that were asked for so far.
    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|r| r.path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accept.
        let _ = TcpStream::connect(&self.host);
        let _ = self.thread.take().unwrap().join();
    }
}

struct State {
    handler: Mutex<Box<Handler>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// Connections end when their client closes; the client of a test is gone before its server.
fn accept(listener: &TcpListener, state: &Arc<State>, stop: &AtomicBool) {
    let mut connections = Vec::new();
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (stream, state) = (stream.unwrap(), state.clone());
        connections.push(std::thread::spawn(move || drop(serve(&stream, &state))));
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn serve(stream: &TcpStream, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    // Who asks whether TLS is spoken here waits for an answer.
    const TLS_HANDSHAKE: u8 = 22;
    if reader.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
        return Ok(());
    }
    while let Some(request) = read(&mut reader)? {
        state.requests.lock().unwrap().push(request.clone());
        let answer = (state.handler.lock().unwrap())(&request);
        send(stream, &answer)?;
        if answer.hang {
            return reader.read_to_end(&mut Vec::new()).map(drop);
        }
        if answer.cut.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return Ok(Some(Request { path, headers })),
        }
    }
}

fn send(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    if answer.status == 0 {
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    // A test may claim another length.
    let length = answer.headers.iter().any(|(n, _)| *n == "content-length");
    let promised = answer.body.len() + usize::from(answer.hang);
    if !length && answer.headers.iter().all(|(n, _)| *n != "transfer-encoding") {
        head += &format!("content-length: {promised}\r\n");
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())])
}

/// The digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}
