//! What an attempt used and what it cost: by its provider's word, else reckoned from what came.

use crate::config::snapshot::{Endpoint, Price};
use crate::decide;
use crate::dialect::length::text_length;
use crate::dialect::usage::Usage;
use crate::pricing::{self, Micros};
use crate::relay::attempt::Whole;
use crate::relay::pump::Pump;
use crate::relay::resume::tokens::BYTES_A_TOKEN;
use crate::relay::run::Job;
use crate::routing::plan::Step;
use crate::telemetry::tale::Tale;

/// A whole answer.
pub fn whole(job: &Job<'_>, step: &Step<'_>, answer: &Whole, tale: &mut Tale) -> Usage {
    let text = || Some(text_length(&answer.body)?.div_ceil(BYTES_A_TOKEN));
    write(job, step, answer.usage, text, job.prompt, tale)
}

/// An answer of so many bytes, too large to be held.
pub fn passed(job: &Job<'_>, step: &Step<'_>, told: Usage, bytes: u64, tale: &mut Tale) -> Usage {
    let text = || Some(bytes.div_ceil(BYTES_A_TOKEN));
    write(job, step, told, text, job.prompt, tale)
}

/// One provider's part of a stream, up to where it ended or broke.
pub fn streamed(job: &Job<'_>, step: &Step<'_>, pump: &Pump, tale: &mut Tale) -> Usage {
    let text = || pump.new_text().tokens();
    let prompt = job.prompt.saturating_add(pump.sent_along());
    let mut told = pump.usage();
    // Where it tells as it goes and breaks off, its last word is not all.
    let untold = pump
        .untold_text()
        .tokens()
        .filter(|_| told.output > Some(0));
    if let Some(untold) = untold {
        told.output = told.output.map(|output| output.saturating_add(untold));
    }
    let usage = write(job, step, told, text, prompt, tale);
    if let Some(attempt) = tale.attempts.last_mut() {
        attempt.estimated |= untold.is_some();
    }
    usage
}

/// An attempt that came to nothing costs nothing, whatever it says of its prompt: unless it names
/// its own price, or has said something before it failed.
pub fn failed(job: &Job<'_>, step: &Step<'_>, told: Usage, tale: &mut Tale) {
    let Some(attempt) = tale.attempts.last_mut() else {
        return;
    };
    attempt.usage = told;
    attempt.cost = match (told.cost, told.output) {
        (None, None | Some(0)) => Some(Micros::ZERO),
        _ => pricing::cost(&told, step.candidate.price.as_ref()),
    };
    attempt.over_cap = is_over_cap(job, step, told);
}

fn write(
    job: &Job<'_>,
    step: &Step<'_>,
    mut usage: Usage,
    text: impl FnOnce() -> Option<u64>,
    prompt: u64,
    tale: &mut Tale,
) -> Usage {
    let estimated = fill(&mut usage, job.endpoint, text, prompt);
    if let Some(attempt) = tale.attempts.last_mut() {
        attempt.usage = usage;
        attempt.estimated = estimated;
        attempt.cost = cost(usage, job.endpoint, step.candidate.price.as_ref());
        // Against tokens that are only reckoned nobody can be held.
        attempt.over_cap = !estimated && is_over_cap(job, step, usage);
    }
    usage
}

/// Whoever may serve a request by its price may still say afterwards that it cost more.
fn is_over_cap(job: &Job<'_>, step: &Step<'_>, usage: Usage) -> bool {
    let (Some(told), Some(price)) = (usage.cost, step.candidate.facts.dollars) else {
        return false;
    };
    let cap = decide::max_price(step.rules, job.wish.key, job.wish.preferences).cap();
    pricing::allowed(&usage, cap, price).is_some_and(|allowed| told > allowed)
}

/// Puts in what the provider has left out. True where there was anything.
fn fill(
    usage: &mut Usage,
    endpoint: Endpoint,
    text: impl FnOnce() -> Option<u64>,
    prompt: u64,
) -> bool {
    let told = *usage;
    if !(endpoint.streams() || endpoint == Endpoint::Embeddings) {
        // What they take and give is not measured in tokens of text.
        return false;
    }
    if endpoint != Endpoint::Embeddings && matches!(usage.output, None | Some(0)) {
        let text = text().filter(|text| usage.output.is_none() || *text > 0);
        if let Some(text) = text {
            // Whoever says none, and has said something, may not have counted the prompt either.
            if usage.output.is_some() {
                usage.doubtful = true;
                usage.input = usage.input.filter(|input| *input > 0);
            }
            usage.output = Some(text);
        }
    }
    usage.input.get_or_insert(prompt);
    (usage.input, usage.output) != (told.input, told.output)
}

fn cost(usage: Usage, endpoint: Endpoint, price: Option<&Price>) -> Option<Micros> {
    let nothing = (endpoint == Endpoint::Embeddings).then_some(0);
    let billed = Usage {
        output: usage.output.or(nothing),
        ..usage
    };
    pricing::cost(&billed, price)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(endpoint: Endpoint, usage: Usage, text: Option<u64>) -> (Usage, bool) {
        let mut filled = usage;
        let estimated = fill(&mut filled, endpoint, || text, 40);
        (filled, estimated)
    }

    fn usage(input: Option<u64>, output: Option<u64>) -> Usage {
        Usage {
            input,
            output,
            ..Usage::default()
        }
    }

    #[test]
    fn only_what_is_left_out_is_reckoned() {
        for (told, text, expected) in [
            ((Some(9), Some(5)), Some(7), (Some(9), Some(5))),
            ((None, Some(5)), Some(7), (Some(40), Some(5))),
            ((Some(9), None), Some(7), (Some(9), Some(7))),
            ((None, None), Some(7), (Some(40), Some(7))),
            ((None, None), Some(0), (Some(40), Some(0))),
            ((None, None), None, (Some(40), None)),
            ((Some(9), Some(0)), Some(0), (Some(9), Some(0))),
            ((Some(9), Some(0)), None, (Some(9), Some(0))),
            // None at all, and yet there is text.
            ((Some(9), Some(0)), Some(7), (Some(9), Some(7))),
            ((Some(0), Some(0)), Some(7), (Some(40), Some(7))),
        ] {
            let (found, estimated) = filled(Endpoint::Chat, usage(told.0, told.1), text);
            assert_eq!((found.input, found.output), expected, "{told:?} {text:?}");
            assert_eq!(estimated, told != expected, "{told:?} {text:?}");
            let denied = told.1 == Some(0) && expected.1 != Some(0);
            assert_eq!(found.doubtful, denied, "{told:?} {text:?}");
        }
    }

    #[test]
    fn what_has_no_text_is_given_none() {
        let nothing = usage(None, None);
        let (found, estimated) = filled(Endpoint::Embeddings, nothing, Some(7));
        assert_eq!((found, estimated), (usage(Some(40), None), true));
        for endpoint in [Endpoint::Images, Endpoint::Speech, Endpoint::Rerank] {
            assert_eq!(filled(endpoint, nothing, Some(7)), (nothing, false));
        }
    }
}
