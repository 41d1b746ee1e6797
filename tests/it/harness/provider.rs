//! A provider that does what a test tells it and remembers every byte it was sent.

use super::answers::chat_reply;
use super::tls::Acceptor;
use super::wire::{Framing, Wire, framing, parse_head, values};
use sha2::{Digest, Sha256};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// One step of an answer. After the last one the connection waits for its next request.
#[derive(Clone)]
pub enum Act {
    Write(Vec<u8>),
    Sleep(Duration),
    /// Goes on when the test adds a permit.
    Gate(Arc<Semaphore>),
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// Nothing more, until the gateway leaves.
    Hang,
    /// Sends back whatever comes.
    Echo,
    /// Writes this over and over, until the gateway leaves.
    Flood(Vec<u8>),
    /// The same with this pause after each.
    Every(Duration, Vec<u8>),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub connection: usize,
    /// The position of the request on its connection, from 0.
    pub turn: usize,
    pub head: Vec<u8>,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub chunked: bool,
    /// Empty when the provider only counts.
    pub body: Vec<u8>,
    pub length: u64,
    pub sha256: [u8; 32],
    pub at: Instant,
}

impl Seen {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// The model asked for, or "" where the body names none.
    pub fn model(&self) -> String {
        serde_json::from_slice::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|body| Some(body.get("model")?.as_str()?.to_string()))
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub closed: Option<Instant>,
}

type Script = Box<dyn FnMut(usize, &Seen) -> Vec<Act> + Send>;

/// How request bodies are taken.
#[derive(Clone, Copy, PartialEq)]
enum Take {
    Keep,
    /// Only length and hash.
    Count,
    /// Answer after the head and close, the body unread.
    Never,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    connections: Vec<Connection>,
    /// When each `Act::Write` was written.
    written: Vec<Instant>,
}

struct Shared {
    log: Mutex<Log>,
    script: Mutex<Script>,
    take: Take,
    tls: Option<Acceptor>,
}

pub struct Provider {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Provider {
    /// `script` is asked for every request: its number from 0, and the request.
    pub async fn start(script: impl FnMut(usize, &Seen) -> Vec<Act> + Send + 'static) -> Provider {
        Provider::build(Box::new(script), Take::Keep, None).await
    }

    /// Answers every chat well.
    pub async fn well() -> Provider {
        Provider::start(|_, seen| chat_reply(seen)).await
    }

    /// Does the same for every request.
    pub async fn always(acts: Vec<Act>) -> Provider {
        Provider::start(move |_, _| acts.clone()).await
    }

    /// Does each once, then answers well.
    pub async fn first(acts: Vec<Vec<Act>>) -> Provider {
        Provider::start(move |n, seen| acts.get(n).cloned().unwrap_or_else(|| chat_reply(seen)))
            .await
    }

    /// Keeps no body, only its length and hash.
    pub async fn counting(
        script: impl FnMut(usize, &Seen) -> Vec<Act> + Send + 'static,
    ) -> Provider {
        Provider::build(Box::new(script), Take::Count, None).await
    }

    /// Acts as soon as the head is there and never reads the body.
    pub async fn hasty(acts: Vec<Act>) -> Provider {
        Provider::build(Box::new(move |_, _| acts.clone()), Take::Never, None).await
    }

    pub async fn tls(
        acceptor: Acceptor,
        script: impl FnMut(usize, &Seen) -> Vec<Act> + Send + 'static,
    ) -> Provider {
        Provider::build(Box::new(script), Take::Keep, Some(acceptor)).await
    }

    async fn build(script: Script, take: Take, tls: Option<Acceptor>) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Mutex::new(Log::default());
        let shared = Arc::new(Shared {
            log,
            script: Mutex::new(script),
            take,
            tls,
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Provider {
            address,
            shared,
            task,
        }
    }

    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.log.lock().unwrap().seen.clone()
    }

    /// The one request there was.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "requests at the provider");
        seen.remove(0)
    }

    pub fn count(&self) -> usize {
        self.shared.log.lock().unwrap().seen.len()
    }

    pub fn connections(&self) -> Vec<Connection> {
        self.shared.log.lock().unwrap().connections.clone()
    }

    pub fn written(&self) -> Vec<Instant> {
        self.shared.log.lock().unwrap().written.clone()
    }

    /// Whether every connection there was has ended.
    pub fn all_closed(&self) -> bool {
        let connections = self.connections();
        !connections.is_empty() && connections.iter().all(|c| c.closed.is_some())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let id = {
            let mut log = shared.log.lock().unwrap();
            log.connections.push(Connection { closed: None });
            log.connections.len() - 1
        };
        tokio::spawn(connection(id, stream, shared.clone()));
    }
}

async fn connection(id: usize, stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    // Errors are the gateway's doing, and what the tests ask about is in the log.
    let _ = match &shared.tls {
        None => talk(id, Wire::new(stream), &shared).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => talk(id, Wire::new(stream), &shared).await,
            Err(error) => Err(error),
        },
    };
    shared.log.lock().unwrap().connections[id].closed = Some(Instant::now());
}

async fn talk(id: usize, mut wire: Wire, shared: &Shared) -> io::Result<()> {
    for turn in 0.. {
        let Some(head) = wire.head().await? else {
            return Ok(());
        };
        let mut seen = request(id, turn, &head);
        if shared.take != Take::Never {
            read_body(&mut wire, &mut seen, shared.take).await?;
        }
        let number = {
            let mut log = shared.log.lock().unwrap();
            log.seen.push(seen.clone());
            log.seen.len() - 1
        };
        let acts = (shared.script.lock().unwrap())(number, &seen);
        for act in acts {
            if !perform(act, &mut wire, shared).await? {
                return Ok(());
            }
        }
        if shared.take == Take::Never {
            return Ok(());
        }
    }
    Ok(())
}

fn request(connection: usize, turn: usize, head: &[u8]) -> Seen {
    let (start, headers) = parse_head(head);
    let mut words = start.split(' ');
    Seen {
        connection,
        turn,
        head: head.to_vec(),
        method: words.next().unwrap_or_default().to_string(),
        target: words.next().unwrap_or_default().to_string(),
        chunked: framing(&headers, Framing::None) == Framing::Chunked,
        headers,
        body: Vec::new(),
        length: 0,
        sha256: [0; 32],
        at: Instant::now(),
    }
}

async fn read_body(wire: &mut Wire, seen: &mut Seen, take: Take) -> io::Result<()> {
    let mut framing = framing(&seen.headers, Framing::None);
    let mut hash = Sha256::new();
    while let Some(piece) = wire.piece(&mut framing).await? {
        hash.update(&piece);
        seen.length += piece.len() as u64;
        if take == Take::Keep {
            seen.body.extend_from_slice(&piece);
        }
    }
    seen.sha256 = hash.finalize().into();
    Ok(())
}

/// False when the connection is to end.
async fn perform(act: Act, wire: &mut Wire, shared: &Shared) -> io::Result<bool> {
    match act {
        Act::Write(bytes) => {
            shared.log.lock().unwrap().written.push(Instant::now());
            wire.send(&bytes).await?;
        }
        Act::Sleep(time) => watch(wire, tokio::time::sleep(time)).await?,
        Act::Gate(gate) => {
            watch(wire, async {
                gate.acquire().await.expect("a gate").forget();
            })
            .await?;
        }
        Act::Reset => {
            wire.io.tcp().set_zero_linger()?;
            return Ok(false);
        }
        Act::Close => return Ok(false),
        Act::Hang => watch(wire, std::future::pending::<()>()).await?,
        Act::Echo => loop {
            let bytes = wire.take_buffered();
            wire.send(&bytes).await?;
            if wire.fill().await? == 0 {
                return Ok(false);
            }
        },
        Act::Flood(bytes) => loop {
            wire.send(&bytes).await?;
        },
        Act::Every(pause, bytes) => loop {
            wire.send(&bytes).await?;
            watch(wire, tokio::time::sleep(pause)).await?;
        },
    }
    Ok(true)
}

/// Waits for `event`, and fails as soon as the gateway closes the connection.
async fn watch(wire: &mut Wire, event: impl Future<Output = ()>) -> io::Result<()> {
    tokio::pin!(event);
    loop {
        tokio::select! {
            () = &mut event => return Ok(()),
            read = wire.fill() => if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            },
        }
    }
}

/// An address that refuses every connection, for as long as this is kept.
pub struct Refusing {
    pub address: SocketAddr,
    _held: tokio::net::TcpSocket,
}

impl Refusing {
    pub fn new() -> Refusing {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Refusing {
            address: socket.local_addr().unwrap(),
            _held: socket,
        }
    }

    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}
