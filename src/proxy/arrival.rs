//! The first bytes of a request.
//!
//! They are waited for with nothing in hand: a connection that says nothing costs itself alone, no
//! buffer and no session.

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// Taken at once: a usual request whole.
const MOST: usize = 40 * 1024;
/// Room for the rest of a head that has not come whole.
const REST_OF_HEAD: usize = 4 * 1024;

/// What comes first. None: nothing in time, or never.
pub async fn first_bytes(stream: &mut Stream, within: Duration) -> Option<BytesMut> {
    let read = timeout(within, poll_fn(|context| poll_read(stream, context)));
    let bytes = read.await.ok()?.ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// The same of a connection that has been served before: when the port closes, nothing more is
/// awaited of it.
pub async fn next_bytes(
    stream: &mut Stream,
    within: Duration,
    closed: &mut ShutdownWatch,
) -> Option<BytesMut> {
    tokio::select! {
        biased;
        bytes = first_bytes(stream, within) => bytes,
        _ = closed.wait_for(|closed| *closed) => None,
    }
}

/// Whether there is an empty line, as behind a head.
pub fn has_head(bytes: &[u8]) -> bool {
    let has = |end: &[u8]| memchr::memmem::find(bytes, end).is_some();
    has(b"\n\r\n") || has(b"\n\n")
}

/// The room is the thread's, for as long as the call takes.
#[inline(never)]
fn poll_read(stream: &mut Stream, context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
    let mut room = [MaybeUninit::uninit(); MOST];
    let mut room = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(context, &mut room))?;
    let read = room.filled();
    let rest = if has_head(read) { 0 } else { REST_OF_HEAD };
    let mut bytes = BytesMut::with_capacity(read.len() + rest);
    bytes.extend_from_slice(read);
    Poll::Ready(Ok(bytes))
}
