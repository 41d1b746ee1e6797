//! HTTP/1.1 as bytes, for both ends: the client and the scripted provider read with this.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Io for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Io for tokio_rustls::client::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Io for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    /// Bytes still to come.
    Length(u64),
    Chunked,
    UntilClose,
}

/// A connection and what was read from it but not yet asked for.
pub struct Wire {
    pub io: Box<dyn Io>,
    buffer: BytesMut,
}

impl Wire {
    pub fn new(io: impl Io + 'static) -> Wire {
        Wire {
            io: Box::new(io),
            buffer: BytesMut::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Reads what is there into the buffer; 0 at the end of the connection. Cancel-safe.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(64 * 1024);
        self.io.read_buf(&mut self.buffer).await
    }

    pub fn take_buffered(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// A head up to and with its empty line; `None` when the peer closed before its first byte.
    pub async fn head(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.split_to(end + 4).freeze()));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(cut())
                };
            }
        }
    }

    /// The next piece of a body; `None` at its end. A chunk comes whole, as it was framed.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        match framing {
            Framing::None | Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Err(cut());
                }
                let size = self
                    .buffer
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= size as u64;
                Ok(Some(self.buffer.split_to(size).freeze()))
            }
            Framing::Chunked => {
                let piece = self.chunk().await?;
                if piece.is_none() {
                    *framing = Framing::None;
                }
                Ok(piece)
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Ok(None);
                }
                Ok(Some(self.take_buffered()))
            }
        }
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let line = self.line().await?;
        let text = String::from_utf8_lossy(&line);
        let digits = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16)
            .map_err(|_| io::Error::other(format!("not a chunk size: {text:?}")))?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            return Ok(None);
        }
        let data = self.exactly(size).await?;
        let end = self.exactly(2).await?;
        if &end[..] != b"\r\n" {
            return Err(io::Error::other("a chunk without its line end"));
        }
        Ok(Some(data))
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(end).freeze();
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err(cut());
            }
        }
    }

    async fn exactly(&mut self, size: usize) -> io::Result<Bytes> {
        while self.buffer.len() < size {
            if self.fill().await? == 0 {
                return Err(cut());
            }
        }
        Ok(self.buffer.split_to(size).freeze())
    }
}

/// The start line and the headers, in their order, names as sent.
pub fn parse_head(head: &[u8]) -> (String, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(head).into_owned();
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_string();
    let headers = lines
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(':') {
            Some((name, value)) => (name.to_string(), value.trim().to_string()),
            None => panic!("a header line without a colon: {line:?}"),
        })
        .collect();
    (start, headers)
}

/// Every value of the header `name`, whatever its case.
pub fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.as_str())
        .collect()
}

/// How the body after these headers ends; `otherwise` when they say nothing.
pub fn framing(headers: &[(String, String)], otherwise: Framing) -> Framing {
    if values(headers, "transfer-encoding")
        .iter()
        .any(|v| v.eq_ignore_ascii_case("chunked"))
    {
        return Framing::Chunked;
    }
    match values(headers, "content-length").first() {
        Some(length) => Framing::Length(length.parse().expect("a content-length")),
        None => otherwise,
    }
}

/// One HTTP chunk.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn cut() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the connection ended in mid-message",
    )
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
