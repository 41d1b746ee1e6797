//! A client that sends exact bytes and notes when each piece of an answer came.

use super::wire::{Framing, LAST_CHUNK, Wire, chunk, framing, parse_head, values};
use super::{clock::within, ms};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Longer than any answer takes; a test that means a time says so itself.
const PATIENCE: Duration = ms(60_000);

#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn get(&self, name: &str) -> Option<&str> {
        values(&self.headers, name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// How the body after this head ends.
    pub fn framing(&self, method: &str) -> Framing {
        match self.status {
            101 | 204 | 304 => Framing::None,
            _ if method == "HEAD" => Framing::None,
            _ => framing(&self.headers, Framing::UntilClose),
        }
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
    /// The pieces of the body as they came: chunk by chunk where it was chunked.
    pub pieces: Vec<(Instant, Vec<u8>)>,
    /// Why the body did not end as its framing promised.
    pub broken: Option<String>,
}

impl Reply {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {} {:?}", self.status, self.text()),
        }
    }

    /// Fails the test with the whole answer when the status is another.
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{:?}\n{}", self.head, self.text());
        assert_eq!(self.broken, None, "{:?}", self.head);
        self
    }
}

pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Send the body in chunks of this size.
    pub chunks: Option<usize>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.into(),
            target: target.into(),
            headers: vec![("host".into(), "gateway.test".into())],
            body: Vec::new(),
            chunks: None,
        }
    }

    /// A POST of JSON.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
        let mut request = Request::new("POST", target).header("content-type", "application/json");
        request.body = body.into();
        request
    }

    pub fn chat(body: impl Into<Vec<u8>>) -> Request {
        Request::post("/v1/chat/completions", body)
    }

    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The header with this value alone.
    pub fn only(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    pub fn key(self, secret: &str) -> Request {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub fn chunked(mut self, size: usize) -> Request {
        self.chunks = Some(size);
        self
    }

    /// The head alone, with the framing of the body that would follow.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunks.is_some() {
            out.push_str("transfer-encoding: chunked\r\n");
        } else if self.method != "GET" || !self.body.is_empty() {
            out.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        out.push_str("\r\n");
        out.into_bytes()
    }

    pub fn body_bytes(&self) -> Vec<u8> {
        let Some(size) = self.chunks else {
            return self.body.clone();
        };
        let mut out: Vec<u8> = self.body.chunks(size).flat_map(chunk).collect();
        out.extend_from_slice(LAST_CHUNK);
        out
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.head_bytes();
        out.extend(self.body_bytes());
        out
    }

    /// Sends all of it on a connection of its own, then reads the answer: a peer that resets the
    /// connection before its answer is read fails the test.
    pub async fn to(&self, address: SocketAddr) -> Reply {
        let mut conn = Conn::open(address).await;
        conn.ask(self).await
    }
}

/// One client connection.
pub struct Conn {
    pub wire: Wire,
}

impl Conn {
    pub async fn open(address: SocketAddr) -> Conn {
        let stream = within("connect", ms(10_000), TcpStream::connect(address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Conn {
            wire: Wire::new(stream),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        within("send", PATIENCE, self.wire.send(bytes))
            .await
            .expect("send to the gateway");
    }

    pub async fn ask(&mut self, request: &Request) -> Reply {
        self.send(&request.bytes()).await;
        self.reply(&request.method).await
    }

    /// The next head, an interim one too; an error when the connection ends instead.
    pub async fn try_head(&mut self) -> io::Result<Head> {
        let bytes = within("an answer", PATIENCE, self.wire.head()).await?;
        let Some(bytes) = bytes else {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "closed without an answer",
            ));
        };
        let (start, headers) = parse_head(&bytes);
        let status = start.split(' ').nth(1).and_then(|s| s.parse().ok());
        Ok(Head {
            status: status.unwrap_or_else(|| panic!("no status: {start:?}")),
            headers,
        })
    }

    /// The next head that is not an interim one.
    pub async fn head(&mut self) -> Head {
        loop {
            let head = self.try_head().await.expect("an answer");
            if head.status >= 200 || head.status == 101 {
                return head;
            }
        }
    }

    pub async fn reply(&mut self, method: &str) -> Reply {
        let head = self.head().await;
        self.rest(head, method).await
    }

    /// The body after `head`.
    pub async fn rest(&mut self, head: Head, method: &str) -> Reply {
        let mut framing = head.framing(method);
        let mut pieces = Vec::new();
        let mut broken = None;
        loop {
            match within("a body", PATIENCE, self.wire.piece(&mut framing)).await {
                Ok(Some(piece)) => pieces.push((Instant::now(), piece.to_vec())),
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        let body = pieces
            .iter()
            .flat_map(|(_, piece)| piece.iter().copied())
            .collect();
        Reply {
            status: head.status,
            head,
            body,
            pieces,
            broken,
        }
    }

    /// Reads the body on until what was read of it contains `text`; gives all of it back.
    pub async fn body_until(&mut self, framing: &mut Framing, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let what = format!("{text:?} in the body");
            match within(&what, ms(20_000), self.wire.piece(framing)).await {
                Ok(Some(piece)) => seen.push_str(&String::from_utf8_lossy(&piece)),
                end => panic!("the body ended ({end:?}) before {text:?}: {seen:?}"),
            }
        }
        seen
    }

    /// Waits until the gateway closes the connection; what it sent before, answers and all.
    pub async fn closed(&mut self, limit: Duration) -> Vec<u8> {
        let mut out = self.wire.take_buffered().to_vec();
        within("the gateway closes the connection", limit, async {
            while let Ok(1..) = self.wire.fill().await {}
        })
        .await;
        out.extend(self.wire.take_buffered());
        out
    }
}
