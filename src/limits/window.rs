//! How much happened in the last while: a sliding window in slots.

use std::time::{Duration, Instant};

/// A window slides slot by slot. Besides its full slots it counts the one begun, so that no
/// stretch of its length ever holds more than it says: it errs by one slot, and always upwards.
#[derive(Debug)]
pub struct Window {
    epoch: Instant,
    slot: Duration,
    slots: Box<[u64]>,
    /// The number of the newest slot, counted from the epoch.
    newest: u64,
    total: u64,
}

/// Where in time something was counted, to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Window {
    /// A window as long as `slots` of `slot` each.
    pub fn new(now: Instant, slot: Duration, slots: usize) -> Window {
        Window {
            epoch: now,
            slot,
            slots: vec![0; slots.saturating_add(1)].into(),
            newest: 0,
            total: 0,
        }
    }

    pub fn add(&mut self, now: Instant, amount: u64) -> Stamp {
        self.slide(now);
        let newest = self.newest;
        if let Some(slot) = self.slot_mut(newest) {
            *slot = slot.saturating_add(amount);
        }
        self.total = self.total.saturating_add(amount);
        Stamp(newest)
    }

    /// Takes back what was counted there, as far as it is still in the window.
    pub fn take_back(&mut self, now: Instant, stamp: Stamp, amount: u64) {
        self.slide(now);
        if self.newest.saturating_sub(stamp.0) < self.length()
            && let Some(slot) = self.slot_mut(stamp.0)
        {
            let amount = amount.min(*slot);
            *slot -= amount;
            self.total = self.total.saturating_sub(amount);
        }
    }

    pub fn total(&mut self, now: Instant) -> u64 {
        self.slide(now);
        self.total
    }

    /// What happened in the newest full slots, so many of them, and since.
    pub fn newest(&mut self, now: Instant, slots: u64) -> u64 {
        self.slide(now);
        let oldest = self.newest.saturating_sub(slots.min(self.length() - 1));
        (oldest..=self.newest)
            .map(|number| self.get(number))
            .fold(0, u64::saturating_add)
    }

    /// How long until at least `amount` of the total has left the window.
    pub fn frees(&mut self, now: Instant, amount: u64) -> Duration {
        self.slide(now);
        let mut freed = 0u64;
        for number in self.newest.saturating_sub(self.length() - 1)..=self.newest {
            freed = freed.saturating_add(self.get(number));
            if freed >= amount {
                return self.leaves(now, number);
            }
        }
        self.leaves(now, self.newest)
    }

    /// How long until the slot slides out.
    fn leaves(&self, now: Instant, number: u64) -> Duration {
        let age = number.saturating_add(self.length());
        let end = self
            .slot
            .saturating_mul(u32::try_from(age).unwrap_or(u32::MAX));
        end.saturating_sub(now.saturating_duration_since(self.epoch))
    }

    fn slide(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.epoch).as_nanos();
        let number = elapsed.checked_div(self.slot.as_nanos()).unwrap_or(0);
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        let steps = number.saturating_sub(self.newest);
        for step in 1..=steps.min(self.length()) {
            let entered = self.newest.saturating_add(step);
            if let Some(slot) = self.slot_mut(entered) {
                let left = std::mem::take(slot);
                self.total = self.total.saturating_sub(left);
            }
        }
        self.newest = self.newest.max(number);
    }

    fn length(&self) -> u64 {
        self.slots.len() as u64
    }

    fn get(&self, number: u64) -> u64 {
        let at = number % self.length();
        self.slots.get(at as usize).copied().unwrap_or(0)
    }

    fn slot_mut(&mut self, number: u64) -> Option<&mut u64> {
        let at = number % self.length();
        self.slots.get_mut(at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn what_was_counted_leaves_after_the_window_and_not_before() {
        let start = Instant::now();
        let mut window = Window::new(start, millis(1000), 60);
        window.add(start + millis(500), 7);
        assert_eq!(window.total(start + millis(60_500)), 7);
        assert_eq!(window.total(start + millis(60_999)), 7);
        assert_eq!(window.total(start + millis(61_000)), 0);
    }

    #[test]
    fn it_says_when_room_comes() {
        let start = Instant::now();
        let mut window = Window::new(start, millis(1000), 60);
        window.add(start, 10);
        window.add(start + millis(5_200), 20);
        let now = start + millis(6_000);
        assert_eq!(window.frees(now, 1), millis(55_000));
        assert_eq!(window.frees(now, 10), millis(55_000));
        assert_eq!(window.frees(now, 11), millis(60_000));
        assert_eq!(window.total(now + millis(55_000)), 20);
        assert_eq!(window.total(now + millis(60_000)), 0);
    }

    #[test]
    fn it_takes_back_only_what_is_still_inside() {
        let start = Instant::now();
        let mut window = Window::new(start, millis(100), 10);
        let stamp = window.add(start, 5);
        window.take_back(start + millis(200), stamp, 3);
        assert_eq!(window.total(start + millis(200)), 2);
        let later = start + millis(1_100);
        window.add(later, 4);
        window.take_back(later, stamp, 2);
        assert_eq!(window.total(later), 4);
    }

    #[test]
    fn the_newest_part_can_be_asked_for_alone() {
        let start = Instant::now();
        let mut window = Window::new(start, millis(100), 100);
        for step in 0..100 {
            window.add(start + millis(100) * step, 1);
        }
        let now = start + millis(9_900);
        assert_eq!(window.total(now), 100);
        assert_eq!(window.newest(now, 10), 11);
        assert_eq!(window.newest(now, 1_000), 100);
    }

    #[test]
    fn absurd_amounts_saturate_and_leave_again() {
        let start = Instant::now();
        let mut window = Window::new(start, millis(100), 10);
        for step in 0..3 {
            window.add(start + millis(100) * step, u64::MAX);
        }
        let now = start + millis(200);
        assert_eq!(window.total(now), u64::MAX);
        assert_eq!(window.newest(now, 10), u64::MAX);
        assert_eq!(window.frees(now, u64::MAX), millis(900));
        assert_eq!(window.total(start + millis(5_000)), 0);
        window.add(start + millis(5_000), 1);
        assert_eq!(window.total(start + millis(5_000)), 1);
    }

    #[test]
    fn clocks_that_disagree_a_little_lose_nothing() {
        let start = Instant::now();
        let mut window = Window::new(start, millis(100), 10);
        window.add(start + millis(550), 1);
        window.add(start + millis(420), 1);
        window.add(start - millis(50), 1);
        assert_eq!(window.total(start + millis(550)), 3);
        assert_eq!(window.total(start + Duration::from_secs(1_000_000_000)), 0);
    }
}
