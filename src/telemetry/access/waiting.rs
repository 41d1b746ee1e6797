//! Lines that wait for the thread that writes them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Written at once, and kept allocated.
pub const BATCH: usize = 128 * 1024;
/// Room for so many bytes while the writer is busy.
const MOST: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Waiting {
    lines: Mutex<Lines>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    /// All but the last are full.
    batches: VecDeque<Vec<u8>>,
    /// In all of them.
    bytes: usize,
    /// An empty one, whose memory is used again.
    spare: Vec<u8>,
    awaited: Awaited,
    is_closed: bool,
}

/// What the thread that writes is to be woken by, besides the end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    #[default]
    Nothing,
    Line,
    FullBatch,
}

impl Waiting {
    /// False: there is no room for it.
    pub fn put(&self, line: &[u8]) -> bool {
        let mut lines = self.lock();
        if lines.bytes + line.len() > MOST {
            return false;
        }
        lines.bytes += line.len();
        match lines.batches.back_mut().filter(|last| last.len() < BATCH) {
            Some(last) => last.extend_from_slice(line),
            None => {
                let mut batch = std::mem::take(&mut lines.spare);
                batch.extend_from_slice(line);
                lines.batches.push_back(batch);
            }
        }
        let is_awaited = match lines.awaited {
            Awaited::Nothing => false,
            Awaited::Line => true,
            Awaited::FullBatch => lines.is_full(),
        };
        if is_awaited {
            lines.awaited = Awaited::Nothing;
        }
        drop(lines);
        // To wake one takes a call of the system, whether anyone sleeps or not.
        if is_awaited {
            self.came.notify_one();
        }
        true
    }

    /// The oldest batch, for an empty one, once there is any; and whether there are more. None:
    /// none will ever come.
    pub fn take(&self, empty: &mut Vec<u8>) -> Option<bool> {
        let mut lines = self.lock();
        loop {
            if let Some(batch) = lines.batches.pop_front() {
                lines.bytes -= batch.len();
                lines.spare = std::mem::replace(empty, batch);
                return Some(!lines.batches.is_empty());
            }
            if lines.is_closed {
                return None;
            }
            lines.awaited = Awaited::Line;
            let woken = self.came.wait(lines);
            lines = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For so long, or until a batch is full, or the end.
    pub fn rest(&self, time: Duration) {
        let mut lines = self.lock();
        lines.awaited = Awaited::FullBatch;
        let is_early = |lines: &mut Lines| !lines.is_closed && !lines.is_full();
        let rested = self.came.wait_timeout_while(lines, time, is_early);
        let (mut lines, _) = rested.unwrap_or_else(PoisonError::into_inner);
        lines.awaited = Awaited::Nothing;
    }

    /// What waits is still taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn is_full(&self) -> bool {
        self.batches
            .front()
            .is_some_and(|batch| batch.len() >= BATCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn lines_come_out_in_the_order_they_went_in_and_none_is_torn() {
        let waiting = Waiting::default();
        let line = |number: usize| format!("{number:0>100}\n").into_bytes();
        let count = 3 * BATCH / line(0).len();
        (0..count).for_each(|number| assert!(waiting.put(&line(number))));
        let (mut written, mut lines) = (Vec::new(), Vec::new());
        let mut sizes = Vec::new();
        while waiting.take(&mut lines).unwrap() {
            sizes.push(lines.len());
            written.append(&mut lines);
        }
        written.append(&mut lines);
        assert_eq!(written, (0..count).flat_map(line).collect::<Vec<u8>>());
        let is_full = |size: &usize| (BATCH..BATCH + line(0).len()).contains(size);
        assert!(sizes.len() == 2 && sizes.iter().all(is_full), "{sizes:?}");
    }

    #[test]
    fn what_there_is_no_room_for_is_refused_until_there_is() {
        let waiting = Waiting::default();
        let line = vec![b'x'; MOST / 8];
        (0..8).for_each(|_| assert!(waiting.put(&line)));
        assert!(!waiting.put(b"\n"));
        let mut lines = Vec::new();
        assert_eq!(waiting.take(&mut lines), Some(true));
        assert!(waiting.put(b"\n"));
        assert!(!waiting.put(&line));
    }

    #[test]
    fn whoever_waits_is_woken_by_a_line_and_by_the_end() {
        let waiting = Arc::new(Waiting::default());
        let there = Arc::clone(&waiting);
        let writer = std::thread::spawn(move || {
            let (mut all, mut lines) = (Vec::new(), Vec::new());
            while there.take(&mut lines).is_some() {
                all.append(&mut lines);
            }
            all
        });
        let is_awaited = || waiting.lock().awaited == Awaited::Line;
        for line in [b"one\n", b"two\n"] {
            while !is_awaited() {
                std::thread::yield_now();
            }
            assert!(waiting.put(line));
        }
        while !is_awaited() {
            std::thread::yield_now();
        }
        waiting.close();
        assert_eq!(writer.join().unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_rest_is_over_with_its_time_with_a_full_batch_or_at_the_end() {
        const LONG: Duration = Duration::from_secs(60);
        let waiting = Arc::new(Waiting::default());
        let began = Instant::now();
        waiting.rest(Duration::from_millis(1));
        assert!(began.elapsed() >= Duration::from_millis(1));
        let there = Arc::clone(&waiting);
        let writer = std::thread::spawn(move || {
            there.rest(LONG);
            let mut lines = Vec::new();
            let has_more = there.take(&mut lines);
            there.rest(LONG);
            (lines.len(), has_more)
        });
        let rests = || waiting.lock().awaited == Awaited::FullBatch;
        let wait_until_it_rests = || {
            while !rests() {
                std::thread::yield_now();
            }
        };
        wait_until_it_rests();
        assert!(waiting.put(b"one\n"));
        assert!(rests(), "one line is no reason to wake it");
        assert!(waiting.put(&vec![b'x'; BATCH]));
        while waiting.lock().bytes > 0 {
            std::thread::yield_now();
        }
        wait_until_it_rests();
        waiting.close();
        assert_eq!(writer.join().unwrap(), (BATCH + 4, Some(false)));
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn what_waits_at_the_end_is_still_taken() {
        let waiting = Waiting::default();
        assert!(waiting.put(b"one\n"));
        waiting.close();
        let mut lines = Vec::new();
        assert_eq!(waiting.take(&mut lines), Some(false));
        assert_eq!(lines, b"one\n");
        lines.clear();
        assert_eq!(waiting.take(&mut lines), None);
    }
}
