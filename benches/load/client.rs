//! A load generator that costs little: raw HTTP/1.1 on kept connections.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// When an answer came.
pub struct Answered {
    /// The first content of a stream, or the whole answer.
    pub first: Instant,
    pub last: Instant,
}

/// What the provider's first content chunk holds.
const FIRST_CONTENT: &[u8] = b"Water";
const DONE: &[u8] = b"data: [DONE]";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Client {
    pub async fn connect(address: SocketAddr) -> Outcome<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            buffer: Vec::with_capacity(64 << 10),
        })
    }

    /// One request and its whole answer; an error unless that is a good one.
    pub async fn ask(&mut self, request: &[u8]) -> Outcome<Answered> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head = None;
        let mut first = None;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended inside an answer".into());
            }
            if head.is_none() {
                head = Head::parse(&self.buffer)?;
            }
            let Some(head) = &head else { continue };
            let body = self.buffer.get(head.size..).unwrap_or_default();
            if first.is_none() && memchr::memmem::find(body, FIRST_CONTENT).is_some() {
                first = Some(Instant::now());
            }
            if head.ends(body) {
                let first = first.ok_or("an answer without content")?;
                return Ok(Answered {
                    first,
                    last: Instant::now(),
                });
            }
        }
    }
}

struct Head {
    size: usize,
    /// `None`: chunked.
    length: Option<usize>,
    stream: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Outcome<Option<Head>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(size) = response.parse(bytes)? else {
            return Ok(None);
        };
        if response.code != Some(200) {
            let body = String::from_utf8_lossy(bytes.get(size..).unwrap_or_default());
            return Err(format!("status {:?}: {body}", response.code).into());
        }
        let mut head = Head {
            size,
            length: None,
            stream: false,
        };
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                head.length = Some(std::str::from_utf8(header.value)?.parse()?);
            }
            if header.name.eq_ignore_ascii_case("content-type") {
                head.stream = header.value.starts_with(b"text/event-stream");
            }
        }
        Ok(Some(head))
    }

    /// Whether this is the whole body. Nothing follows an answer, so its end is the buffer's.
    fn ends(&self, body: &[u8]) -> bool {
        let Some(length) = self.length else {
            let from = body.len().saturating_sub(64);
            let tail = body.get(from..).unwrap_or_default();
            let done = !self.stream || memchr::memmem::find(tail, DONE).is_some();
            return done && tail.ends_with(LAST_CHUNK);
        };
        body.len() >= length
    }
}
