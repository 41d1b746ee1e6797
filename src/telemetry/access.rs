//! One line a request, written by a thread of its own. A request never waits for it: when the
//! thread falls behind, lines are dropped and counted.

mod destination;
mod line;
mod waiting;

use crate::store::record::Record;
use crate::telemetry::access::destination::Lost;
use crate::telemetry::access::waiting::{BATCH, Waiting};
use prometheus::IntCounter;
use std::sync::Arc;
use std::time::Duration;

pub use crate::telemetry::access::destination::Destination;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Json,
    Text,
}

/// How late a line may be, if there are not many. A writer that waits for the next line has to be
/// woken by the request that brings it; one that rests costs the requests nothing.
const REST: Duration = Duration::from_millis(25);
/// Whatever was left here so long ago is written, unless the disk is slow.
pub const WRITTEN_AFTER: Duration = Duration::from_millis(50);

/// The request that is over makes its line itself: all that the line says is at hand, and is freed
/// where it was made. Another thread would have to fetch it, and give it back.
pub struct AccessLog {
    shape: Shape,
    waiting: Arc<Waiting>,
    dropped: IntCounter,
}

impl AccessLog {
    pub fn start(
        shape: Shape,
        mut to: Destination,
        dropped: IntCounter,
    ) -> std::io::Result<AccessLog> {
        let waiting = Arc::new(Waiting::default());
        let (lost, lines) = (dropped.clone(), Arc::clone(&waiting));
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                let mut trouble = Trouble {
                    lost,
                    is_known: false,
                };
                let write = |lines: &[u8]| trouble.note(to.write(lines));
                write_all(&lines, write, || lines.rest(REST));
            })?;
        Ok(AccessLog {
            shape,
            waiting,
            dropped,
        })
    }

    pub fn write(&self, record: &Record) {
        let mut text = Vec::with_capacity(line::LENGTH);
        match self.shape {
            Shape::Json => line::json(record, &mut text),
            Shape::Text => line::text(record, &mut text),
        }
        if !self.waiting.put(&text) {
            self.dropped.inc();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.waiting.close();
    }
}

/// What goes wrong with the log is counted, and told once until it goes well again: it is nobody's
/// reason to stop serving.
struct Trouble {
    lost: IntCounter,
    is_known: bool,
}

impl Trouble {
    fn note(&mut self, outcome: Result<(), Lost>) {
        let was_known = std::mem::replace(&mut self.is_known, outcome.is_err());
        match outcome {
            Err(Lost { lines, error }) => {
                self.lost.inc_by(lines as u64);
                if !was_known {
                    tracing::error!("the lines of requests cannot be written: {error}");
                }
            }
            Ok(()) if was_known => tracing::warn!("the lines of requests are written again"),
            Ok(()) => {}
        }
    }
}

/// Writes until the log is closed: a batch goes out in one write, and it rests when none is left.
fn write_all(waiting: &Waiting, mut write: impl FnMut(&[u8]), rest: impl Fn()) {
    let mut lines = Vec::new();
    while let Some(has_more) = waiting.take(&mut lines) {
        write(&lines);
        empty(&mut lines);
        if !has_more {
            rest();
        }
    }
}

/// One giant line is no reason to hold its memory for ever.
fn empty(lines: &mut Vec<u8>) {
    lines.clear();
    lines.shrink_to(2 * BATCH);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    /// For what comes at once, unless it never does.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn what_comes_while_the_writer_rests_goes_out_at_once_and_nothing_is_lost() {
        const LINE: &[u8] = b"so many bytes\n";
        let waiting = Arc::new(Waiting::default());
        let send = |count| (0..count).for_each(|_| assert!(waiting.put(LINE)));
        let (resting, rested) = sync_channel(0);
        let (go_on, gone_on) = sync_channel::<()>(0);
        // How many lines each time.
        let writes = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&writes);
        let write = move |lines: &[u8]| {
            let count = lines.iter().filter(|&&byte| byte == b'\n').count();
            written.lock().unwrap().push(count);
        };
        let lines = Arc::clone(&waiting);
        let writer = std::thread::spawn(move || {
            write_all(&lines, write, || {
                let _ = resting.send(());
                let _ = gone_on.recv();
            });
        });
        let lines_of_a_batch = BATCH.div_ceil(LINE.len());
        send(1);
        for count in [3, lines_of_a_batch + 1, 2] {
            rested.recv_timeout(PATIENCE).unwrap();
            send(count);
            go_on.send(()).unwrap();
        }
        rested.recv_timeout(PATIENCE).unwrap();
        waiting.close();
        drop((rested, go_on));
        writer.join().unwrap();
        // Only the batch that was full is followed by the next without a rest.
        assert_eq!(*writes.lock().unwrap(), [1, 3, lines_of_a_batch, 1, 2]);
    }

    #[test]
    fn memory_of_a_giant_line_is_given_back() {
        let mut lines = vec![b'x'; 10 * BATCH];
        empty(&mut lines);
        assert!(lines.is_empty() && lines.capacity() <= 2 * BATCH);
    }
}
