//! How the budgets of keys stand, in dollars, as they are when somebody looks.

use crate::limits::budget::{Budgets as Accounts, Standing};
use crate::pricing::Micros;
use prometheus::{GaugeVec, Opts, Registry};
use std::time::SystemTime;

pub struct Budgets {
    limit: GaugeVec,
    spent: GaugeVec,
    reserved: GaugeVec,
}

impl Budgets {
    pub fn register(registry: &Registry) -> prometheus::Result<Budgets> {
        let family = |name: &str, help: &str| {
            let family = GaugeVec::new(Opts::new(name, help), &["key"])?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        Ok(Budgets {
            limit: family(
                "overspill_budget_limit_dollars",
                "What a key may spend in its window",
            )?,
            spent: family(
                "overspill_budget_spent_dollars",
                "What a key has spent in the window under way",
            )?,
            reserved: family(
                "overspill_budget_reserved_dollars",
                "What is reserved for a key's calls under way",
            )?,
        })
    }

    /// Those that are gone leave nothing behind.
    pub fn measure(&self, accounts: &Accounts, now: SystemTime) {
        for family in [&self.limit, &self.spent, &self.reserved] {
            family.reset();
        }
        for account in accounts.accounts() {
            let Standing {
                limit,
                spent,
                reserved,
                ..
            } = account.standing(now);
            for (family, micros) in [
                (&self.limit, limit),
                (&self.spent, spent),
                (&self.reserved, reserved),
            ] {
                family
                    .with_label_values(&[&*account.key])
                    .set(dollars(micros));
            }
        }
    }
}

fn dollars(micros: Micros) -> f64 {
    micros.get() as f64 / 1e6
}
