//! Where requests leave what is to be told of them as traces. A request never waits: what the queue
//! cannot take is dropped and counted.

use crate::store::record::Record;
use prometheus::IntCounter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Room for this many requests while the collector is slow or gone.
const BACKLOG: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Open,
    /// What is waiting is told, and no more comes.
    Ending,
    Ended,
}

pub struct Traces {
    sender: mpsc::Sender<Arc<Record>>,
    stage: watch::Sender<Stage>,
    dropped: IntCounter,
}

impl Traces {
    /// And the end that they are told from.
    pub fn new(dropped: IntCounter) -> (Traces, mpsc::Receiver<Arc<Record>>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let traces = Traces {
            sender,
            stage: watch::Sender::new(Stage::Open),
            dropped,
        };
        (traces, receiver)
    }

    pub fn write(&self, record: &Arc<Record>) {
        if record.is_traced() && self.sender.try_send(Arc::clone(record)).is_err() {
            self.lost(1);
        }
    }

    /// So many requests' traces are lost.
    pub fn lost(&self, requests: usize) {
        self.dropped.inc_by(requests as u64);
    }

    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    pub fn ended(&self) {
        self.stage.send_replace(Stage::Ended);
    }

    /// Has what is waiting told, within this time. False: not all of it was.
    pub async fn finish(&self, within: Duration) -> bool {
        let mut stage = self.stage.subscribe();
        self.stage.send_if_modified(|stage| {
            let is_open = *stage == Stage::Open;
            if is_open {
                *stage = Stage::Ending;
            }
            is_open
        });
        let ended = stage.wait_for(|stage| *stage == Stage::Ended);
        matches!(timeout(within, ended).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace_context::TraceContext;
    use http::HeaderMap;

    fn record(share: f64) -> Arc<Record> {
        Arc::new(Record {
            context: TraceContext::of(&HeaderMap::new(), Some(share), || (1 << 50, 1)),
            ..Record::default()
        })
    }

    #[test]
    fn what_the_queue_cannot_take_is_dropped_and_counted() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let (traces, mut told) = Traces::new(dropped.clone());
        traces.write(&Arc::default());
        traces.write(&record(0.0));
        assert!(told.is_empty());
        for _ in 0..BACKLOG {
            traces.write(&record(1.0));
        }
        assert_eq!((told.len(), dropped.get()), (BACKLOG, 0));
        traces.write(&record(1.0));
        assert_eq!((told.len(), dropped.get()), (BACKLOG, 1));
        told.try_recv().unwrap();
        traces.write(&record(1.0));
        assert_eq!((told.len(), dropped.get()), (BACKLOG, 1));
        // After the end nobody takes it.
        told.close();
        traces.write(&record(1.0));
        assert_eq!(dropped.get(), 2);
    }

    #[tokio::test]
    async fn the_end_is_waited_for_and_not_for_ever() {
        let (traces, _told) = Traces::new(IntCounter::new("dropped", "dropped").unwrap());
        let mut stage = traces.stage();
        assert!(!traces.finish(Duration::from_millis(1)).await);
        assert_eq!(*stage.borrow_and_update(), Stage::Ending);
        traces.ended();
        assert!(traces.finish(Duration::from_secs(60)).await);
    }
}
