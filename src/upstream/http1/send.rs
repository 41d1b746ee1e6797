//! A request on its way out, and an ear for what comes meanwhile.

use super::{Connection, Lost, SMALLEST_READ};
use crate::body::splice::Pieces;
use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::time::timeout;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite};

/// A request up to this size is copied into one piece and leaves in one write.
const JOINED: usize = 16 * 1024;
/// The same where slices cannot be written together, as with TLS.
const JOINED_ANYWAY: usize = 64 * 1024;

/// How many bytes went which way.
enum Progress {
    Out(usize),
    /// Nothing could go out. Nothing came in either: the other end is done.
    In(usize),
}

impl Connection {
    /// Sends a request. The connection may take this long over each piece of it.
    pub async fn send(
        &mut self,
        mut head: BytesMut,
        body: &Pieces,
        patience: impl Fn() -> Duration,
    ) -> Result<(), Lost> {
        let vectored = self.stream.is_write_vectored();
        let most = if vectored { JOINED } else { JOINED_ANYWAY };
        if body.len() <= most {
            head.reserve(body.len());
            for piece in body.iter() {
                head.extend_from_slice(piece);
            }
            self.write(&mut [IoSlice::new(&head)], &patience).await?;
        } else {
            let pieces = body.iter().map(|piece| &**piece);
            let mut slices: Vec<IoSlice<'_>> = std::iter::once(&*head)
                .chain(pieces)
                .map(IoSlice::new)
                .collect();
            self.write(&mut slices, &patience).await?;
        }
        let flushing = self.out(|stream, context| stream.poll_flush(context).map_ok(|()| 0));
        within(&patience, flushing).await??;
        Ok(())
    }

    async fn write(
        &mut self,
        mut slices: &mut [IoSlice<'_>],
        patience: &impl Fn() -> Duration,
    ) -> Result<(), Lost> {
        while !slices.is_empty() {
            let writing = self.out(|stream, context| match &*slices {
                // One piece alone costs the kernel less.
                [only] => stream.poll_write(context, only),
                several => stream.poll_write_vectored(context, several),
            });
            match within(patience, writing).await?? {
                0 => return Err(self.gone(&"it takes no more")),
                written => IoSlice::advance_slices(&mut slices, written),
            }
        }
        Ok(())
    }

    /// Waits until something has gone out, and listens meanwhile: who refuses a request may have
    /// stopped reading it.
    async fn out(
        &mut self,
        mut going: impl FnMut(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Result<usize, Lost> {
        loop {
            // What comes after the head can wait until the request has gone out.
            let listens = self.head.is_none();
            let progress = poll_fn(|context| {
                let gone = going(Pin::new(&mut self.stream), context);
                if gone.is_ready() || !listens {
                    return gone.map_ok(Progress::Out);
                }
                self.buffer.reserve(SMALLEST_READ);
                let coming = pin!(self.stream.read_buf(&mut self.buffer));
                coming.poll(context).map_ok(Progress::In)
            });
            match progress.await {
                Ok(Progress::Out(size)) => return Ok(size),
                Ok(Progress::In(0)) => {
                    return Err(self.gone(&"closed before the end of the request"));
                }
                Ok(Progress::In(_)) => {
                    self.heard = true;
                    if self.take_head()? && self.is_refused() {
                        return Err(self.gone(&"it does not want the rest"));
                    }
                }
                Err(error) => return Err(self.gone(&error)),
            }
        }
    }

    fn is_refused(&self) -> bool {
        let status = self.head.as_ref().map(|head| head.status);
        status.is_some_and(|status| status.is_client_error() || status.is_server_error())
    }
}

/// Most work is done at once: only what has to wait looks at the clock.
async fn within<T>(
    patience: &impl Fn() -> Duration,
    work: impl Future<Output = T>,
) -> Result<T, Lost> {
    let mut work = pin!(work);
    let at_once = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout(patience(), work).await.map_err(|_| Lost::Late),
    }
}
