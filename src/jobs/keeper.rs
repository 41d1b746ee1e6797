//! Says when the gateway is ready, and from then on keeps its configuration up to date.

use crate::jobs::recall;
use crate::jobs::reload::{Reloader, Trigger};
use crate::jobs::stage::Stage;
use crate::jobs::stamp::Stamps;
use crate::jobs::traces::Teller;
use crate::proxy::shared::Shared;
use crate::upstream::checks::Checks;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// Between two attempts at our own port.
const KNOCK: Duration = Duration::from_millis(50);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever writes a file may not be done: it is read once it has rested this long.
const REST: Duration = Duration::from_millis(100);
/// How old the numbers that routing reads may be.
const MEASURE: Duration = Duration::from_secs(1);

/// How long a connection that its provider has closed may stay half open.
const SWEEP: Duration = Duration::from_secs(1);

pub struct Keeper {
    pub stage: Arc<Stage>,
    pub reloader: Arc<Reloader>,
    pub listen: Vec<SocketAddr>,
    /// Of the providers' addresses: a service of their own would cost a thread more.
    pub checks: Checks,
    pub shared: Arc<Shared>,
    /// Of traces, likewise.
    pub teller: Teller,
}

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, _shutdown: ShutdownWatch) {
        // Traces are told to the very end, however early that comes.
        tokio::join!(self.keep(), self.teller.run(), recall::run(&self.shared));
    }
}

impl Keeper {
    async fn keep(&self) {
        // Before anything else: unheard, this signal ends the process.
        let hangup = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::error!("cannot listen for SIGHUP: {error}"))
            .ok();
        for address in &self.listen {
            while TcpStream::connect(reachable(*address)).await.is_err() {
                sleep(KNOCK).await;
            }
        }
        self.stage.set_ready(true);
        tracing::info!(listen = ?self.listen, "serving");
        tokio::select! {
            () = self.checks.run() => {}
            () = self.follow(hangup) => {}
            () = self.measure() => {}
            () = self.sweep() => {}
        }
    }

    /// Reads the configuration again whenever there is a reason to.
    async fn follow(&self, mut hangup: Option<Signal>) {
        loop {
            let trigger = tokio::select! {
                () = hung_up(hangup.as_mut()) => Trigger::Signal,
                () = self.changed() => Trigger::File,
            };
            self.reloader.reload(trigger).await;
        }
    }

    /// Makes numbers of what was measured, so that no request has to.
    async fn measure(&self) {
        loop {
            sleep(MEASURE).await;
            self.shared.measures.renew(Instant::now());
        }
    }

    /// Closes what providers have closed, and what nobody has used for long.
    async fn sweep(&self) {
        loop {
            sleep(SWEEP).await;
            self.shared.wires.idle.sweep(Instant::now());
        }
    }

    /// Waits until a file is not what it was when it was last read.
    async fn changed(&self) {
        if self.reloader.file().is_none() {
            return std::future::pending().await;
        }
        loop {
            sleep(LOOK).await;
            let seen = self.reloader.seen().await;
            let mut now = again(seen.clone()).await;
            while now != seen {
                sleep(REST).await;
                let later = again(now.clone()).await;
                if later != now {
                    now = later;
                } else if later == self.reloader.seen().await {
                    // Somebody else asked for it to be read meanwhile.
                    break;
                } else {
                    return;
                }
            }
        }
    }
}

/// Not on the runtime's own threads: a file system may keep one waiting.
async fn again(stamps: Stamps) -> Stamps {
    let unchanged = stamps.clone();
    let looked = tokio::task::spawn_blocking(move || stamps.again());
    looked.await.unwrap_or(unchanged)
}

async fn hung_up(hangup: Option<&mut Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Where a listener on all addresses can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local = if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        return SocketAddr::new(local, address.port());
    }
    address
}
