//! Tells a collector of the requests that were sampled: in batches, again where it asks for that,
//! and never so that a request waits.

use crate::config::snapshot::Snapshot;
use crate::proxy::shared::Shared;
use crate::store::record::Record;
use crate::telemetry::spans;
use crate::telemetry::traces::Stage;
use crate::upstream::collector::{Answer, Collector};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{sleep, timeout};

/// So many requests are told of at once.
const BATCH: usize = 512;
/// So long is waited for them.
const GATHER: Duration = Duration::from_secs(1);
/// How often the queue is emptied meanwhile: who waits for the next request has to be woken by it.
const LOOK: Duration = Duration::from_millis(100);
/// One telling, connection and answer included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tellings of one batch: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// A batch that was in vain for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(60);

pub struct Teller {
    shared: Arc<Shared>,
    collector: Collector,
    records: Mutex<mpsc::Receiver<Arc<Record>>>,
    /// The last telling was in vain: said once, until one is not.
    failing: AtomicBool,
}

impl Teller {
    pub fn new(shared: Arc<Shared>, records: mpsc::Receiver<Arc<Record>>) -> Teller {
        Teller {
            shared,
            collector: Collector::default(),
            records: Mutex::new(records),
            failing: AtomicBool::new(false),
        }
    }

    /// Until the gateway ends, and everything that waits has been told.
    pub async fn run(&self) {
        let mut records = self.records.lock().await;
        let mut stage = self.shared.traces.stage();
        loop {
            let batch = gather(&mut records, &mut stage).await;
            if batch.is_empty() {
                break;
            }
            self.tell(&batch, &mut stage).await;
        }
        self.shared.traces.ended();
    }

    /// By the configuration that is in force by then.
    async fn tell(&self, batch: &[Arc<Record>], stage: &mut watch::Receiver<Stage>) {
        let began = Instant::now();
        let mut pause = PAUSES.0;
        let mut body = None;
        loop {
            let snapshot = Arc::clone(&self.shared.current.load().snapshot);
            let is_last = *stage.borrow() != Stage::Open;
            let after = match self.try_once(batch, &snapshot, &mut body).await {
                Ok(()) => return,
                Err(Vain::ForGood) => return self.shared.traces.lost(batch.len()),
                Err(Vain::ForNow { after }) => after,
            };
            if is_last || began.elapsed() >= GIVE_UP {
                return self.shared.traces.lost(batch.len());
            }
            let wait = pause.mul_f64(0.5 + rand::random::<f64>());
            let wait = wait.max(after.unwrap_or_default()).min(GIVE_UP);
            pause = (pause * 2).min(PAUSES.1);
            tokio::select! {
                () = sleep(wait) => {}
                () = ending(stage) => {}
            }
        }
    }

    async fn try_once(
        &self,
        batch: &[Arc<Record>],
        snapshot: &Snapshot,
        body: &mut Option<Bytes>,
    ) -> Result<(), Vain> {
        let Some(traces) = &snapshot.traces else {
            // Switched off since.
            return Err(Vain::ForGood);
        };
        let body = body
            .get_or_insert_with(|| Bytes::from(spans::render(batch, traces, &snapshot.providers)));
        let told = timeout(PATIENCE, self.collector.tell(traces, body)).await;
        let (why, vain) = match told {
            Ok(Ok(Answer::Taken)) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("traces are taken again");
                }
                return Ok(());
            }
            Ok(Ok(Answer::Later { status, after })) => {
                (format!("status {status}"), Vain::ForNow { after })
            }
            Ok(Ok(Answer::Refused(status))) => (format!("status {status}"), Vain::ForGood),
            Ok(Err(error)) => (error, Vain::ForNow { after: None }),
            Err(_) => (
                format!("no answer within {PATIENCE:?}"),
                Vain::ForNow { after: None },
            ),
        };
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!("traces are not taken by {}: {why}", traces.host);
        }
        Err(vain)
    }
}

/// Why a batch was not taken.
enum Vain {
    ForNow { after: Option<Duration> },
    ForGood,
}

/// The next requests to be told of. None: there will be no more.
async fn gather(
    records: &mut mpsc::Receiver<Arc<Record>>,
    stage: &mut watch::Receiver<Stage>,
) -> Vec<Arc<Record>> {
    let mut batch = Vec::new();
    tokio::select! {
        biased;
        () = ending(stage) => {
            records.close();
            records.recv_many(&mut batch, BATCH).await;
            return batch;
        }
        _ = records.recv_many(&mut batch, BATCH) => {}
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH && Instant::now() < until {
        tokio::select! {
            () = sleep(LOOK) => {}
            () = ending(stage) => break,
        }
        while batch.len() < BATCH
            && let Ok(record) = records.try_recv()
        {
            batch.push(record);
        }
    }
    batch
}

/// Resolves when nothing more is to be waited for.
async fn ending(stage: &mut watch::Receiver<Stage>) {
    // Its other end lives as long as the gateway.
    let _ = stage.wait_for(|stage| *stage != Stage::Open).await;
}
