//! Reads one request: its head, and its body as it passes by.

use std::io;

use sha2::{Digest, Sha256};

use super::scan::Scan;
use super::wire::Wire;

/// A request's first part, with what decides how the rest is read.
pub struct Head {
    raw: Vec<u8>,
    pub post: bool,
    pub target: String,
    pub length: Length,
    pub expects_continue: bool,
    pub keep_alive: bool,
    /// The protocol it asks to go over to.
    pub upgrade: Option<String>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Known(u64),
    Chunked,
}

/// What remains of a body once it has passed by.
#[derive(Default)]
pub struct Body {
    pub scan: Scan,
    pub length: u64,
    /// Only where somebody will look at it.
    digest: Option<Sha256>,
    kept: Vec<u8>,
}

const MOST_HEADERS: usize = 100;
const MOST_KEPT: usize = 1 << 20;

impl Head {
    /// The next request on this connection; `None` when the client ended it in between.
    pub async fn read(wire: &mut Wire) -> io::Result<Option<Head>> {
        loop {
            if let Some((head, size)) = Head::parse(wire.arrived())? {
                wire.consume(size);
                return Ok(Some(head));
            }
            if wire.fill().await? == 0 {
                return match wire.arrived() {
                    [] => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// The headers in order, as they were sent.
    pub fn headers(&self) -> Vec<(String, String)> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        // It was parsed once already.
        let _ = request.parse(&self.raw);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        request
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), text(header.value)))
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers().into_iter();
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn method(&self) -> String {
        let line = self
            .raw
            .split(|byte| *byte == b' ')
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let size = match request.parse(bytes).map_err(io::Error::other)? {
            httparse::Status::Complete(size) => size,
            httparse::Status::Partial => return Ok(None),
        };
        let mut head = Head {
            raw: bytes.get(..size).unwrap_or_default().to_vec(),
            post: request.method == Some("POST"),
            target: request.path.unwrap_or_default().to_owned(),
            length: Length::Known(0),
            expects_continue: false,
            keep_alive: request.version == Some(1),
            upgrade: None,
        };
        for header in request.headers.iter() {
            head.take(header.name, header.value)?;
        }
        Ok(Some((head, size)))
    }

    fn take(&mut self, name: &str, value: &[u8]) -> io::Result<()> {
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        if is("content-length") {
            let length = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            self.length = Length::Known(length.ok_or(io::ErrorKind::InvalidData)?);
        } else if is("transfer-encoding") {
            self.length = Length::Chunked;
        } else if is("expect") {
            self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
        } else if is("connection") {
            self.keep_alive &= !value.eq_ignore_ascii_case(b"close");
        } else if is("upgrade") {
            self.upgrade = Some(String::from_utf8_lossy(value).into_owned());
        }
        Ok(())
    }
}

impl Body {
    /// Reads the body that belongs to this head; with `look`, for somebody who will look at it.
    pub async fn read(wire: &mut Wire, head: &Head, look: bool) -> io::Result<Body> {
        let mut body = Body {
            digest: look.then(Sha256::new),
            ..Body::default()
        };
        if head.expects_continue && wire.arrived().is_empty() {
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match head.length {
            Length::Known(length) => body.pass(wire, length).await?,
            Length::Chunked => body.pass_chunks(wire).await?,
        }
        Ok(body)
    }

    pub fn sha256(&mut self) -> String {
        let digest = self.digest.take().unwrap_or_default().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The body's first MiB, where it was kept.
    pub fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    async fn pass(&mut self, wire: &mut Wire, length: u64) -> io::Result<()> {
        const MUCH: u64 = 64 << 10;
        if length > MUCH {
            wire.expect_much();
        }
        let mut left = length;
        while left > 0 {
            if wire.arrived().is_empty() && wire.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let arrived = wire.arrived();
            let here = arrived
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            self.feed(arrived.get(..here).unwrap_or_default());
            wire.consume(here);
            left -= here as u64;
        }
        Ok(())
    }

    async fn pass_chunks(&mut self, wire: &mut Wire) -> io::Result<()> {
        loop {
            let size = match httparse::parse_chunk_size(wire.arrived()) {
                Ok(httparse::Status::Complete((skip, size))) => {
                    wire.consume(skip);
                    size
                }
                Ok(httparse::Status::Partial) => {
                    more(wire).await?;
                    continue;
                }
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            };
            if size == 0 {
                return trailers(wire).await;
            }
            self.pass(wire, size).await?;
            line(wire).await?;
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.scan.feed(bytes);
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
            let room = (MOST_KEPT - self.kept.len()).min(bytes.len());
            self.kept
                .extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
    }
}

async fn trailers(wire: &mut Wire) -> io::Result<()> {
    while line(wire).await? > 0 {}
    Ok(())
}

/// Passes over one line; its length without the ending.
async fn line(wire: &mut Wire) -> io::Result<usize> {
    loop {
        if let Some(end) = memchr::memchr(b'\n', wire.arrived()) {
            wire.consume(end + 1);
            return Ok(end.saturating_sub(1));
        }
        more(wire).await?;
    }
}

async fn more(wire: &mut Wire) -> io::Result<()> {
    match wire.fill().await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
