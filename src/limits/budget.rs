//! How much a key may spend in a window of the calendar.
//!
//! What a call may cost is reserved before it is made; when it is over, what it cost in truth
//! takes the place of that. A call is let in while less than the budget is spent and reserved, and
//! whatever it may cost itself: so nobody is turned away for money that others will hardly use,
//! and what is spent passes the budget by one reservation at most.

use crate::config::money::Micros;
use crate::config::period::{Period, Span};
use crate::config::snapshot::{Key, Snapshot};
use crate::limits::recall::Recall;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

#[cfg(test)]
mod tests;

/// A clock that is set back by less than this stays in the window that it had entered: otherwise
/// one that is corrected at midnight would begin a window twice.
const SET_BACK: Duration = Duration::from_secs(3600);

/// Of all keys that have one, by name: a reload takes over what is known of the same.
#[derive(Debug, Default)]
pub struct Budgets(BTreeMap<Arc<str>, Arc<Account>>);

#[derive(Debug)]
pub struct Account {
    pub key: Arc<str>,
    pub per: Period,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: Micros,
    window: Span,
    /// How many there were before.
    turn: u32,
    /// Of calls that are over.
    spent: Micros,
    /// For calls under way that began in this window.
    reserved: Micros,
    /// What was spent in this window before anybody counted here.
    before: Recall,
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: Micros,
    pub spent: Micros,
    pub reserved: Micros,
    pub window: Span,
    /// What was spent in this window before this process counted is part of it.
    pub is_complete: bool,
}

/// Nothing is left, or nothing that is not reserved for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub key: Arc<str>,
    pub per: Period,
    pub standing: Standing,
}

impl Budgets {
    /// For a configuration; what `before` knew of the same budgets stays.
    pub fn new(snapshot: &Snapshot, before: &Budgets, now: SystemTime) -> Budgets {
        let account = |key: &Arc<Key>| {
            let budget = key.budget?;
            let known = before.of(&key.name).filter(|known| known.per == budget.per);
            let account = match known {
                Some(known) => {
                    known.lock().limit = budget.limit;
                    Arc::clone(known)
                }
                None => Account::new(Arc::clone(&key.name), budget.limit, budget.per, now),
            };
            Some((Arc::clone(&key.name), account))
        };
        Budgets(snapshot.keys.all().filter_map(account).collect())
    }

    /// None: there is no bound to what this key spends.
    pub fn of(&self, key: &str) -> Option<&Arc<Account>> {
        self.0.get(key)
    }

    /// By name.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.0.values()
    }
}

impl Account {
    fn new(key: Arc<str>, limit: Micros, per: Period, now: SystemTime) -> Arc<Account> {
        Arc::new(Account {
            key,
            per,
            inner: Mutex::new(Inner {
                limit,
                window: per.around(now),
                turn: 0,
                spent: Micros::ZERO,
                reserved: Micros::ZERO,
                before: Recall::new(now),
            }),
        })
    }

    /// Refuses whoever has nothing left at all, so that no more is done for a call in vain.
    pub fn check(&self, now: SystemTime) -> Result<(), Refused> {
        let standing = self.standing(now);
        match standing.is_spent() {
            true => Err(self.refused(standing)),
            false => Ok(()),
        }
    }

    /// `most`: what the call may cost, as far as anybody can tell.
    pub fn reserve(
        self: &Arc<Account>,
        now: SystemTime,
        most: Micros,
    ) -> Result<Reservation, Refused> {
        let mut inner = self.turned(now);
        let standing = inner.standing();
        if standing.spent.plus(standing.reserved) >= standing.limit {
            drop(inner);
            return Err(self.refused(standing));
        }
        inner.reserved = inner.reserved.plus(most);
        Ok(Reservation {
            account: Arc::clone(self),
            turn: inner.turn,
            most,
        })
    }

    pub fn standing(&self, now: SystemTime) -> Standing {
        self.turned(now).standing()
    }

    /// The time before this process counted for which the store is to be asked now, if any of it
    /// lies in the window.
    pub fn unknown(&self, now: SystemTime) -> Option<(SystemTime, SystemTime)> {
        let inner = self.turned(now);
        inner.before.is_due(now, inner.window.start)
    }

    /// So much was spent in the window that began at `start` before this process counted.
    pub fn learn(&self, now: SystemTime, start: SystemTime, spent: Micros) {
        let mut inner = self.turned(now);
        if inner.window.start == start {
            inner.before.learn(now, spent);
        }
    }

    /// The store could not be asked.
    pub fn not_learnt(&self, now: SystemTime) {
        self.lock().before.failed(now);
    }

    fn refused(&self, standing: Standing) -> Refused {
        Refused {
            key: Arc::clone(&self.key),
            per: self.per,
            standing,
        }
    }

    /// In the window that now is in: a new one begins with nothing spent. What calls of the one
    /// before still cost belongs to that one.
    fn turned(&self, now: SystemTime) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        let is_set_back = now
            .checked_add(SET_BACK)
            .is_some_and(|later| later < inner.window.start);
        if inner.window.has_ended(now) || is_set_back {
            inner.window = self.per.around(now);
            inner.turn = inner.turn.wrapping_add(1);
            inner.spent = Micros::ZERO;
            inner.reserved = Micros::ZERO;
            inner.before.forget();
        }
        inner
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn standing(&self) -> Standing {
        Standing {
            limit: self.limit,
            spent: self.spent.plus(self.before.spent()),
            reserved: self.reserved,
            window: self.window,
            is_complete: self.before.is_known(self.window.start),
        }
    }
}

impl Standing {
    /// Nothing is left before the next window.
    pub fn is_spent(&self) -> bool {
        self.spent >= self.limit
    }

    /// What is neither spent nor reserved.
    pub fn left(&self) -> Micros {
        self.limit.minus(self.spent.plus(self.reserved))
    }
}

/// Room in a budget for one call. Dropped without a word, the call has cost nothing.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    /// Of the window that it began in.
    turn: u32,
    most: Micros,
}

impl Reservation {
    /// What the call cost, as far as that is known.
    pub fn settle(self, cost: Micros) {
        let mut inner = self.account.lock();
        if inner.turn == self.turn {
            inner.spent = inner.spent.plus(cost);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut inner = self.account.lock();
        if inner.turn == self.turn {
            inner.reserved = inner.reserved.minus(self.most);
        }
    }
}
