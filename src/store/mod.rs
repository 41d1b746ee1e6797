//! What is kept of the requests that were served: a row for each and one for each attempt, in
//! SQLite or PostgreSQL. A request hands its record over and goes its way; a thread of the store's
//! own does the rest. When that falls behind, records are dropped and counted.

mod batch;
pub mod database;
pub mod fault;
pub mod meters;
pub mod place;
mod postgres;
pub mod record;
pub mod requests;
mod retention;
pub mod samples;
mod schema;
mod sqlite;
pub mod sums;
#[cfg(test)]
mod tests;
pub mod units;
pub mod usage;
mod writer;

use crate::store::database::Connection;
use crate::store::fault::Fault;
use crate::store::meters::Meters;
use crate::store::place::{Place, patiently};
use crate::store::record::Record;
use crate::store::requests::Kept;
use crate::store::samples::Sample;
use crate::store::writer::Writer;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};

/// Questions that are answered at the same time; the others wait for one of them.
const READERS: usize = 4;

pub struct Store {
    place: Place,
    queue: mpsc::Sender<Arc<Record>>,
    meters: Meters,
    closing: watch::Sender<bool>,
    /// Ends with the thread that writes.
    ended: Mutex<Receiver<()>>,
    readers: Semaphore,
}

impl Store {
    /// Begins to write, on a thread of its own. `room`: records that may wait.
    pub fn start(
        place: Place,
        keep: Duration,
        room: usize,
        meters: Meters,
    ) -> std::io::Result<Store> {
        let (queue, waiting) = mpsc::channel(room);
        let (closing, told) = watch::channel(false);
        let (alive, ended) = sync_channel(1);
        let writer = Writer::new(place.clone(), keep, waiting, told, meters.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                runtime.block_on(writer.run());
                drop(alive);
            })?;
        Ok(Store {
            place,
            queue,
            meters,
            closing,
            ended: Mutex::new(ended),
            readers: Semaphore::new(READERS),
        })
    }

    /// Never waits.
    pub fn write(&self, record: &Arc<Record>) {
        self.meters.waiting.inc();
        if self.queue.try_send(Arc::clone(record)).is_err() {
            self.meters.waiting.dec();
            self.meters.dropped.inc();
        }
    }

    /// Writes what waits, for as long as this at most, and says what is lost. Blocks.
    pub fn close(&self, limit: Duration) {
        self.closing.send_replace(true);
        let dropped = self.meters.dropped.get();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = ended.recv_timeout(limit);
        let late = match ended {
            Err(RecvTimeoutError::Timeout) => self.meters.waiting.get(),
            _ => 0,
        };
        let dropped = self.meters.dropped.get().saturating_sub(dropped);
        let lost = dropped.saturating_add(u64::try_from(late).unwrap_or(0));
        if lost > 0 {
            tracing::warn!("{lost} records were lost: the store could not take them in time");
        }
    }

    /// A connection of its own for each question.
    pub async fn reader(&self) -> Result<Reader<'_>, Fault> {
        let turn = self.readers.acquire().await.ok();
        let connection = self.place.read().await?;
        Ok(Reader { connection, turn })
    }
}

/// Answers one question, and is then closed.
pub struct Reader<'a> {
    connection: Connection,
    turn: Option<SemaphorePermit<'a>>,
}

impl Reader<'_> {
    pub async fn usage(mut self, question: &usage::Question) -> Result<usage::Answer, Fault> {
        let answer = patiently(usage::ask(&mut self.connection, question)).await?;
        self.close().await;
        Ok(answer)
    }

    pub async fn requests(mut self, question: &requests::Question) -> Result<Vec<Kept>, Fault> {
        let answer = patiently(requests::ask(&mut self.connection, question)).await?;
        self.close().await;
        Ok(answer)
    }

    pub async fn samples(mut self, question: &samples::Question) -> Result<Vec<Sample>, Fault> {
        let answer = patiently(samples::ask(&mut self.connection, question)).await?;
        self.close().await;
        Ok(answer)
    }

    async fn close(self) {
        self.connection.close().await;
        drop(self.turn);
    }
}
