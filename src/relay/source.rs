//! A provider's answer as it arrives, inflated where it is encoded against our wish.

use crate::body::inflate::{Coding, Inflater, Unknown};
use crate::relay::Wires;
use crate::upstream::http1::{Connection, Lost};
use crate::upstream::peer::{IDLE, KnownPeer};
use bytes::Bytes;
use http::header;
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::Peer;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Source {
    way: Way,
    head: Arc<ResponseHeader>,
    peer: Arc<KnownPeer>,
    /// The request went out whole: what comes after it on this connection is a new one.
    reusable: bool,
    inflater: Option<Box<Inflater<Capped>>>,
    /// Received, not yet inflated.
    packed: Bytes,
    /// What was lent out last.
    lent: Bytes,
    ended: bool,
}

/// A connection with a request on it. Large, and moved often: on the heap.
pub enum Way {
    One(Box<Connection>),
    Two(Box<HttpSession>),
}

impl Way {
    pub fn head(&self) -> Option<Arc<ResponseHeader>> {
        match self {
            Way::One(connection) => connection.head().map(Arc::clone),
            Way::Two(session) => session.response_header().cloned().map(Arc::new),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        match self {
            Way::One(connection) => connection.next().await.map_err(Broken::from),
            Way::Two(session) => session.read_response_body().await.map_err(|e| broken(&e)),
        }
    }

    fn is_done(&mut self) -> bool {
        match self {
            Way::One(connection) => connection.is_done(),
            Way::Two(session) => session.response_done(),
        }
    }
}

/// Why no more comes.
#[derive(Debug)]
pub enum Broken {
    /// Nothing for longer than allowed.
    Silent,
    /// Reset, or closed too early.
    Cut(String),
    /// Not what its content-encoding says.
    Garbled(String),
}

impl Source {
    /// For an answer whose head has been read.
    pub fn new(
        way: Way,
        head: Arc<ResponseHeader>,
        peer: Arc<KnownPeer>,
        reusable: bool,
    ) -> Result<Source, Broken> {
        let encoding = head.headers.get(header::CONTENT_ENCODING);
        let inflater = match encoding.map(|value| Coding::named(value.as_bytes())) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(coding))) => Some(Box::new(
                Inflater::new(coding, Capped::default())
                    .map_err(|error| Broken::Garbled(error.to_string()))?,
            )),
            Some(Err(Unknown)) => {
                return Err(Broken::Garbled(
                    "its content-encoding is not known".to_owned(),
                ));
            }
        };
        Ok(Source {
            way,
            head,
            peer,
            reusable,
            inflater,
            packed: Bytes::new(),
            lent: Bytes::new(),
            ended: false,
        })
    }

    pub fn head(&self) -> &Arc<ResponseHeader> {
        &self.head
    }

    /// How long a read may wait for the next byte.
    pub fn set_patience(&mut self, wait: Option<Duration>) {
        match &mut self.way {
            Way::One(connection) => connection.set_patience(wait),
            Way::Two(session) => session.set_read_timeout(wait),
        }
    }

    /// The next bytes; None at the end of the answer. Safe to abandon while it waits.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(inflated) = self.inflate()? {
                return Ok(Some(inflated));
            }
            if self.ended {
                return Ok(None);
            }
            match self.way.next().await? {
                Some(chunk) if self.inflater.is_none() => {
                    if !chunk.is_empty() {
                        return Ok(Some(chunk));
                    }
                }
                Some(chunk) => self.packed = chunk,
                None => {
                    self.ended = true;
                    if let Some(inflater) = self.inflater.take() {
                        let mut last = inflater
                            .finish()
                            .map_err(|error| Broken::Garbled(error.to_string()))?;
                        if !last.0.is_empty() {
                            return Ok(Some(last.take()));
                        }
                    }
                }
            }
        }
    }

    /// The same, but lent out of the connection's own buffer where it can be: no copy is made. May
    /// be empty.
    pub async fn read(&mut self) -> Result<Option<&[u8]>, Broken> {
        let lends = self.inflater.is_none() && matches!(self.way, Way::One(_));
        if !lends {
            self.lent = match self.next().await? {
                Some(chunk) => chunk,
                None => return Ok(None),
            };
            return Ok(Some(&self.lent));
        }
        let Way::One(connection) = &mut self.way else {
            return Ok(None);
        };
        let read = connection.read().await?;
        self.ended |= read.is_none();
        Ok(read)
    }

    /// More of what `read` gives, where it has come already.
    pub fn at_hand(&mut self) -> Result<Option<&[u8]>, Broken> {
        match &mut self.way {
            Way::One(connection) if self.inflater.is_none() => Ok(connection.at_hand()?),
            _ => Ok(None),
        }
    }

    /// All of an answer that says how long it is, and is no longer than this. None: it has to be
    /// read piece by piece.
    pub async fn whole(&mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        match &mut self.way {
            Way::One(connection) if self.inflater.is_none() => Ok(connection.whole(most).await?),
            _ => Ok(None),
        }
    }

    /// Reads on to the end, where that is at hand.
    pub async fn finish(&mut self, within: Duration) {
        if self.is_done() {
            return;
        }
        let end = async { while let Ok(Some(_)) = self.read().await {} };
        let _ = tokio::time::timeout(within, end).await;
    }

    /// What the bytes in hand inflate to, a bounded piece at a time.
    fn inflate(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some(inflater) = &mut self.inflater else {
            return Ok(None);
        };
        while !self.packed.is_empty() {
            let piece = self.packed.split_to(self.packed.len().min(STEP));
            inflater
                .feed(&piece)
                .map_err(|error| Broken::Garbled(error.to_string()))?;
            if inflater.inner().0.len() >= ENOUGH {
                break;
            }
        }
        let inflated = inflater.inner();
        Ok((!inflated.0.is_empty()).then(|| inflated.take()))
    }

    /// Whether the whole answer has been read.
    pub fn is_done(&mut self) -> bool {
        // What a decoder still holds comes out when it is told of the end.
        self.inflater.is_none() && (self.ended || self.way.is_done())
    }

    /// Back into the pool, for the next request. Only after the end; otherwise it is just dropped,
    /// which closes it: the provider sees that nobody wants the rest.
    pub async fn release(self, wires: &Wires) {
        if !self.reusable {
            return;
        }
        match self.way {
            Way::One(connection) => {
                if let Some((stream, wait)) = connection.into_idle(IDLE) {
                    let now = Instant::now();
                    wires
                        .idle
                        .put(self.peer.reuse_hash(), stream, now, now + wait);
                }
            }
            Way::Two(session) => {
                let connector = &wires.connector;
                let released = connector.release_http_session(*session, &*self.peer, Some(IDLE));
                Box::pin(released).await;
            }
        }
    }
}

impl From<Lost> for Broken {
    fn from(lost: Lost) -> Broken {
        match lost {
            Lost::Late => Broken::Silent,
            Lost::Gone { cause, .. } => Broken::Cut(cause),
            Lost::Malformed(why) => Broken::Cut(why.to_owned()),
        }
    }
}

fn broken(error: &pingora::Error) -> Broken {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Broken::Silent,
        _ => Broken::Cut(error.to_string()),
    }
}

/// Fed to the decoder at once; what comes of it is handed on before more is fed.
const STEP: usize = 4096;
const ENOUGH: usize = 64 * 1024;
/// What one step may inflate to.
const CAP: usize = 16 * 1024 * 1024;

/// Takes what a decoder writes, up to a bound.
#[derive(Default)]
struct Capped(Vec<u8>);

impl Capped {
    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.0))
    }
}

impl Write for Capped {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        if self.0.len() + chunk.len() > CAP {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
