//! HTTP/1.1 to a provider, over a connection that Pingora has opened.
//!
//! A request leaves in one write where it fits, and an answer is read into one buffer from which
//! its pieces are lent: what a stream costs is what its bytes cost.

mod framing;
mod head;
mod idle;
mod send;

pub use idle::Idle;

use bytes::{Buf, Bytes, BytesMut};
use framing::{Decoder, Framing, Malformed};
use head::Keeps;
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::time::timeout;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Room for a head, and with it for many an answer.
const FIRST_READ: usize = 4 * 1024;
/// What a connection that waits for a slow stream holds; one that is in a hurry gets more.
const SMALLEST_READ: usize = 1024;
const LARGEST_READ: usize = 64 * 1024;
/// So many reads in a row that leave most of their room empty are no hurry any more.
const CALM: u8 = 8;
/// Pieces to keep share a buffer until it has less room than this: many small ones must not hold
/// a large one each.
const SHARED_ROOM: usize = 16 * 1024;

/// Why there is no more.
#[derive(Debug)]
pub enum Lost {
    /// Nothing for longer than allowed.
    Late,
    /// Closed or reset.
    Gone {
        /// Something of an answer had come.
        heard: bool,
        cause: String,
    },
    /// What came is not HTTP.
    Malformed(&'static str),
}

impl From<Malformed> for Lost {
    fn from(Malformed(why): Malformed) -> Lost {
        Lost::Malformed(why)
    }
}

/// A connection with one request on it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Came in and is not yet read.
    buffer: BytesMut,
    /// How much of the buffer's front was lent out last.
    lent: usize,
    /// How much is asked for at once.
    appetite: usize,
    /// Reads in a row that brought little of that.
    calm: u8,
    head: Option<Arc<ResponseHeader>>,
    body: Decoder,
    keeps: Option<Keeps>,
    heard: bool,
    patience: Option<Duration>,
}

impl Connection {
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            buffer: BytesMut::new(),
            lent: 0,
            appetite: FIRST_READ,
            calm: 0,
            head: None,
            body: Decoder::new(Framing::Length(0)),
            keeps: None,
            heard: false,
            patience: None,
        }
    }

    /// The head of the answer, once it is there.
    pub fn head(&self) -> Option<&Arc<ResponseHeader>> {
        self.head.as_ref()
    }

    /// How long a wait for the next byte may be.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Waits for the head of the answer, past those that say only that there will be one.
    pub async fn answer(&mut self) -> Result<(), Lost> {
        while !self.take_head()? {
            if self.fill(self.appetite).await? == 0 {
                return Err(self.gone(&"closed before an answer"));
            }
        }
        Ok(())
    }

    /// Whether the head of the answer is among what has come.
    fn take_head(&mut self) -> Result<bool, Malformed> {
        while self.head.is_none()
            && let Some(head) = head::take(&mut self.buffer)?
        {
            if head.response.status == 101 {
                return Err(Malformed("it switched protocols without being asked"));
            }
            if !head.response.status.is_informational() {
                if !matches!(head.framing, Framing::Length(_)) && self.appetite == FIRST_READ {
                    // Perhaps a stream: whether it is in a hurry will be seen.
                    self.appetite = SMALLEST_READ;
                }
                self.body = Decoder::new(head.framing);
                self.keeps = head.keeps;
                self.head = Some(Arc::new(head.response));
            }
        }
        Ok(self.head.is_some())
    }

    /// The next bytes of the body, lent; None at its end. Safe to abandon while it waits.
    pub async fn read(&mut self) -> Result<Option<&[u8]>, Lost> {
        loop {
            if let Some(size) = self.next_piece()? {
                self.lent = size;
                return Ok(self.buffer.get(..size));
            }
            if self.body.is_over() {
                return Ok(None);
            }
            if self.buffer.is_empty() && self.buffer.capacity() > 2 * self.appetite {
                // It has grown too large for what comes.
                self.buffer = BytesMut::with_capacity(self.appetite);
            }
            self.fill_body(self.appetite).await?;
        }
    }

    /// The same of what has come already: None where one would have to wait.
    pub fn at_hand(&mut self) -> Result<Option<&[u8]>, Lost> {
        match self.next_piece()? {
            Some(size) => {
                self.lent = size;
                Ok(self.buffer.get(..size))
            }
            None => Ok(None),
        }
    }

    /// The same, to keep.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Lost> {
        loop {
            if let Some(size) = self.next_piece()? {
                return Ok(Some(self.buffer.split_to(size).freeze()));
            }
            if self.body.is_over() {
                return Ok(None);
            }
            let room = self.buffer.capacity() - self.buffer.len();
            let wanted = if room < SHARED_ROOM {
                LARGEST_READ
            } else {
                room
            };
            self.fill_body(wanted).await?;
        }
    }

    /// All of a body whose length is known and no larger than this; None for any other. Safe to
    /// abandon while it waits.
    pub async fn whole(&mut self, most: usize) -> Result<Option<Bytes>, Lost> {
        self.give_back();
        let left = self.body.left().and_then(|left| usize::try_from(left).ok());
        let Some(length) = left.filter(|&length| length <= most) else {
            return Ok(None);
        };
        while self.buffer.len() < length {
            let missing = length - self.buffer.len();
            self.fill_body(missing).await?;
        }
        self.body = Decoder::new(Framing::Length(0));
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    pub fn is_done(&self) -> bool {
        self.body.is_over()
    }

    /// What is left of a connection whose answer has been read: itself, and how long it may wait
    /// for its next request.
    pub fn into_idle(mut self, usually: Duration) -> Option<(Stream, Duration)> {
        self.give_back();
        let over = self.body.is_over() && self.buffer.is_empty();
        let wait = match self.keeps.filter(|_| over)? {
            Keeps::Unsaid => usually,
            // It is on its way out a little before the provider thinks so.
            Keeps::For(wait) => usually.min(wait.saturating_sub(Duration::from_secs(1))),
        };
        Some((self.stream, wait))
    }

    /// Reads over what frames the body, to its next piece at the front of the buffer.
    fn next_piece(&mut self) -> Result<Option<usize>, Malformed> {
        self.give_back();
        let step = self.body.step(&self.buffer)?;
        self.buffer.advance(step.body.start);
        let size = step.body.len();
        Ok((size > 0).then_some(size))
    }

    fn give_back(&mut self) {
        self.buffer.advance(std::mem::take(&mut self.lent));
    }

    async fn fill_body(&mut self, wanted: usize) -> Result<(), Lost> {
        if self.fill(wanted).await? == 0 && !self.body.end() {
            return Err(self.gone(&"closed before the end of its answer"));
        }
        Ok(())
    }

    /// How many bytes came; none at the end of the connection.
    async fn fill(&mut self, wanted: usize) -> Result<usize, Lost> {
        if self.buffer.capacity() - self.buffer.len() < wanted {
            self.buffer.reserve(wanted);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let reading = self.stream.read_buf(&mut self.buffer);
        let read = match self.patience {
            None => reading.await,
            Some(patience) => timeout(patience, reading).await.map_err(|_| Lost::Late)?,
        };
        let read = read.map_err(|error| self.gone(&error))?;
        self.heard |= read > 0;
        self.adapt(read, room);
        Ok(read)
    }

    fn adapt(&mut self, read: usize, room: usize) {
        if read == room {
            self.appetite = (self.appetite * 2).min(LARGEST_READ);
            self.calm = 0;
        } else if read > self.appetite / 4 {
            self.calm = 0;
        } else {
            self.calm += 1;
        }
        if self.calm == CALM {
            self.appetite = (self.appetite / 2).max(SMALLEST_READ);
            self.calm = 0;
        }
    }

    fn gone(&self, cause: &dyn ToString) -> Lost {
        Lost::Gone {
            heard: self.heard,
            cause: cause.to_string(),
        }
    }
}
