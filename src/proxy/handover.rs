//! Calls that leave Pingora's pipeline.
//!
//! Whoever waits in the pipeline waits in a future with room for a whole way to an upstream, some
//! 24 KiB, taken or not. So a call that the gateway answers itself is taken out of it once its head
//! is read, and served when the pipeline's future is gone.

use crate::proxy::admit::{Work, perform};
use crate::proxy::context::Call;
use crate::proxy::failed::failed;
use pingora::apps::ReusedHttpStream;
use pingora::protocols::http::{ReusableHttpStream, ServerSession};
use std::cell::Cell;
use std::io::Cursor;
use std::time::Instant;

tokio::task_local! {
    /// Where a call waits while the pipeline clears up behind it.
    static LEFT: Cell<Option<Box<Handed>>>;
}

/// A caller's connection, and what it is owed.
struct Handed {
    session: Box<ServerSession>,
    call: Box<Call>,
    work: Work,
}

/// What is left of a caller's connection after a request.
pub enum Remains {
    /// It may bring another request.
    Open(ReusableHttpStream),
    /// The same, as the pipeline has left it.
    Streamed(ReusedHttpStream),
    Closed,
}

/// Takes the connection out of the pipeline, which then finds nothing left to do.
pub fn hand_over(session: &mut Box<ServerSession>, call: Box<Call>, work: Work) {
    let nobody = ServerSession::new_http1(Box::new(Cursor::new(Vec::new())));
    let session = std::mem::replace(session, Box::new(nobody));
    let handed = Handed {
        session,
        call,
        work,
    };
    // Nothing is served but in `serve`; elsewhere the connection would close.
    let _ = LEFT.try_with(|left| left.set(Some(Box::new(handed))));
}

/// Serves one request, in the pipeline or, as most are, after it.
pub async fn serve(pipeline: impl Future<Output = Option<ReusedHttpStream>> + Send) -> Remains {
    let through = async {
        let reused = pipeline.await;
        (reused, LEFT.with(Cell::take))
    };
    match LEFT.scope(Cell::default(), through).await {
        (_, Some(handed)) => Box::pin(handed.serve()).await,
        (Some(reused), None) => Remains::Streamed(reused),
        (None, None) => Remains::Closed,
    }
}

impl Handed {
    async fn serve(self) -> Remains {
        let Handed {
            mut session,
            mut call,
            work,
        } = self;
        let done = perform(&mut session, &mut call, work).await;
        if let Err(error) = &done {
            Box::pin(failed(&mut session, error, &mut call)).await;
        }
        call.settle(Instant::now());
        drop(call);
        match done {
            Err(error) => {
                session.on_proxy_failure(error);
                Remains::Closed
            }
            Ok(()) => match session.finish().await {
                Ok(Some(stream)) => Remains::Open(stream),
                Ok(None) | Err(_) => Remains::Closed,
            },
        }
    }
}
