//! What a call may still spend of its key's budget: asked before anything is done for it, reserved
//! before a provider is asked, settled with the record. A key without a budget asks nothing.

use crate::config::date::Date;
use crate::config::period::Period;
use crate::error::{Failure, Reason};
use crate::limits::budget::{self, Account, Standing};
use crate::pricing::Micros;
use crate::proxy::context::Call;
use crate::proxy::passthrough::Refused;
use crate::proxy::uses::Uses;
use crate::routing::plan::Step;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// When calls under way end nobody knows. Soon is the usual answer.
const SOON: Duration = Duration::from_secs(1);

/// The budget of the call's key, where it has one: the one in force, so that whoever holds an
/// earlier configuration spends from the same.
fn account(call: &Call) -> Option<Arc<Account>> {
    let key = call.key.as_ref().filter(|key| key.budget.is_some())?;
    let current = call.shared.current.load();
    current.budgets.of(&key.name).map(Arc::clone)
}

pub fn standing(call: &Call) -> Option<Standing> {
    Some(account(call)?.standing(SystemTime::now()))
}

/// Whether anything is left at all: of whom nothing is, no body is read.
pub fn check(call: &Call) -> Result<(), Failure> {
    match account(call).map(|account| account.check(SystemTime::now())) {
        Some(Err(refused)) => Err(told(refused).failure),
        _ => Ok(()),
    }
}

/// Room for what the call may cost. An unknown price reserves nothing.
pub fn reserve(
    call: &mut Call,
    steps: &[Step<'_>],
    uses: impl FnOnce() -> Uses,
) -> Result<(), Refused> {
    let Some(account) = account(call) else {
        return Ok(());
    };
    let most = uses().most(steps, &call.shared.measures.table());
    hold(call, &account, most.unwrap_or_default())
}

/// Leave for a call that nobody can tell the cost of.
pub fn enter(call: &mut Call) -> Result<(), Refused> {
    match account(call) {
        Some(account) => hold(call, &account, Micros::ZERO),
        None => Ok(()),
    }
}

fn hold(call: &mut Call, account: &Arc<Account>, most: Micros) -> Result<(), Refused> {
    let reserved = account.reserve(SystemTime::now(), most);
    call.reservation = Some(reserved.map_err(told)?);
    Ok(())
}

fn told(budget: budget::Refused) -> Refused {
    let budget::Refused { key, per, standing } = budget;
    let (limit, spent, reserved) = (standing.limit, standing.spent, standing.reserved);
    let of = match per {
        Period::Total => format!("of {limit} dollars"),
        per => format!("of {limit} dollars a {}", per.name()),
    };
    if !standing.is_spent() {
        let message = format!(
            "what is left of the budget of key `{key}` is reserved for its calls under way \
             ({spent} spent and {reserved} reserved {of}): try again when they have ended"
        );
        return Refused {
            failure: Failure::new(Reason::PolicyBudget, message),
            retry_after: Some(SOON),
        };
    }
    let next = match standing.window.end {
        Some(end) => format!("it begins anew on {} at 00:00 UTC", Date::of(end)),
        None => "only the gateway's operator can give it more".to_owned(),
    };
    let message = format!("the budget of key `{key}` is used up ({spent} {of}): {next}");
    Refused {
        failure: Failure::new(Reason::PolicyBudget, message),
        retry_after: None,
    }
}
