//! A caller's connection over HTTP/1, between Pingora's session and the socket.
//!
//! To see whether a caller is still there, Pingora reads on while its answer is under way, and loses
//! sight of whoever has sent more than one request by then. Here what comes early is put aside, and
//! the end is still seen. To send, Pingora writes in pieces: here the small ones wait for what
//! follows, and nothing else is copied or kept.

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID,
};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Of requests that come before their turn. Beyond it nothing is read, and no end is seen.
const MOST_EARLY: usize = 64 * 1024;
/// Read of them at once.
const EARLY: usize = 4 * 1024;
/// Room for a head and a small answer, to leave in one write.
const HELD: usize = 8 * 1024;
/// Enough for most of them.
const USUALLY_HELD: usize = 2 * 1024;

#[derive(Debug)]
pub struct Caller {
    stream: Stream,
    /// Has come before its turn.
    early: BytesMut,
    /// An answer is under way: what comes now is not its request's.
    answered: AtomicBool,
    /// Waits for what follows it.
    held: BytesMut,
    /// Nothing waits.
    eager: AtomicBool,
    /// Something was written and may still be on its way through TLS.
    owed: bool,
}

impl Caller {
    pub fn on(stream: Stream) -> Stream {
        Box::new(Caller {
            stream,
            early: BytesMut::new(),
            answered: AtomicBool::new(false),
            held: BytesMut::new(),
            eager: AtomicBool::new(false),
            owed: false,
        })
    }

    /// The request has come whole, and its answer is next.
    pub fn is_answered(session: &ServerSession) {
        if let Some(caller) = Caller::of(session) {
            caller.answered.store(true, Ordering::Relaxed);
        }
    }

    /// What is written leaves at once, however small.
    pub fn is_eager(session: &ServerSession) {
        if let Some(caller) = Caller::of(session) {
            caller.eager.store(true, Ordering::Relaxed);
        }
    }

    /// The next request's turn.
    pub fn asks_again(stream: &Stream) {
        if let Some(caller) = (**stream).as_any().downcast_ref::<Caller>() {
            caller.answered.store(false, Ordering::Relaxed);
            caller.eager.store(false, Ordering::Relaxed);
        }
    }

    /// None over HTTP/2, which tells callers and their requests apart by itself.
    fn of(session: &ServerSession) -> Option<&Caller> {
        (**session.stream()?).as_any().downcast_ref::<Caller>()
    }

    /// Sends what waits, and this behind it. How much of this was sent.
    fn poll_send(&mut self, context: &mut Context<'_>, last: &[u8]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            let both = [IoSlice::new(&self.held), IoSlice::new(last)];
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, &both))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let behind = sent.saturating_sub(self.held.len());
            self.held.advance(sent - behind);
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
            if behind > 0 {
                return Poll::Ready(Ok(behind));
            }
        }
        if last.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.stream).poll_write(context, last)
    }

    /// Sends on what TLS has kept of what was written, as far as it goes.
    fn poll_owed(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.owed
            && let Poll::Ready(sent) = Pin::new(&mut self.stream).poll_flush(context)
        {
            self.owed = false;
            return sent;
        }
        Ok(())
    }

    fn may_wait(&mut self, more: usize) -> bool {
        !*self.eager.get_mut() && self.held.len() + more <= HELD
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.capacity() == 0 {
            self.held.reserve(bytes.len().max(USUALLY_HELD));
        }
        self.held.extend_from_slice(bytes);
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !*this.answered.get_mut() {
            if this.early.is_empty() {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            }
            let size = this.early.len().min(buffer.remaining());
            buffer.put_slice(&this.early.split_to(size));
            if this.early.is_empty() {
                this.early = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        this.poll_owed(context)?;
        while this.early.len() < MOST_EARLY {
            let mut room = [MaybeUninit::uninit(); EARLY];
            let mut room = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.early.extend_from_slice(room.filled());
        }
        Poll::Pending
    }
}

impl AsyncWrite for Caller {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.may_wait(bytes.len()) {
            self.hold(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let sent = ready!(self.poll_send(context, bytes))?;
        self.owed = *self.eager.get_mut();
        self.poll_owed(context)?;
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.held.is_empty() {
            // A whole event.
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        let size = pieces.iter().map(|piece| piece.len()).sum();
        if self.may_wait(size) {
            pieces.iter().for_each(|piece| self.hold(piece));
            return Poll::Ready(Ok(size));
        }
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.poll_send(context, first.map_or(&[], |piece| piece))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context, &[]))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context, &[]))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Caller {
    async fn shutdown(&mut self) {
        // It closes, whether the last of it was sent or not.
        let _ = self.flush().await;
        Shutdown::shutdown(&mut *self.stream).await;
    }
}

impl UniqueID for Caller {
    fn id(&self) -> i32 {
        self.stream.id()
    }
}

impl Ssl for Caller {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Caller {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Caller {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Caller {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

impl Peek for Caller {}

#[cfg(test)]
mod tests;
