//! A load generator that costs little: raw HTTP/1.1 on kept connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Failure, Outcome};

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    stamps: Option<Stamps>,
}

/// When an answer came.
pub struct Answered {
    /// The first content of a stream, or the whole answer.
    pub first: Instant,
    pub last: Instant,
    /// Of each chunk with a stamp, from being written to being read, in microseconds.
    pub delays: Vec<f64>,
}

/// What the provider's first content chunk holds.
const FIRST_CONTENT: &[u8] = b"Water";
const DONE: &[u8] = b"data: [DONE]\n\n";
/// Longer than any proxy takes; what stays silent so long has lost the answer.
const SILENCE: Duration = Duration::from_secs(10);

impl Client {
    pub async fn connect(address: SocketAddr) -> Outcome<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            buffer: Vec::with_capacity(64 << 10),
            stamps: None,
        })
    }

    /// From here on the answers are streams whose chunks say when they were written.
    pub fn expect_stamps(&mut self) {
        self.stamps = Some(Stamps::default());
    }

    /// One request and its whole answer; an error unless that is a good one.
    pub async fn ask(&mut self, request: &[u8]) -> Outcome<Answered> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head = None;
        let mut first = None;
        let mut progress = Progress::default();
        loop {
            let read = timeout(SILENCE, self.stream.read_buf(&mut self.buffer)).await;
            match read {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => return Err(self.broken("the connection ended")),
                Ok(Err(error)) => return Err(self.broken(&error.to_string())),
                Err(_) => return Err(self.broken("nothing more came")),
            }
            if head.is_none() {
                head = Head::parse(&self.buffer)?;
            }
            let Some(head) = &head else { continue };
            let body = self.buffer.get(head.size..).unwrap_or_default();
            let has_content = match &mut self.stamps {
                Some(stamps) => stamps.read(body),
                None => first.is_none() && memchr::memmem::find(body, FIRST_CONTENT).is_some(),
            };
            if first.is_none() && has_content {
                first = Some(Instant::now());
            }
            if progress.complete(head, body)? {
                let first = first.ok_or("an answer without content")?;
                return Ok(Answered {
                    first,
                    last: Instant::now(),
                    delays: self.stamps.as_mut().map(Stamps::take).unwrap_or_default(),
                });
            }
        }
    }

    fn broken(&self, how: &str) -> Failure {
        let from = self.buffer.len().saturating_sub(200);
        let tail = String::from_utf8_lossy(self.buffer.get(from..).unwrap_or_default());
        format!(
            "{how} after {} bytes of an answer: {tail:?}",
            self.buffer.len()
        )
        .into()
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
}

/// How far a body has been read.
#[derive(Default)]
struct Progress {
    /// Where the next chunk begins.
    at: usize,
    /// The last bytes of what the chunks carry, wherever a proxy has cut it.
    tail: Vec<u8>,
}

impl Progress {
    /// Whether this is the whole body; an error if it ends in the wrong way.
    fn complete(&mut self, head: &Head, body: &[u8]) -> Outcome<bool> {
        if let Some(length) = head.length {
            return Ok(body.len() >= length);
        }
        while let httparse::Status::Complete((skip, size)) = chunk(body, self.at)? {
            let from = self.at + skip;
            let to = from + usize::try_from(size)?;
            let Some(payload) = body.get(from..to) else {
                return Ok(false);
            };
            if body.len() < to + 2 {
                return Ok(false);
            }
            if size == 0 {
                return match !head.stream || self.tail.ends_with(DONE) {
                    true => Ok(true),
                    false => Err("a stream without [DONE]".into()),
                };
            }
            self.tail.extend_from_slice(payload);
            self.tail
                .drain(..self.tail.len().saturating_sub(DONE.len()));
            self.at = to + 2;
        }
        Ok(false)
    }
}

fn chunk(body: &[u8], at: usize) -> Outcome<httparse::Status<(usize, u64)>> {
    httparse::parse_chunk_size(body.get(at..).unwrap_or_default())
        .map_err(|_| "a chunk without a size".into())
}

/// Reads off the chunks when they were written. The generator shares its core with the provider:
/// each byte is looked at once, and no JSON is read.
struct Stamps {
    content: memchr::memmem::Finder<'static>,
    /// How far the body has been searched.
    at: usize,
    delays: Vec<f64>,
}

/// Nanoseconds since 1970, from the year 2001 to the year 2286.
const DIGITS: usize = 19;

impl Default for Stamps {
    fn default() -> Stamps {
        Stamps {
            content: memchr::memmem::Finder::new(b"\"content\":\""),
            at: 0,
            delays: Vec::new(),
        }
    }
}

impl Stamps {
    /// Whether any stamp has come so far.
    fn read(&mut self, body: &[u8]) -> bool {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = self.content.needle().len();
        while let Some(found) = self.content.find(body.get(self.at..).unwrap_or_default()) {
            let from = self.at + found + name;
            let Some(text) = body.get(from..from + DIGITS) else {
                // Its rest comes next.
                self.at += found;
                return !self.delays.is_empty();
            };
            self.at = from;
            // The chunk with the role has none, and a proxy may cut one in two.
            let stamp = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok());
            if let Some(written) = stamp.map(Duration::from_nanos) {
                self.delays
                    .push(now.saturating_sub(written).as_secs_f64() * 1e6);
            }
        }
        self.at = self.at.max(body.len().saturating_sub(name - 1));
        !self.delays.is_empty()
    }

    fn take(&mut self) -> Vec<f64> {
        self.at = 0;
        std::mem::take(&mut self.delays)
    }
}
