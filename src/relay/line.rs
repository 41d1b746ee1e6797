//! The caller's end of a call: whether it is still there, and what keeps it there.

use crate::error::Reason;
use crate::proxy::reply;
use crate::telemetry::tale::Tale;
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};
use std::future::pending;
use std::time::{Duration, Instant};
use tokio::sync::watch::Sender;
use tokio::time::{sleep_until, timeout_at};

const PING: Bytes = Bytes::from_static(b": ping\n\n");

/// The gateway is at its end, and the caller can be waited for no longer.
pub const STOPPED: ErrorType = ErrorType::new("GatewayStopped");

#[derive(Debug)]
pub struct Line<'a> {
    /// True at the gateway's end.
    stop: &'a Sender<bool>,
    /// Between two signs of life. None: none are given.
    ping: Option<Duration>,
    /// They begin before it is known what the answer is.
    early: bool,
    /// The head of a stream has been sent.
    open: bool,
    /// When the caller last got something, or began to wait.
    spoke: Instant,
    /// The caller's own bound on the whole.
    bound: Option<Instant>,
}

impl<'a> Line<'a> {
    pub fn new(
        stop: &'a Sender<bool>,
        ping: Option<Duration>,
        early: bool,
        bound: Option<Instant>,
        now: Instant,
    ) -> Line<'a> {
        Line {
            stop,
            bound,
            ping,
            early,
            open: false,
            spoke: now,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn last_spoke(&self) -> Instant {
        self.spoke
    }

    /// Whether the gateway is at its end.
    pub fn is_over(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves at the gateway's end.
    pub fn stopped(&self) -> impl Future<Output = Box<Error>> + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            let is_over = stop.wait_for(|stop| *stop).await.is_ok();
            if !is_over {
                pending::<()>().await;
            }
            over()
        }
    }

    /// Works while the caller is there, and keeps it there. An error: it is gone, or we are.
    pub async fn company<T>(
        &mut self,
        session: &mut ServerSession,
        tale: &mut Tale,
        work: impl Future<Output = T>,
    ) -> pingora::Result<T> {
        tokio::pin!(work);
        let stopped = self.stopped();
        tokio::pin!(stopped);
        loop {
            let ping_at = self.ping_at();
            let silence = async {
                match ping_at {
                    Some(at) => sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                left = gone(session) => return Err(left),
                done = &mut work => return Ok(done),
                stop = &mut stopped => return Err(stop),
                // Seldom, and large: it does not have its place in every wait.
                () = silence => Box::pin(self.ping(session, tale)).await?,
            }
        }
    }

    fn ping_at(&self) -> Option<Instant> {
        let ping = self.ping.filter(|_| self.open || self.early)?;
        self.spoke.checked_add(ping)
    }

    /// A comment, which every reader of a stream passes over.
    pub async fn ping(
        &mut self,
        session: &mut ServerSession,
        tale: &mut Tale,
    ) -> pingora::Result<()> {
        if !self.open {
            let mut head = ResponseHeader::build_no_case(200, Some(6))?;
            head.insert_header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream"),
            )?;
            reply::describe(&mut head, tale)?;
            self.open(session, head, tale).await?;
        }
        self.write(session, PING, tale).await
    }

    /// The head of a stream, or of an answer whose length nobody knows yet.
    pub async fn open(
        &mut self,
        session: &mut ServerSession,
        mut head: ResponseHeader,
        tale: &mut Tale,
    ) -> pingora::Result<()> {
        tale.status = head.status.as_u16();
        if session.req_header().version != Version::HTTP_10 {
            // HTTP/2 frames what it sends by itself, and Pingora drops this there.
            head.insert_header(
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            )?;
        } else {
            // It knows no chunks: such an answer ends with the connection.
            session.set_keepalive(None);
        }
        reply::write_head(session, head, tale)
            .await
            .inspect_err(|error| tale.end(callers_fault(error)))?;
        self.open = true;
        self.spoke = Instant::now();
        Ok(())
    }

    pub async fn write(
        &mut self,
        session: &mut ServerSession,
        bytes: Bytes,
        tale: &mut Tale,
    ) -> pingora::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        tale.bytes_out += bytes.len() as u64;
        let write = reply::write_body(session, bytes);
        let written = match self.bound {
            None => write.await,
            Some(bound) => match timeout_at(bound.into(), write).await {
                Ok(written) => written,
                Err(_) => {
                    tale.end(Reason::CallerDeadline);
                    let why = "the caller did not read before its time was over";
                    return Error::e_explain(ErrorType::WriteTimedout, why)
                        .map_err(|error: Box<Error>| error.into_down());
                }
            },
        };
        written.inspect_err(|error| tale.end(callers_fault(error)))?;
        self.spoke = Instant::now();
        Ok(())
    }

    pub async fn finish(
        &self,
        session: &mut ServerSession,
        tale: &mut Tale,
    ) -> pingora::Result<()> {
        reply::finish(session)
            .await
            .inspect_err(|error| tale.end(callers_fault(error)))
    }
}

/// Resolves when the caller has left.
pub async fn gone(session: &mut ServerSession) -> Box<Error> {
    loop {
        match session.read_body_or_idle(true).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => return error.into_down(),
        }
    }
}

/// The gateway's end, as an error.
pub fn over() -> Box<Error> {
    Error::explain(STOPPED, "the gateway stops")
}

/// Why nobody is there any more.
pub fn parted(error: &Error) -> Reason {
    match error.etype() {
        &STOPPED => Reason::GatewayStopped,
        _ => Reason::CallerCancelled,
    }
}

fn callers_fault(error: &Error) -> Reason {
    match error.etype() {
        ErrorType::WriteTimedout => Reason::CallerTimeout,
        _ => Reason::CallerCancelled,
    }
}
