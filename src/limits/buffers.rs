//! Memory for request bodies: reserved before it is used, so that no crowd of callers can take
//! more than `server.buffers`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All request bodies in memory together.
#[derive(Debug)]
pub struct Buffers {
    limit: AtomicUsize,
    used: AtomicUsize,
}

/// Kept aside of a generous limit for what hundreds of senders cost besides their bodies: each
/// connection has buffers of its own. A tight limit is all for bodies.
const ASIDE: usize = 24 * 1024 * 1024;

impl Buffers {
    /// For bodies and the connections they come by, and always for one body of the largest size.
    pub fn within(limit: usize, largest: usize) -> Arc<Buffers> {
        Buffers::new(for_bodies(limit, largest))
    }

    /// Another limit from now on. What is held beyond it is held to its end.
    pub fn resize(&self, limit: usize, largest: usize) {
        let limit = for_bodies(limit, largest);
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub fn new(limit: usize) -> Arc<Buffers> {
        Arc::new(Buffers {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
        })
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= limit)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn for_bodies(limit: usize, largest: usize) -> usize {
    let aside = if limit / 8 >= ASIDE { ASIDE } else { 0 };
    (limit - aside).max(largest)
}

/// Why a body can not grow further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// This body is larger than any may be.
    Body,
    /// All bodies together are.
    Gateway,
}

impl From<Full> for io::Error {
    fn from(full: Full) -> io::Error {
        match full {
            Full::Body => io::Error::from(io::ErrorKind::FileTooLarge),
            Full::Gateway => io::Error::from(io::ErrorKind::OutOfMemory),
        }
    }
}

/// A share of the buffers, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    buffers: Arc<Buffers>,
    bytes: usize,
}

impl Reservation {
    pub fn new(buffers: &Arc<Buffers>, bytes: usize) -> Option<Reservation> {
        buffers.take(bytes).then(|| Reservation {
            buffers: Arc::clone(buffers),
            bytes,
        })
    }

    fn grow(&mut self, more: usize) -> bool {
        let granted = self.buffers.take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }

    fn shrink(&mut self, less: usize) {
        let less = less.min(self.bytes);
        self.bytes -= less;
        self.buffers.give_back(less);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.buffers.give_back(self.bytes);
    }
}

/// A body being read. Its capacity is always reserved, also while it is being moved into a larger
/// allocation.
#[derive(Debug)]
pub struct Growing {
    data: Vec<u8>,
    max: usize,
    reservation: Reservation,
    full: Option<Full>,
}

/// Bodies of unknown length start here and double.
const FIRST: usize = 16 * 1024;

impl Growing {
    /// For a body announced with its length, or of unknown length.
    pub fn new(
        buffers: &Arc<Buffers>,
        announced: Option<usize>,
        max: usize,
    ) -> Result<Growing, Full> {
        if announced.is_some_and(|length| length > max) {
            return Err(Full::Body);
        }
        let capacity = announced.unwrap_or(0);
        let reservation = Reservation::new(buffers, capacity).ok_or(Full::Gateway)?;
        Ok(Growing {
            data: Vec::new(),
            max,
            reservation,
            full: None,
        })
    }

    pub fn append(&mut self, chunk: &[u8]) -> Result<(), Full> {
        let needed = self.data.len().saturating_add(chunk.len());
        if needed > self.max {
            self.full = Some(Full::Body);
            return Err(Full::Body);
        }
        if needed > self.data.capacity() {
            self.make_room(needed)?;
        }
        self.data.extend_from_slice(chunk);
        Ok(())
    }

    fn make_room(&mut self, needed: usize) -> Result<(), Full> {
        let old = self.data.capacity();
        if old == 0 && needed <= self.reservation.bytes {
            // The first bytes of an announced body: its room is reserved already.
            self.data.reserve_exact(self.reservation.bytes);
            return Ok(());
        }
        let capacity = needed.max(old.saturating_mul(2)).max(FIRST).min(self.max);
        if !self.reservation.grow(capacity) {
            self.full = Some(Full::Gateway);
            return Err(Full::Gateway);
        }
        self.data.reserve_exact(capacity - self.data.len());
        self.reservation.shrink(self.reservation.bytes - capacity);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Which bound stopped the last write, where one did.
    pub fn full(&self) -> Option<Full> {
        self.full
    }

    pub fn into_parts(self) -> (Vec<u8>, Reservation) {
        (self.data, self.reservation)
    }
}

impl io::Write for Growing {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        self.append(chunk)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_comes_back() {
        let buffers = Buffers::new(1000);
        let first = Reservation::new(&buffers, 600).unwrap();
        assert!(Reservation::new(&buffers, 600).is_none());
        assert_eq!(buffers.used(), 600);
        drop(first);
        assert_eq!(buffers.used(), 0);
        assert!(Reservation::new(&buffers, 1000).is_some());
    }

    #[test]
    fn a_generous_limit_pays_for_connections_too_but_the_largest_body_fits() {
        let mib = 1 << 20;
        assert_eq!(for_bodies(256 * mib, 32 * mib), 232 * mib);
        assert_eq!(for_bodies(2 * mib, mib), 2 * mib);
        assert_eq!(for_bodies(200 * mib, 200 * mib), 200 * mib);
    }

    #[test]
    fn a_smaller_limit_takes_nothing_back() {
        let buffers = Buffers::new(1000);
        let held = Reservation::new(&buffers, 800).unwrap();
        buffers.resize(500, 100);
        assert!(Reservation::new(&buffers, 1).is_none());
        drop(held);
        assert!(Reservation::new(&buffers, 501).is_none());
        assert!(Reservation::new(&buffers, 500).is_some());
    }

    #[test]
    fn an_announced_body_takes_its_length_and_no_more() {
        let buffers = Buffers::new(100_000);
        let mut body = Growing::new(&buffers, Some(70_000), 80_000).unwrap();
        assert_eq!(buffers.used(), 70_000);
        for _ in 0..7 {
            body.append(&[7; 10_000]).unwrap();
        }
        assert_eq!(buffers.used(), 70_000);
        let (data, reservation) = body.into_parts();
        assert_eq!(data.len(), 70_000);
        assert_eq!(data.capacity(), 70_000);
        drop(reservation);
        assert_eq!(buffers.used(), 0);
    }

    #[test]
    fn growth_is_accounted_and_bounded() {
        let buffers = Buffers::new(1 << 20);
        let mut body = Growing::new(&buffers, None, 100_000).unwrap();
        for _ in 0..10 {
            body.append(&[1; 10_000]).unwrap();
            assert!(buffers.used() >= body.data.capacity());
        }
        assert_eq!(body.append(&[1]), Err(Full::Body));
        assert!(buffers.used() <= 200_000);

        let tight = Buffers::new(20_000);
        let mut body = Growing::new(&tight, None, 100_000).unwrap();
        body.append(&[1; 16_000]).unwrap();
        assert_eq!(body.append(&[1; 16_000]), Err(Full::Gateway));
        drop(body);
        assert_eq!(tight.used(), 0);
        assert_eq!(
            Growing::new(&tight, Some(20_001), 100_000).unwrap_err(),
            Full::Gateway
        );
    }
}
