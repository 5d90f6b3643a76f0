//! A client of HTTP on loopback, as small as trials need it: one call, one connection.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use testkit::{Answer, Request};

/// What came back.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Calls `ADDRESS` (`127.0.0.1:PORT`). `Host` and `Content-Length` are written unless `headers` has
/// them.
pub fn call(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    let named = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !named("host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    let without_body = body.is_empty() && matches!(method, "GET" | "HEAD");
    if !named("content-length") && !without_body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    read(&bytes, method == "HEAD")
        .ok_or_else(|| Error::new(ErrorKind::InvalidData, "not an answer of HTTP, or half of one"))
}

/// Asks the server behind `upstream` what was asked here, under `target`: without the headers in
/// `less`, with those in `more`. Returns its answer.
pub fn forward(
    upstream: &str,
    request: &Request,
    target: &str,
    less: &[&str],
    more: &[(&str, &str)],
) -> Answer {
    let own = ["connection", "content-length", "expect", "transfer-encoding"];
    let mut headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()) && !less.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    headers.extend(more);
    let reply = match call(upstream, &request.method, target, &headers, &request.body) {
        Ok(reply) => reply,
        Err(error) => return Answer::new(502).body(error.to_string()),
    };
    let head = request.method == "HEAD";
    let dropped = ["connection", "date", "server", "transfer-encoding"];
    let mut answer = Answer::new(reply.status);
    for (name, value) in &reply.headers {
        let lower = name.to_ascii_lowercase();
        // The length of a body is what came of it; the answer to HEAD has none.
        if !dropped.contains(&lower.as_str()) && (head || lower != "content-length") {
            answer = answer.header(name, value);
        }
    }
    answer.body(reply.body)
}

fn read(bytes: &[u8], head_only: bool) -> Option<Reply> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let mut reply = Reply { status, headers, body: Vec::new() };
    let rest = bytes.get(end + 4..)?;
    let chunked = reply.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let length = reply.header("content-length").and_then(|value| value.parse().ok());
    reply.body = match length {
        _ if head_only => Vec::new(),
        _ if chunked => unchunk(rest)?,
        Some(length) => rest.get(..length)?.to_vec(),
        None => rest.to_vec(),
    };
    Some(reply)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
