//! A provider's answer as it arrives, inflated where it is encoded against our wish.

use crate::body::inflate::{Coding, Inflater, Unknown};
use crate::relay::Wires;
use crate::upstream::peer::{IDLE, KnownPeer};
use bytes::Bytes;
use http::header;
use pingora::ErrorType;
use pingora::http::ResponseHeader;
use pingora::protocols::http::client::HttpSession;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

pub struct Source {
    /// Large, and moved often: on the heap.
    session: Box<HttpSession>,
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
    /// For a session whose response head has been read.
    pub fn new(
        session: Box<HttpSession>,
        peer: Arc<KnownPeer>,
        reusable: bool,
    ) -> Result<Source, Broken> {
        let encoding = session
            .response_header()
            .and_then(|head| head.headers.get(header::CONTENT_ENCODING));
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
            session,
            peer,
            reusable,
            inflater,
            packed: Bytes::new(),
            lent: Bytes::new(),
            ended: false,
        })
    }

    pub fn head(&self) -> Option<&ResponseHeader> {
        self.session.response_header()
    }

    /// How long a read may wait for the next byte.
    pub fn set_patience(&mut self, wait: Option<Duration>) {
        self.session.set_read_timeout(wait);
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
            let read = self.session.read_response_body().await;
            match read.map_err(|error| broken(&error))? {
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
        let lends = self.inflater.is_none() && matches!(*self.session, HttpSession::H1(_));
        if !lends {
            self.lent = match self.next().await? {
                Some(chunk) => chunk,
                None => return Ok(None),
            };
            return Ok(Some(&self.lent));
        }
        let HttpSession::H1(session) = &mut *self.session else {
            return Ok(None);
        };
        let read = session.read_body_ref().await;
        let read = read.map_err(|error| broken(&error))?;
        self.ended |= read.is_none();
        Ok(read)
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
        self.inflater.is_none() && (self.ended || self.session.response_done())
    }

    /// Back into the pool, for the next request. Only after the end; otherwise it is just dropped,
    /// which closes it: the provider sees that nobody wants the rest.
    pub async fn release(self, wires: &Wires) {
        if self.reusable {
            wires
                .connector
                .release_http_session(*self.session, &*self.peer, Some(IDLE))
                .await;
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
