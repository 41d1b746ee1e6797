//! A question to a running gateway's admin port.

use http::HeaderValue;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);
/// An answer larger than this is none of ours.
const MOST: usize = 64 << 20;
const MAX_HEADERS: usize = 64;

/// The address as it is written is this one.
pub fn is(address: &str, other: SocketAddr) -> bool {
    let host = host(address).ok();
    host.and_then(|host| host.parse().ok()) == Some(other)
}

/// Asked in HTTP/1.0, so that the answer comes in one piece.
pub fn get(address: &str, path: &str, token: Option<&str>) -> Result<Vec<u8>, String> {
    let host = host(address)?;
    let mut request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\nconnection: close\r\n");
    if let Some(token) = token {
        HeaderValue::from_str(token).map_err(|_| "the token is no value of a header")?;
        request.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    request.push_str("\r\n");
    let unreachable = |error: std::io::Error| format!("cannot be asked: {error}");
    let mut stream = connect(host).map_err(unreachable)?;
    let end = Instant::now() + WHOLE;
    stream
        .set_write_timeout(Some(CONNECT))
        .map_err(unreachable)?;
    stream.write_all(request.as_bytes()).map_err(unreachable)?;
    let bytes = read(&mut stream, end).map_err(unreachable)?;
    body(&bytes)
}

/// `127.0.0.1:9090` of `http://127.0.0.1:9090/`.
fn host(address: &str) -> Result<&str, String> {
    let host = address.strip_prefix("http://").unwrap_or(address);
    let host = host.strip_suffix('/').unwrap_or(host);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    if has_port && host.chars().all(is_plain) {
        return Ok(host);
    }
    Err("is not a host and its port, such as `http://127.0.0.1:9090`".to_owned())
}

fn connect(host: &str) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::other("the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn read(stream: &mut TcpStream, end: Instant) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream
            .read(&mut buffer)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::WouldBlock => std::io::ErrorKind::TimedOut.into(),
                _ => error,
            })?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes.extend(buffer.iter().take(read));
        if bytes.len() > MOST {
            return Err(std::io::Error::other("the answer is too large"));
        }
        // Not everyone hangs up after it.
        if Answer::of(&bytes).is_some_and(|answer| answer.length == Some(answer.body.len())) {
            return Ok(bytes);
        }
    }
}

struct Answer<'b> {
    status: u16,
    /// As its head says.
    length: Option<usize>,
    body: &'b [u8],
}

impl Answer<'_> {
    /// None: its head is not whole, or it is none.
    fn of(bytes: &[u8]) -> Option<Answer<'_>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else {
            return None;
        };
        let length = response.headers.iter().find_map(|header| {
            let is_length = header.name.eq_ignore_ascii_case("content-length");
            let text = is_length.then(|| std::str::from_utf8(header.value).ok())??;
            text.parse().ok()
        });
        Some(Answer {
            status: response.code?,
            length,
            body: bytes.get(head..)?,
        })
    }
}

fn body(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let answer = Answer::of(bytes).ok_or("the answer is no HTTP")?;
    if answer
        .length
        .is_some_and(|length| length != answer.body.len())
    {
        return Err("the answer is cut off".to_owned());
    }
    match answer.status {
        200 => Ok(answer.body.to_vec()),
        401 => Err("wants its token: say --token".to_owned()),
        404 => Err("has no /api/measures: is it an admin port?".to_owned()),
        status => Err(format!("answered {status}")),
    }
}
