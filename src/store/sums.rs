//! What requests and attempts add up to, whatever they are grouped by.

use crate::error::Reason;
use crate::store::database::{Cell, Row};
use crate::store::record::Record;
use crate::store::units;
use crate::telemetry::tale::Attempt;

/// The names of the sums: as columns, and in answers.
pub const NAMES: [&str; 14] = [
    "requests",
    "failures",
    "refused",
    "cancelled",
    "attempts",
    "failed_attempts",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_reasoning",
    "estimated",
    "cost_micros",
    "priced",
    "unpriced",
];

/// In the order of `NAMES`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums([i64; NAMES.len()]);

/// Whose doing an end was. A cancelled call is nobody's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Well,
    /// A provider's or the gateway's own.
    Failed,
    /// The caller's own, or forbidden by a policy.
    Refused,
    Cancelled,
}

impl Outcome {
    pub fn of(reason: Option<Reason>) -> Outcome {
        match reason {
            None => Outcome::Well,
            Some(Reason::CallerCancelled) => Outcome::Cancelled,
            Some(reason) => match reason.label().split('_').next() {
                Some("caller" | "policy") => Outcome::Refused,
                _ => Outcome::Failed,
            },
        }
    }
}

/// The same in SQL, over the rows: of `requests`, and of `attempts` joined to theirs. In the order
/// of `NAMES`.
pub const OF_REQUESTS: [&str; NAMES.len()] = [
    "COUNT(*)",
    "SUM(CASE WHEN r.reason LIKE 'provider%' OR r.reason LIKE 'gateway%' THEN 1 ELSE 0 END)",
    "SUM(CASE WHEN r.reason <> 'caller_cancelled' \
     AND (r.reason LIKE 'caller%' OR r.reason LIKE 'policy%') THEN 1 ELSE 0 END)",
    "SUM(CASE WHEN r.reason = 'caller_cancelled' THEN 1 ELSE 0 END)",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
    "0",
];
pub const OF_ATTEMPTS: [&str; NAMES.len()] = [
    "0",
    "0",
    "0",
    "0",
    "COUNT(*)",
    "SUM(CASE WHEN a.reason LIKE 'provider%' OR a.reason LIKE 'gateway%' THEN 1 ELSE 0 END)",
    "SUM(COALESCE(a.tokens_in, 0))",
    "SUM(COALESCE(a.tokens_out, 0))",
    "SUM(COALESCE(a.tokens_cached, 0))",
    "SUM(COALESCE(a.tokens_reasoning, 0))",
    "SUM(a.estimated)",
    "SUM(COALESCE(a.cost_micros, 0))",
    "SUM(CASE WHEN a.cost_micros IS NULL THEN 0 ELSE 1 END)",
    "SUM(CASE WHEN a.cost_micros IS NULL \
     AND COALESCE(a.tokens_in, 0) + COALESCE(a.tokens_out, 0) > 0 THEN 1 ELSE 0 END)",
];

impl Sums {
    pub fn of_request(record: &Record) -> Sums {
        let mut sums = [0; NAMES.len()];
        let outcome = Outcome::of(record.reason);
        let [requests, failures, refused, cancelled, ..] = &mut sums;
        *requests = 1;
        *failures = i64::from(outcome == Outcome::Failed);
        *refused = i64::from(outcome == Outcome::Refused);
        *cancelled = i64::from(outcome == Outcome::Cancelled);
        Sums(sums)
    }

    pub fn of_attempt(attempt: &Attempt) -> Sums {
        let known = |count: Option<u64>| count.map_or(0, units::count);
        let usage = &attempt.usage;
        let (input, output) = (known(usage.input), known(usage.output));
        let cost = units::cost(attempt);
        Sums([
            0,
            0,
            0,
            0,
            1,
            i64::from(Outcome::of(attempt.reason) == Outcome::Failed),
            input,
            output,
            known(usage.cached),
            known(usage.reasoning),
            attempt.estimated.into(),
            cost.unwrap_or(0),
            cost.is_some().into(),
            (cost.is_none() && input + output > 0).into(),
        ])
    }

    /// As they stand in a row, from this column on.
    pub fn from_row(row: &Row, first: usize) -> sqlx::Result<Sums> {
        let mut sums = [0; NAMES.len()];
        for (column, sum) in (first..).zip(&mut sums) {
            *sum = row.number(column)?.unwrap_or(0);
        }
        Ok(Sums(sums))
    }

    pub fn add(&mut self, other: &Sums) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }

    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        self.0.iter().map(|sum| Cell::from(*sum))
    }

    /// What all of it cost, as far as that is known.
    pub fn cost_micros(&self) -> i64 {
        let mut named = self.named();
        let cost = named.find(|(name, _)| *name == "cost_micros");
        cost.map_or(0, |(_, cost)| cost)
    }

    /// By name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, i64)> {
        NAMES.into_iter().zip(self.0)
    }
}
