//! What a call may use at most: for whom that is worth a closer look than limits take.

use crate::body::scan::{Scan, fields};
use crate::config::metric::{Metric, Stat, Window};
use crate::config::snapshot::Endpoint;
use crate::measure::table::Table;
use crate::pricing::{self, Micros};
use crate::proxy::answer::{MOST, allowed};
use crate::routing::plan::Step;

/// So many answers at once nobody gives.
const MOST_ANSWERS: u64 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    input: u64,
    /// Of one answer: what it is allowed, or else what is usual.
    output: u64,
    /// The caller has said it.
    is_bounded: bool,
    answers: u64,
}

impl Uses {
    /// `tokens`: in and out, as limits reckon them.
    pub fn of(body: &[u8], scan: &Scan, endpoint: Endpoint, tokens: (u64, u64)) -> Uses {
        let mut uses = Uses {
            input: tokens.0,
            output: tokens.1,
            is_bounded: allowed(body, scan).is_some(),
            answers: 1,
        };
        if !scan.several && endpoint != Endpoint::Responses {
            return uses;
        }
        for field in fields(body) {
            let number = || -> Option<u64> {
                let text = body.get(field.value.clone())?;
                std::str::from_utf8(text).ok()?.parse().ok()
            };
            match field.key.as_ref() {
                "n" | "best_of" => {
                    let answers = number().unwrap_or(1).min(MOST_ANSWERS);
                    uses.answers = uses.answers.max(answers);
                }
                "max_output_tokens" if endpoint == Endpoint::Responses => {
                    if let Some(bound) = number() {
                        (uses.output, uses.is_bounded) = (bound.min(MOST), true);
                    }
                }
                _ => {}
            }
        }
        uses
    }

    /// What it may cost at the dearest of a plan. None: no price is known.
    pub fn most(&self, steps: &[Step<'_>], table: &Table) -> Option<Micros> {
        let prices = steps.iter().filter_map(|step| self.at(step, table));
        prices.max()
    }

    fn at(&self, step: &Step<'_>, table: &Table) -> Option<Micros> {
        let candidate = step.candidate;
        let price = candidate.price.as_ref()?;
        let mut output = self.output;
        if !self.is_bounded {
            let provider = &candidate.target.provider.name;
            let measured = table.get(
                provider,
                step.label,
                Metric::Otpr,
                Some(Stat::Avg),
                Window::Hour,
            );
            output = output.max(measured.map_or(0, |tokens| tokens.ceil() as u64));
        }
        // What is more than it can hold is no text: an image is many bytes and few tokens.
        let context = candidate.context.unwrap_or(u64::MAX);
        let output = output.min(context).saturating_mul(self.answers);
        Some(pricing::most(price, self.input.min(context), output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scan::scan;

    fn uses(members: &str, endpoint: Endpoint) -> (u64, bool, u64) {
        let body = format!("{{\"model\":\"m\",{members}}}");
        let scanned = scan(body.as_bytes()).unwrap();
        let uses = Uses::of(body.as_bytes(), &scanned, endpoint, (7, 500));
        assert_eq!(uses.input, 7);
        (uses.output, uses.is_bounded, uses.answers)
    }

    #[test]
    fn several_answers_and_the_words_of_responses_are_read() {
        for (members, endpoint, expected) in [
            ("\"x\":1", Endpoint::Chat, (500, false, 1)),
            ("\"max_tokens\":9", Endpoint::Chat, (500, true, 1)),
            ("\"n\":3", Endpoint::Chat, (500, false, 3)),
            (
                "\"n\":2,\"best_of\":5",
                Endpoint::Completions,
                (500, false, 5),
            ),
            ("\"n\":0", Endpoint::Chat, (500, false, 1)),
            ("\"n\":\"9\"", Endpoint::Chat, (500, false, 1)),
            (
                "\"n\":99999999999999999999",
                Endpoint::Chat,
                (500, false, 1),
            ),
            ("\"n\":100000", Endpoint::Chat, (500, false, 128)),
            ("\"max_output_tokens\":40", Endpoint::Chat, (500, false, 1)),
            (
                "\"max_output_tokens\":40",
                Endpoint::Responses,
                (40, true, 1),
            ),
            (
                "\"max_output_tokens\":null",
                Endpoint::Responses,
                (500, false, 1),
            ),
            (
                "\"max_output_tokens\":99999999",
                Endpoint::Responses,
                (MOST, true, 1),
            ),
        ] {
            assert_eq!(uses(members, endpoint), expected, "{members}");
        }
    }
}
