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
pub async fn first_bytes(
    stream: &mut Stream,
    within: Duration,
    closed: &ShutdownWatch,
) -> Option<BytesMut> {
    let mut closed = closed.clone();
    let arrival = async {
        tokio::select! {
            biased;
            read = poll_fn(|context| poll_read(stream, context)) => read.ok(),
            _ = closed.wait_for(|closed| *closed) => None,
        }
    };
    let bytes = timeout(within, arrival).await.ok()??;
    (!bytes.is_empty()).then_some(bytes)
}

/// More of it; false where no more comes.
pub async fn more_bytes(stream: &mut Stream, bytes: &mut BytesMut, within: Duration) -> bool {
    let read = timeout(within, poll_fn(|context| poll_read(stream, context))).await;
    let Ok(Ok(more)) = read else {
        return false;
    };
    bytes.extend_from_slice(&more);
    !more.is_empty()
}

/// The room is the thread's, for as long as the call takes.
fn poll_read(stream: &mut Stream, context: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
    let mut room = [MaybeUninit::uninit(); MOST];
    let mut room = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(context, &mut room))?;
    let read = room.filled();
    let has_head = memchr::memmem::find(read, b"\r\n\r\n").is_some();
    let rest = if has_head { 0 } else { REST_OF_HEAD };
    let mut bytes = BytesMut::with_capacity(read.len() + rest);
    bytes.extend_from_slice(read);
    Poll::Ready(Ok(bytes))
}
