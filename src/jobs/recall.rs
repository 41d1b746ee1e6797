//! What keys have spent of their budgets before this process counted, out of the store: read in
//! the background, and no request waits for it.

use crate::limits::budget::{Account, Budgets};
use crate::pricing::Micros;
use crate::proxy::shared::Shared;
use crate::store::Store;
use crate::store::fault::Fault;
use crate::store::units::moment;
use crate::store::usage::{Group, Question};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// How often is looked whether anything is to be asked.
const LOOK: Duration = Duration::from_millis(250);
/// A store that is only just being made does not answer the first questions.
const EARLY: u32 = 10;

/// From when to when, and whose budgets want to know.
type Asked = BTreeMap<(SystemTime, SystemTime), Vec<Arc<Account>>>;

/// As long as the gateway runs.
pub async fn run(shared: &Shared) {
    let Some(store) = &shared.store else {
        return;
    };
    let mut in_vain = 0u32;
    loop {
        let budgets = Arc::clone(&shared.current.load().budgets);
        for ((from, to), accounts) in unknown(&budgets) {
            match spent(store, from, to).await {
                Ok(spent) => {
                    in_vain = 0;
                    let now = SystemTime::now();
                    for account in accounts {
                        let spent = spent.get(&*account.key).copied();
                        account.learn(now, from, spent.unwrap_or_default());
                    }
                }
                Err(fault) => {
                    in_vain = in_vain.saturating_add(1);
                    if in_vain == EARLY {
                        tracing::warn!(
                            "what keys have spent of their budgets before cannot be read: \
                             {fault}; it counts when the store answers"
                        );
                    }
                    let now = SystemTime::now();
                    accounts.iter().for_each(|account| account.not_learnt(now));
                }
            }
        }
        sleep(LOOK).await;
    }
}

/// Those of the same window are asked for at once.
fn unknown(budgets: &Budgets) -> Asked {
    let now = SystemTime::now();
    let mut asked = Asked::new();
    for account in budgets.accounts() {
        if let Some(span) = account.unknown(now) {
            asked.entry(span).or_default().push(Arc::clone(account));
        }
    }
    asked
}

/// By key.
async fn spent(
    store: &Store,
    from: SystemTime,
    to: SystemTime,
) -> Result<HashMap<String, Micros>, Fault> {
    let (from, to) = (moment(from), moment(to));
    let question = Question {
        from,
        to,
        interval: to.saturating_sub(from).max(1),
        by: vec![Group::Key],
        only: Vec::new(),
    };
    let answer = store.reader().await?.usage(&question).await?;
    let mut spent: HashMap<String, Micros> = HashMap::new();
    for ((_, by), sums) in &answer {
        let micros = u64::try_from(sums.cost_micros()).unwrap_or(0);
        if let Some(key) = by.first() {
            let known = spent.entry(key.clone()).or_default();
            *known = known.plus(Micros::new(micros));
        }
    }
    Ok(spent)
}
