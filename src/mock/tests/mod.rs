//! Every fault, over real sockets, seen by a client that reads raw bytes.

mod endings;
mod faults;
mod prefill;
mod shapes;
mod streams;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Behaviour, Stats, serve};

/// Long enough that silence is meant.
const SILENCE: Duration = Duration::from_secs(1);

struct Mock {
    address: std::net::SocketAddr,
    stats: Arc<Stats>,
    task: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn mock(behaviour: Behaviour) -> Mock {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stats = behaviour.stats();
    Mock {
        address,
        stats,
        task: tokio::spawn(serve(listener, behaviour)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The answer was complete.
    Complete,
    Fin,
    Reset,
    Silent,
}

/// All that came back for one request.
#[derive(Debug)]
struct Reply {
    head: String,
    /// Without the chunked framing.
    body: Vec<u8>,
    end: End,
}

impl Reply {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap_or("0").parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The payloads of a stream's events.
    fn events(&self) -> Vec<&str> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect()
    }

    /// The content of a stream, put together.
    fn content(&self) -> String {
        self.values()
            .filter_map(|v| Some(v["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect()
    }

    fn values(&self) -> impl Iterator<Item = Value> {
        self.events()
            .into_iter()
            .filter_map(|event| serde_json::from_str(event).ok())
    }
}

struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    async fn new(mock: &Mock) -> Client {
        Client {
            stream: TcpStream::connect(mock.address).await.unwrap(),
            rest: Vec::new(),
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn post(&mut self, path: &str, body: &str) -> Reply {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: mock\r\nAuthorization: Bearer sk-secret\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        self.send(head.as_bytes()).await;
        self.send(body.as_bytes()).await;
        self.reply().await
    }

    async fn chat(&mut self, model: &str) -> Reply {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        self.post("/v1/chat/completions", &body).await
    }

    async fn stream(&mut self, model: &str) -> Reply {
        let body = format!(
            r#"{{"model":"{model}","stream":true,"stream_options":{{"include_usage":true}}}}"#
        );
        self.post("/v1/chat/completions", &body).await
    }

    async fn reply(&mut self) -> Reply {
        let mut head = String::new();
        loop {
            if let Some((text, body, used)) = complete(&self.rest) {
                self.rest.drain(..used);
                return Reply {
                    head: text,
                    body,
                    end: End::Complete,
                };
            }
            let mut piece = vec![0; 1 << 16];
            let end = match timeout(SILENCE, self.stream.read(&mut piece)).await {
                Err(_) => End::Silent,
                Ok(Err(_)) => End::Reset,
                Ok(Ok(0)) => End::Fin,
                Ok(Ok(count)) => {
                    self.rest.extend_from_slice(&piece[..count]);
                    continue;
                }
            };
            let mut body = std::mem::take(&mut self.rest);
            if let Some(at) = memchr::memmem::find(&body, b"\r\n\r\n") {
                head = String::from_utf8(body.drain(..at + 4).collect()).unwrap();
            }
            if head.contains("Transfer-Encoding: chunked") {
                body = dechunk(&body).0;
            }
            return Reply { head, body, end };
        }
    }
}

/// One whole answer at the beginning of these bytes, and how many bytes it took.
fn complete(bytes: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let at = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let rest = &bytes[at..];
    if head.starts_with("HTTP/1.1 1") {
        return Some((head, Vec::new(), at));
    }
    if head.contains("Transfer-Encoding: chunked") {
        let (body, used) = dechunk(rest);
        return used.map(|used| (head, body, at + used));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))?;
    let length: usize = length.parse().unwrap();
    let body = rest.get(..length)?.to_vec();
    Some((head, body, at + length))
}

/// The payload so far, and the framed length if the last chunk is there.
fn dechunk(bytes: &[u8]) -> (Vec<u8>, Option<usize>) {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Ok(httparse::Status::Complete((skip, size))) =
        httparse::parse_chunk_size(&bytes[at..])
    {
        let from = at + skip;
        let to = (from + size as usize).min(bytes.len());
        body.extend_from_slice(&bytes[from..to]);
        if bytes.len() < to + 2 {
            break;
        }
        at = to + 2;
        if size == 0 {
            return (body, Some(at));
        }
    }
    (body, None)
}

/// One request to a mock of its own.
async fn chat(model: &str) -> Reply {
    let mock = mock(Behaviour::default()).await;
    Client::new(&mock).await.chat(model).await
}

/// One stream from a mock of its own.
async fn stream(model: &str) -> Reply {
    let mock = mock(Behaviour::default()).await;
    Client::new(&mock).await.stream(model).await
}
