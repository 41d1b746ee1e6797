//! Connections between two requests.

use pingora::protocols::Stream;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop::unconstrained;

/// Kept by what makes them alike; of those, the one that was used last is the first to be used.
#[derive(Debug)]
pub struct Idle {
    kept: Mutex<Kept>,
    most: usize,
}

#[derive(Debug, Default)]
struct Kept {
    shelves: HashMap<u64, Vec<Waiting>>,
    count: usize,
}

#[derive(Debug)]
struct Waiting {
    stream: Stream,
    since: Instant,
    until: Instant,
}

impl Idle {
    pub fn new(most: usize) -> Idle {
        Idle {
            kept: Mutex::default(),
            most,
        }
    }

    /// One that is still open, as far as that can be known without asking.
    pub fn take(&self, alike: u64, now: Instant) -> Option<Stream> {
        loop {
            let mut waiting = self.kept().pop(alike)?;
            if now < waiting.until && is_open(&mut waiting.stream) {
                return Some(waiting.stream);
            }
        }
    }

    /// Keeps one for as long as that. Where there are too many, the one that has waited longest
    /// makes room.
    pub fn put(&self, alike: u64, mut stream: Stream, now: Instant, until: Instant) {
        if self.most == 0 || until <= now || !is_open(&mut stream) {
            return;
        }
        let waiting = Waiting {
            stream,
            since: now,
            until,
        };
        let mut kept = self.kept();
        let dropped = (kept.count >= self.most).then(|| kept.oldest()).flatten();
        kept.push(alike, waiting);
        drop(kept);
        // Closing is the kernel's work, and nobody waits for the lock meanwhile.
        drop(dropped);
    }

    /// Lets go of those whose time is over and those that were closed at the other end.
    pub fn sweep(&self, now: Instant) {
        let mut gone = Vec::new();
        let mut kept = self.kept();
        kept.shelves.retain(|_, shelf| {
            let is_gone = |one: &mut Waiting| one.until <= now || !is_open(&mut one.stream);
            gone.extend(shelf.extract_if(.., is_gone));
            !shelf.is_empty()
        });
        kept.count = kept.count.saturating_sub(gone.len());
        drop(kept);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn pop(&mut self, alike: u64) -> Option<Waiting> {
        let waiting = self.shelves.get_mut(&alike)?.pop()?;
        self.count = self.count.saturating_sub(1);
        Some(waiting)
    }

    fn push(&mut self, alike: u64, waiting: Waiting) {
        self.shelves.entry(alike).or_default().push(waiting);
        self.count += 1;
    }

    fn oldest(&mut self) -> Option<Waiting> {
        let first = |shelf: &Vec<Waiting>| shelf.first().map(|one| one.since);
        let shelves = self.shelves.values_mut();
        let shelf = shelves
            .filter(|shelf| !shelf.is_empty())
            .min_by_key(|shelf| first(shelf))?;
        self.count = self.count.saturating_sub(1);
        Some(shelf.remove(0))
    }
}

/// Neither an end nor anything that nobody asked for has come over it. Without a word to the
/// kernel, unless the kernel had something to say.
fn is_open(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let look = poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut byte));
    // A task that has done its share of work is told to wait, whatever it asks: that is not what
    // is to be known here.
    pin!(unconstrained(look))
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::protocols::l4::stream::Stream as Tcp;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    const SECOND: Duration = Duration::from_secs(1);

    /// Two ends of a connection.
    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Box::new(Tcp::from(ours.unwrap())), theirs.unwrap().0)
    }

    async fn settled() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn id(stream: &Stream) -> i32 {
        stream.id()
    }

    #[tokio::test]
    async fn what_is_kept_is_found_by_what_it_is_like_and_the_last_one_first() {
        let idle = Idle::new(8);
        let now = Instant::now();
        let ((one, _a), (two, _b)) = (pair().await, pair().await);
        let (first, second) = (id(&one), id(&two));
        idle.put(1, one, now, now + SECOND);
        idle.put(1, two, now, now + SECOND);
        assert!(idle.take(2, now).is_none());
        assert_eq!(id(&idle.take(1, now).unwrap()), second);
        assert_eq!(id(&idle.take(1, now).unwrap()), first);
        assert!(idle.take(1, now).is_none());
    }

    #[tokio::test]
    async fn what_was_closed_spoke_or_waited_too_long_is_not_used() {
        let idle = Idle::new(8);
        let now = Instant::now();
        let (closed, other) = pair().await;
        idle.put(1, closed, now, now + SECOND);
        drop(other);
        let (spoke, mut talker) = pair().await;
        idle.put(1, spoke, now, now + SECOND);
        talker.write_all(b"hello").await.unwrap();
        let (late, _other) = pair().await;
        idle.put(1, late, now, now + SECOND / 2);
        settled().await;
        assert!(idle.take(1, now + SECOND / 2).is_none());
    }

    #[tokio::test]
    async fn a_sweep_leaves_what_can_be_used() {
        let idle = Idle::new(8);
        let now = Instant::now();
        let (closed, other) = pair().await;
        idle.put(1, closed, now, now + SECOND);
        drop(other);
        let (late, _a) = pair().await;
        idle.put(2, late, now, now + SECOND / 2);
        let (good, _b) = pair().await;
        let number = id(&good);
        idle.put(1, good, now, now + SECOND);
        settled().await;
        idle.sweep(now + SECOND / 2);
        assert_eq!(idle.kept().count, 1);
        assert_eq!(idle.kept().shelves.len(), 1);
        assert_eq!(id(&idle.take(1, now).unwrap()), number);
    }

    #[tokio::test]
    async fn one_sweep_is_enough_however_many_were_closed() {
        let idle = Idle::new(400);
        let now = Instant::now();
        for _ in 0..300 {
            let (stream, other) = pair().await;
            idle.put(1, stream, now, now + SECOND);
            drop(other);
        }
        settled().await;
        idle.sweep(now);
        assert_eq!(idle.kept().count, 0);
    }

    #[tokio::test]
    async fn the_longest_wait_makes_room() {
        let idle = Idle::new(2);
        let now = Instant::now();
        let mut others = Vec::new();
        for number in 0..3 {
            let (stream, other) = pair().await;
            others.push(other);
            let later = now + SECOND * number;
            idle.put(u64::from(number), stream, later, later + SECOND * 9);
        }
        assert!(idle.take(0, now).is_none());
        assert!(idle.take(1, now).is_some() && idle.take(2, now).is_some());
        assert_eq!(idle.kept().count, 0);
    }
}
