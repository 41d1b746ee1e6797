//! One connection: requests in, answers out, until one side has enough.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::answer;
use super::behaviour::Shared;
use super::echo;
use super::request::{Body, Head};
use super::stats::{Seen, Stats};
use super::wire::Wire;

/// What a connection does after an answer.
#[derive(Debug, PartialEq)]
pub enum Next {
    Another,
    Close,
    Reset,
    /// Resets as soon as another request begins.
    ResetLater,
}

pub async fn run(stream: TcpStream, shared: Arc<Shared>) {
    let _open = Open::new(shared.stats());
    let Ok(mut wire) = Wire::new(stream) else {
        return;
    };
    loop {
        match one(&mut wire, &shared).await {
            Ok(Next::Another) => {}
            Ok(Next::Close) => {
                // Whoever left first, there is nobody to tell.
                let _ = wire.close().await;
                return;
            }
            Ok(Next::Reset) => return wire.reset(),
            Ok(Next::ResetLater) => {
                if matches!(wire.fill().await, Ok(1..)) {
                    wire.reset();
                }
                return;
            }
            Err(_) => return shared.stats().abandoned(),
        }
    }
}

async fn one(wire: &mut Wire, shared: &Shared) -> io::Result<Next> {
    let head = match Head::read(wire).await {
        Ok(Some(head)) => head,
        Ok(None) => return Ok(Next::Close),
        // Nothing was asked yet, so nobody left an answer behind.
        Err(_) if wire.arrived().is_empty() => return Ok(Next::Close),
        Err(error) => return Err(error),
    };
    let ours = head.path().starts_with("/__mock/");
    let _flight = (!ours).then(|| Flight::new(shared.stats()));
    if head.path().ends_with("/realtime") && head.upgrade.is_some() {
        return echo::upgrade(wire, &head).await;
    }
    let keeps = shared.stats().keeps();
    let endpoint = answer::endpoint(&head);
    let look = keeps || endpoint == answer::Endpoint::Echo;
    let mut body = Body::read(wire, &head, look).await?;
    shared.stats().received(body.length);
    if keeps && !ours {
        shared.stats().remember(seen(&head, &mut body));
    }
    let next = answer::answer(wire, shared, endpoint, &head, &mut body).await?;
    wire.split = false;
    Ok(if next == Next::Another && !head.keep_alive {
        Next::Close
    } else {
        next
    })
}

fn seen(head: &Head, body: &mut Body) -> Seen {
    Seen {
        method: head.method(),
        target: head.target.clone(),
        headers: head.headers(),
        model: answer::model_name(body.scan.model_token()),
        length: body.length,
        sha256: body.sha256(),
        body: body.take_kept(),
    }
}

struct Open<'a>(&'a Stats);

impl<'a> Open<'a> {
    fn new(stats: &'a Stats) -> Self {
        stats.opened();
        Open(stats)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

struct Flight<'a>(&'a Stats);

impl<'a> Flight<'a> {
    fn new(stats: &'a Stats) -> Self {
        stats.began();
        Flight(stats)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}
