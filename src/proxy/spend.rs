//! What a call may still spend of its key's budget: asked before anything is done for it, reserved
//! before a provider is asked, settled with the record. A key without a budget asks nothing.

use crate::config::date::Date;
use crate::config::period::Period;
use crate::error::{Failure, Reason};
use crate::limits::budget::{self, Account, Standing};
use crate::pricing::{self, Micros};
use crate::proxy::context::Call;
use crate::proxy::passthrough::Refused;
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

/// Room for the call at whoever of the plan is the dearest. `tokens`: what it may use, in and out.
/// An unknown price reserves nothing.
pub fn reserve(call: &mut Call, steps: &[Step<'_>], tokens: (u64, u64)) -> Result<(), Refused> {
    let Some(account) = account(call) else {
        return Ok(());
    };
    let most = steps.iter().filter_map(|step| most(step, tokens)).max();
    let reserved = account.reserve(SystemTime::now(), most.unwrap_or_default());
    call.reservation = Some(reserved.map_err(told)?);
    Ok(())
}

fn most(step: &Step<'_>, (input, output): (u64, u64)) -> Option<Micros> {
    let price = step.candidate.price.as_ref()?;
    // What is more than it can hold is no text: an image is many bytes and few tokens.
    let context = step.candidate.context.unwrap_or(u64::MAX);
    Some(pricing::most(
        price,
        input.min(context),
        output.min(context),
    ))
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
