//! The end: no new callers first, then no port, then whoever is left.

use crate::jobs::stage::Stage;
use crate::jobs::upgrade::{self, Table};
use crate::proxy::shared::Shared;
use crate::telemetry::access;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Between not being ready and closing the port: whoever balances the load has to see the one
/// before the other happens. A successor opens its ports in this time.
const LEAD: Duration = Duration::from_secs(5);
/// How often is looked whether the last request has ended.
const LOOK: Duration = Duration::from_millis(50);
/// For the last words to callers whose time is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// For telling the traces that still wait.
const LAST_TRACES: Duration = Duration::from_secs(5);

/// Waits for the signal to end, and does all that comes before the end.
pub struct Ending {
    pub shared: Arc<Shared>,
    pub stage: Arc<Stage>,
    pub table: Table,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Wanted,
    /// Another process has the sockets.
    Succeeded,
}

#[async_trait]
impl ShutdownSignalWatch for Ending {
    /// Comes back when the process may stop at once.
    async fn recv(&self) -> ShutdownSignal {
        match Signals::new() {
            Ok(mut signals) => {
                let end = self.asked(&mut signals).await;
                tokio::select! {
                    () = self.drain(end) => {}
                    () = signals.end() => {
                        tracing::warn!("told again to stop: stopping at once");
                        self.cut(LOOK * 4).await;
                    }
                }
            }
            Err(error) => tracing::error!("cannot listen for signals: {error}"),
        }
        ShutdownSignal::FastShutdown
    }
}

impl Ending {
    async fn asked(&self, signals: &mut Signals) -> End {
        while signals.next().await == Told::HandOver {
            match self.hand_over().await {
                Ok(()) => return End::Succeeded,
                Err(error) => tracing::error!("{error}; serving goes on"),
            }
        }
        End::Wanted
    }

    async fn hand_over(&self) -> Result<(), String> {
        let server = self.shared.current.load().snapshot.server.clone();
        let table = self.table.clone();
        tokio::task::spawn_blocking(move || upgrade::hand_over(&server, &table))
            .await
            .map_err(|error| format!("cannot hand the sockets over: {error}"))?
    }

    async fn drain(&self, end: End) {
        let in_flight = &self.shared.metrics.in_flight;
        let server = self.shared.current.load().snapshot.server.clone();
        tracing::info!(
            in_flight = in_flight.get(),
            "stopping when the last request has ended"
        );
        // Both processes answer on the admin port while both serve: neither may say no.
        if end == End::Wanted {
            self.stage.set_ready(false);
        }
        self.stage.leave();
        self.shared.leaving.store(true, Ordering::Relaxed);
        // Without an admin port nobody can see that this one is not ready any more.
        if server.admin.is_some() || end == End::Succeeded {
            tokio::time::sleep(LEAD).await;
        }
        self.stage.close_data();
        if end == End::Succeeded {
            self.stage.close_admin();
        }
        let closed = Instant::now();
        // Requests whose heads are just being read are given a moment to be counted.
        tokio::time::sleep(LOOK).await;
        while in_flight.get() > 0 && closed.elapsed() < server.drain {
            tokio::time::sleep(LOOK).await;
        }
        let cut = in_flight.get();
        self.cut(FAREWELL).await;
        if !self.shared.traces.finish(LAST_TRACES).await {
            tracing::warn!("stopping before all traces were told");
        }
        tokio::time::sleep(access::WRITTEN_AFTER).await;
        match cut {
            0 => tracing::info!("stopped"),
            cut => tracing::warn!("stopped: {cut} requests were cut, `server.drain` was over"),
        }
    }

    /// Tells those who still wait that nothing more will come, as far as they can be told.
    async fn cut(&self, within: Duration) {
        let in_flight = &self.shared.metrics.in_flight;
        self.shared.stop.send_replace(true);
        let began = Instant::now();
        while in_flight.get() > 0 && began.elapsed() < within {
            tokio::time::sleep(LOOK / 10).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    End,
    HandOver,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.quit.recv() => Told::HandOver,
        }
    }

    async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}
