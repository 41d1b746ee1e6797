//! The task that writes: batch after batch, each in one transaction, for as long as it takes.

use crate::store::batch::Batch;
use crate::store::fault::Fault;
use crate::store::meters::Meters;
use crate::store::place::{Opened, Place, patiently};
use crate::store::record::Record;
use crate::store::{retention, units};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};

/// Records in one transaction.
const BATCH: usize = 1000;
/// How late a record may be. A writer that waits for the next one has to be woken by the request
/// that brings it; one that rests costs the requests nothing.
const REST: Duration = Duration::from_millis(100);
/// Between two attempts while the store cannot be written, doubled each time.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often is looked whether anything has become too old.
const SWEEP: Duration = Duration::from_secs(5);
/// How often is looked whether the file is still there.
const LOOK: Duration = Duration::from_secs(1);

pub struct Writer {
    place: Place,
    keep: Duration,
    queue: mpsc::Receiver<Arc<Record>>,
    closing: watch::Receiver<bool>,
    meters: Meters,
    opened: Option<Opened>,
    /// Whether it could be written the last time. None: nobody has tried.
    up: Option<bool>,
    /// It said that it is damaged: it is looked through before it is trusted again.
    suspect: bool,
    /// Had been lost when it went down.
    lost_before: u64,
    next_id: i64,
    sweep: Instant,
    look: Instant,
}

impl Writer {
    pub fn new(
        place: Place,
        keep: Duration,
        queue: mpsc::Receiver<Arc<Record>>,
        closing: watch::Receiver<bool>,
        meters: Meters,
    ) -> Writer {
        let now = Instant::now();
        Writer {
            place,
            keep,
            queue,
            closing,
            meters,
            opened: None,
            up: None,
            suspect: false,
            lost_before: 0,
            // Another process that writes to the same tables counts elsewhere.
            next_id: rand::random_range(0..1 << 62),
            sweep: now,
            look: now,
        }
    }

    /// Until it is told to close and nothing is left.
    pub async fn run(mut self) {
        loop {
            let closing = *self.closing.borrow();
            let records = self.take();
            if records.is_empty() {
                if closing {
                    break;
                }
                self.idle().await;
                self.rest(REST).await;
                continue;
            }
            let is_behind = records.len() == BATCH;
            self.deliver(&records).await;
            if !is_behind && !closing {
                self.idle().await;
                self.rest(REST).await;
            }
        }
        if let Some(opened) = self.opened.take() {
            opened.connection.close().await;
        }
    }

    fn take(&mut self) -> Vec<Arc<Record>> {
        let mut records = Vec::new();
        while records.len() < BATCH
            && let Ok(record) = self.queue.try_recv()
        {
            records.push(record);
        }
        records
    }

    /// Writes, however often it takes. Only while closing it is given up: there is one attempt.
    async fn deliver(&mut self, records: &[Arc<Record>]) {
        let count = records.len();
        let batch = Batch::new(records, self.next_id);
        self.next_id = self
            .next_id
            .wrapping_add(i64::try_from(count).unwrap_or(i64::MAX))
            & i64::MAX;
        let mut pause = PAUSE;
        let written = loop {
            match self.write(&batch).await {
                Ok(()) => {
                    self.is_up();
                    break true;
                }
                Err(fault) if fault.is_refusal() => {
                    tracing::error!("the store refused {count} records: {fault}");
                    break false;
                }
                Err(fault) => self.is_down(&fault),
            }
            if *self.closing.borrow() {
                break false;
            }
            self.rest(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        self.meters.waiting.sub(i64::try_from(count).unwrap_or(0));
        let counter = if written {
            &self.meters.written
        } else {
            &self.meters.dropped
        };
        counter.inc_by(u64::try_from(count).unwrap_or(0));
    }

    async fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let mut opened = self.open().await?;
        let now = units::moment(SystemTime::now());
        patiently(batch.write(&mut opened.connection, now)).await?;
        // One that failed is not used again: nobody knows where in a transaction it stands.
        self.opened = Some(opened);
        Ok(())
    }

    async fn open(&mut self) -> Result<Opened, Fault> {
        if let Some(opened) = self.opened.take() {
            if self.look.elapsed() < LOOK {
                return Ok(opened);
            }
            self.look = Instant::now();
            if self.place.still_has(&opened) {
                return Ok(opened);
            }
            tracing::warn!("the store at {} was moved or removed", self.place);
            opened.connection.close().await;
        }
        let opened = self.place.open(self.suspect).await?;
        self.suspect = false;
        Ok(opened)
    }

    /// What is to be done while nothing waits: to find out whether it can be written at all, and
    /// to remove what is too old.
    async fn idle(&mut self) {
        if self.sweep > Instant::now() {
            return;
        }
        self.sweep = Instant::now() + SWEEP;
        match self.clear().await {
            Ok(more) => {
                self.is_up();
                if more {
                    self.sweep = Instant::now();
                }
            }
            Err(fault) => self.is_down(&fault),
        }
    }

    async fn clear(&mut self) -> Result<bool, Fault> {
        let mut opened = self.open().await?;
        let now = units::moment(SystemTime::now());
        let more = patiently(retention::step(&mut opened.connection, self.keep, now)).await?;
        self.opened = Some(opened);
        Ok(more)
    }

    async fn rest(&mut self, time: Duration) {
        if *self.closing.borrow() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.closing.changed() => {}
        }
    }

    fn is_up(&mut self) {
        match self.up.replace(true) {
            Some(true) => return,
            None => tracing::info!("records are kept in {}", self.place),
            Some(false) => tracing::warn!(
                "the store at {} can be written again; {} records were lost",
                self.place,
                self.meters.dropped.get().saturating_sub(self.lost_before)
            ),
        }
        self.meters.up.set(1);
    }

    fn is_down(&mut self, fault: &Fault) {
        self.suspect |= fault.is_corrupt();
        if self.up.replace(false) == Some(false) {
            return;
        }
        self.meters.up.set(0);
        self.lost_before = self.meters.dropped.get();
        tracing::error!(
            "the store at {} cannot be written: {fault}; records wait, {} at most, those beyond \
             are lost and counted; serving goes on",
            self.place,
            self.queue.max_capacity()
        );
    }
}
