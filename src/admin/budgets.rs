//! `/api/budgets`: what each key may spend, and has spent.

use crate::limits::budget::{Account, Budgets};
use crate::store::units::moment;
use serde_json::{Value, json};
use std::time::SystemTime;

pub fn list(budgets: &Budgets, now: SystemTime) -> Value {
    let budgets = budgets.accounts().map(|account| describe(account, now));
    json!({ "budgets": budgets.collect::<Vec<_>>() })
}

fn describe(account: &Account, now: SystemTime) -> Value {
    let standing = account.standing(now);
    let millis = |time| moment(time) / 1000;
    json!({
        "key": &*account.key,
        "per": account.per.name(),
        "limit_micros": standing.limit.get(),
        "spent_micros": standing.spent.get(),
        "reserved_micros": standing.reserved.get(),
        "left_micros": standing.left().get(),
        "from_ms": millis(standing.window.start),
        "to_ms": standing.window.end.map(millis),
        "complete": standing.is_complete,
    })
}
