//! As much of HTTP/1.1 as a registry on the loopback interface needs: GET, keep-alive, one thread per connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A request that the server has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The path with its query, such as `/index/config.json`.
    pub path: String,
    /// Header names in lower case, with their values, in the order sent.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }
}

/// What to answer.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Arc<[u8]>,
    /// Zero bytes to send after the body, announced in the length.
    pub(crate) padding: u64,
    /// Announce everything but close after so many bytes of the body.
    pub(crate) cut_after: Option<usize>,
    /// Send the body as it is, without any HTTP around it.
    pub(crate) raw: bool,
    /// Wait before answering.
    pub(crate) delay: Duration,
    /// Wait before each 1 KiB of the body.
    pub(crate) trickle: Duration,
}

/// Answers every connection until `stop` is set, each on a thread of its own.
pub(crate) fn serve(
    listener: &TcpListener,
    stop: &Arc<AtomicBool>,
    answer: impl Fn(Request) -> Response + Clone + Send + 'static,
) {
    for connection in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(connection) = connection {
            let answer = answer.clone();
            std::thread::spawn(move || {
                // A client that hangs up is the client's business.
                let _ = converse(&connection, &answer);
            });
        }
    }
}

fn converse(connection: &TcpStream, answer: &impl Fn(Request) -> Response) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader)? {
        let close = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let response = answer(request);
        let cut = response.raw || response.cut_after.is_some();
        write_response(connection, &response)?;
        if cut || close {
            connection.shutdown(std::net::Shutdown::Both)?;
            break;
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = Request { method: method.to_owned(), path: path.to_owned(), headers: Vec::new() };
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let length: usize = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length.min(1 << 24)];
    reader.read_exact(&mut body)?;
    Ok(Some(request))
}

fn write_response(mut connection: &TcpStream, response: &Response) -> std::io::Result<()> {
    std::thread::sleep(response.delay);
    if response.raw {
        return connection.write_all(&response.body);
    }
    let bodyless = response.status == 304 || response.status == 204;
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status)).into_bytes();
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    if !bodyless {
        write!(head, "content-length: {}\r\n", response.body.len() as u64 + response.padding)?;
    }
    head.extend_from_slice(b"\r\n");
    if bodyless {
        return connection.write_all(&head);
    }
    let end = response.cut_after.unwrap_or(usize::MAX).min(response.body.len());
    if response.trickle.is_zero() {
        head.extend_from_slice(&response.body[..end]);
        connection.write_all(&head)?;
    } else {
        connection.write_all(&head)?;
        for chunk in response.body[..end].chunks(1024) {
            std::thread::sleep(response.trickle);
            connection.write_all(chunk)?;
        }
    }
    let zeros = [0_u8; 65536];
    let mut left = response.padding;
    while left > 0 {
        let length = left.min(zeros.len() as u64) as usize;
        connection.write_all(&zeros[..length])?;
        left -= length as u64;
    }
    Ok(())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        304 => "Not Modified",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
