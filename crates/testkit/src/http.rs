//! A small HTTP/1.1 server for tests: real sockets, a thread per connection, answers that may be
//! anything.
//!
//! Keep-alive, `Content-Length` and chunked requests, `Expect: 100-continue`, TLS where it is asked
//! for. It records every request with its order, and stops cleanly when dropped. Nothing sleeps but
//! on a condition that the end wakes.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its number, from 1, in order of arrival.
    pub number: usize,
    /// Which connection it came on, from 1.
    pub connection: usize,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When it had arrived and when it was answered, as ticks of one clock that counts both.
    pub arrived: u64,
    pub answered: Option<u64>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        form(query).remove(name)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a query or a form.
pub fn form(text: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let bytes = text.as_bytes();
        let mut plain = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let digits = bytes
                .get(at + 1..at + 3)
                .and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
            match (bytes[at], digits) {
                (b'%', Some(byte)) => {
                    plain.push(byte);
                    at += 2;
                }
                (b'+', _) => plain.push(b' '),
                (byte, _) => plain.push(byte),
            }
            at += 1;
        }
        String::from_utf8_lossy(&plain).into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// What is sent back, step by step.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    before: Vec<Step>,
    after: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
    /// No head at all: the body is everything.
    Raw,
}

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    WaitFor(Gate),
    /// Each byte of what follows after a pause.
    Drip(Duration),
    /// What follows goes through a link that others use as well.
    Over(Link),
    /// Only so many bytes of the body, then the end.
    Cut(usize),
    /// A piece of body again and again, until the other side has enough.
    Endless(Vec<u8>),
    Reset,
}

impl Answer {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Bytes without any head.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { framing: Framing::Raw, ..Self::new(200).body(bytes) }
    }

    /// A connection that is reset without an answer.
    pub fn reset() -> Self {
        let mut answer = Self::raw("");
        answer.after.push(Step::Reset);
        answer
    }

    /// A connection that is closed without an answer.
    pub fn close() -> Self {
        Self::raw("")
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status).header("Location", location)
    }

    /// An error document as registries send it.
    pub fn error(status: u16, code: &str) -> Self {
        Self::new(status)
            .json(&format!(r#"{{"errors":[{{"code":"{code}","message":"from the test"}}]}}"#))
    }

    pub fn html(status: u16) -> Self {
        Self::new(status)
            .header("Content-Type", "text/html; charset=utf-8")
            .body("<!DOCTYPE html><html>no</html>")
    }

    pub fn json(self, text: &str) -> Self {
        self.header("Content-Type", "application/json").body(text)
    }

    /// Adds a header, replacing one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// No length: the body ends with the connection.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// Waits before anything is sent.
    pub fn delay(mut self, time: Duration) -> Self {
        self.before.push(Step::Wait(time));
        self
    }

    /// Waits for a gate before anything is sent.
    pub fn hold(mut self, gate: &Gate) -> Self {
        self.before.push(Step::WaitFor(gate.clone()));
        self
    }

    /// Sends head and body byte by byte.
    pub fn drip(mut self, pause: Duration) -> Self {
        self.before.push(Step::Drip(pause));
        self
    }

    /// Sends head and body through a link.
    pub fn over(mut self, link: &Link) -> Self {
        self.before.push(Step::Over(link.clone()));
        self
    }

    /// Sends the head and so many bytes of the body, then closes.
    pub fn cut(mut self, bytes: usize) -> Self {
        self.after.push(Step::Cut(bytes));
        self
    }

    /// As [`cut`](Self::cut), with a reset.
    pub fn cut_and_reset(mut self, bytes: usize) -> Self {
        self.after.push(Step::Cut(bytes));
        self.after.push(Step::Reset);
        self
    }

    /// Repeats a piece of body for ever.
    pub fn endless(mut self, piece: impl Into<Vec<u8>>) -> Self {
        if !matches!(self.framing, Framing::Raw) {
            self.framing = Framing::Chunked;
        }
        self.after.push(Step::Endless(piece.into()));
        self
    }
}

/// Something that answers can wait for. Opens for all at once.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// A link that lets through so many bytes a second, for all answers that share it together.
#[derive(Clone, Debug)]
pub struct Link {
    busy: Arc<Mutex<()>>,
    rate: u32,
}

impl Link {
    pub fn new(rate: u32) -> Self {
        Self { busy: Arc::default(), rate }
    }
}

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    log: Mutex<Vec<Request>>,
    arrivals: Condvar,
    ticks: AtomicU64,
    received: Mutex<Vec<u8>>,
    sent: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
    stopped: (Mutex<bool>, Condvar),
}

/// A server on a free port of 127.0.0.1, which lives as long as the value.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::launch(Box::new(handler), None)
    }

    pub fn start_tls(
        tls: Arc<ServerConfig>,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::launch(Box::new(handler), Some(tls))
    }

    fn launch(handler: Box<Handler>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler,
            log: Mutex::default(),
            arrivals: Condvar::new(),
            ticks: AtomicU64::new(0),
            received: Mutex::default(),
            sent: AtomicU64::new(0),
            connections: Mutex::default(),
            stopping: AtomicBool::new(false),
            stopped: Default::default(),
        });
        let inner = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &inner, tls.as_ref()));
        Self { shared, address, acceptor: Some(acceptor) }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what came so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().clone()
    }

    /// Waits until so many requests have arrived; panics after ten seconds.
    pub fn wait_for(&self, number: usize) {
        let log = self.shared.log.lock().unwrap();
        let (log, _) = self
            .shared
            .arrivals
            .wait_timeout_while(log, Duration::from_secs(10), |log| log.len() < number)
            .unwrap();
        assert!(log.len() >= number, "{} of {number} requests came", log.len());
    }

    /// Returns every byte that came, TLS taken off, over all connections.
    pub fn received(&self) -> Vec<u8> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Returns how many bytes were sent, those that wait in the kernel included.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Returns how many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        *self.shared.stopped.0.lock().unwrap() = true;
        self.shared.stopped.1.notify_all();
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, tls: Option<&Arc<ServerConfig>>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let number = {
            let mut connections = shared.connections.lock().unwrap();
            connections.push(stream.try_clone().unwrap());
            connections.len()
        };
        let shared = Arc::clone(shared);
        let tls = tls.cloned();
        threads.push(std::thread::spawn(move || {
            let raw = stream.try_clone().unwrap();
            match tls {
                None => serve(stream, &raw, number, &shared),
                Some(tls) => serve(
                    StreamOwned::new(ServerConnection::new(tls).unwrap(), stream),
                    &raw,
                    number,
                    &shared,
                ),
            }
            let _ = raw.shutdown(Shutdown::Both);
        }));
    }
    // A connection that was accepted while the end began is in the list by now.
    for connection in shared.connections.lock().unwrap().iter() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Reads through, and keeps a copy.
struct Tee<'a, S>(S, &'a Shared);

impl<S: Read> Read for Tee<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.received.lock().unwrap().extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

fn serve<S: Read + Write>(stream: S, raw: &TcpStream, number: usize, shared: &Shared) {
    let mut reader = BufReader::new(Tee(stream, shared));
    while let Ok(Some(mut request)) = read_request(&mut reader) {
        request.connection = number;
        {
            let mut log = shared.log.lock().unwrap();
            request.number = log.len() + 1;
            request.arrived = shared.ticks.fetch_add(1, Ordering::SeqCst);
            log.push(request.clone());
            shared.arrivals.notify_all();
        }
        let answer = (shared.handler)(&request);
        let wanted =
            request.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
        let head = request.method == "HEAD";
        let goes_on = write_answer(
            &mut reader.get_mut().0,
            raw,
            &answer,
            head,
            &|| answered(shared, request.number),
            shared,
        );
        if !goes_on || !wanted {
            return;
        }
    }
}

fn answered(shared: &Shared, number: usize) {
    let mut log = shared.log.lock().unwrap();
    let tick = shared.ticks.fetch_add(1, Ordering::SeqCst);
    if let Some(request) = log.get_mut(number - 1) {
        request.answered.get_or_insert(tick);
    }
}

fn read_line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = reader.take(1 << 20).read_until(b'\n', &mut line)?;
    if count == 0 || line.last() != Some(&b'\n') {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_request<S: Read + Write>(
    reader: &mut BufReader<Tee<'_, S>>,
) -> std::io::Result<Option<Request>> {
    // A TLS greeting is not a request, and has no line end to wait for.
    if reader.fill_buf()?.first() == Some(&0x16) {
        return Ok(None);
    }
    let Some(line) = read_line(reader)? else { return Ok(None) };
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request =
        Request { method: method.to_owned(), target: target.to_owned(), ..Request::default() };
    loop {
        match read_line(reader)? {
            None => return Ok(None),
            Some(line) if line.is_empty() => break,
            Some(line) => {
                if let Some((name, value)) = line.split_once(':') {
                    request
                        .headers
                        .push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
            }
        }
    }
    if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        let stream = &mut reader.get_mut().0;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.flush()?;
    }
    if request
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
    {
        loop {
            let Some(line) = read_line(reader)? else { return Ok(None) };
            let size =
                usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16).unwrap_or(0);
            if size == 0 {
                while read_line(reader)?.is_some_and(|line| !line.is_empty()) {}
                break;
            }
            let start = request.body.len();
            request.body.resize(start + size, 0);
            reader.read_exact(&mut request.body[start..])?;
            read_line(reader)?;
        }
    } else if let Some(length) =
        request.header("content-length").and_then(|value| value.parse().ok())
    {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

/// Waits, unless the end comes first; returns whether to go on.
fn wait(shared: &Shared, time: Duration) -> bool {
    let stopped = shared.stopped.0.lock().unwrap();
    let (stopped, _) =
        shared.stopped.1.wait_timeout_while(stopped, time, |stopped| !*stopped).unwrap();
    !*stopped
}

fn wait_for(shared: &Shared, gate: &Gate) -> bool {
    let until = Instant::now() + Duration::from_secs(30);
    let mut open = gate.0.0.lock().unwrap();
    while !*open {
        if shared.stopping.load(Ordering::SeqCst) || Instant::now() > until {
            return false;
        }
        open = gate.0.1.wait_timeout(open, Duration::from_millis(20)).unwrap().0;
    }
    true
}

/// Sends an answer, and returns whether the connection goes on. `done` is called before its last
/// byte goes out.
fn write_answer(
    stream: &mut impl Write,
    raw: &TcpStream,
    answer: &Answer,
    head: bool,
    done: &dyn Fn(),
    shared: &Shared,
) -> bool {
    let mut pause = Duration::ZERO;
    let mut link = None;
    for step in &answer.before {
        let goes_on = match step {
            Step::Wait(time) => wait(shared, *time),
            Step::WaitFor(gate) => wait_for(shared, gate),
            Step::Drip(time) => {
                pause = *time;
                true
            }
            Step::Over(shared) => {
                link = Some(shared);
                true
            }
            _ => true,
        };
        if !goes_on {
            return false;
        }
    }
    let mut send = |bytes: &[u8]| -> bool {
        let size = if link.is_some() { 4 << 10 } else { 64 << 10 };
        for piece in bytes.chunks(if pause.is_zero() { size } else { 1 }) {
            if let Some(link) = link {
                let _busy = link.busy.lock().unwrap();
                let time = Duration::from_secs(1) * u32::try_from(piece.len()).unwrap() / link.rate;
                if !wait(shared, time) {
                    return false;
                }
            }
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                return false;
            }
            shared.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if !pause.is_zero() && !wait(shared, pause) {
                return false;
            }
        }
        true
    };
    let cut = answer
        .after
        .iter()
        .find_map(|step| if let Step::Cut(bytes) = step { Some(*bytes) } else { None });
    let endless = answer.after.iter().find_map(|step| {
        if let Step::Endless(piece) = step { Some(piece.as_slice()) } else { None }
    });
    let body = if head {
        &[][..]
    } else {
        answer.body.get(..cut.unwrap_or(usize::MAX)).unwrap_or(&answer.body)
    };
    let mut out = head_of(answer);
    match answer.framing {
        Framing::Chunked if !head => {
            if !body.is_empty() {
                out.extend_from_slice(&chunk(body));
            }
            if cut.is_none() && endless.is_none() {
                out.extend_from_slice(b"0\r\n\r\n");
            }
        }
        _ => out.extend_from_slice(body),
    }
    done();
    let mut good = send(&out);
    if let Some(piece) = endless {
        let piece =
            if matches!(answer.framing, Framing::Raw) { piece.to_vec() } else { chunk(piece) };
        while good && !shared.stopping.load(Ordering::SeqCst) {
            good = send(&piece);
        }
        return false;
    }
    if answer.after.iter().any(|step| matches!(step, Step::Reset)) {
        let _ = rustix::net::sockopt::set_socket_linger(raw, Some(Duration::ZERO));
        return false;
    }
    good && cut.is_none() && matches!(answer.framing, Framing::Length | Framing::Chunked)
}

fn head_of(answer: &Answer) -> Vec<u8> {
    if matches!(answer.framing, Framing::Raw) {
        return Vec::new();
    }
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    let named = |name: &str| answer.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    match answer.framing {
        Framing::Length
            if !named("content-length") && answer.status != 204 && answer.status != 304 =>
        {
            head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
        Framing::UntilClose => head.push_str("Connection: close\r\n"),
        _ => {}
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
