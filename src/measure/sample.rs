//! What one settled attempt says about the provider that was asked.

use crate::error::Reason;
use crate::measure::ring::nanos;
use crate::routing::metric::Metric;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    Answered(Answer),
    /// No answer, a broken one, or an empty one.
    Failed,
}

/// An answer in numbers. What is zero or unknown is absent: nothing is divided by it, and no speed
/// is made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    first: Option<NonZeroU64>,
    total: Option<NonZeroU64>,
    input: Option<NonZeroU32>,
    output: Option<NonZeroU32>,
    is_estimated: bool,
}

/// The times and tokens of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// A stream's, since it was asked for.
    pub first_token: Option<Duration>,
    /// None: unknown.
    pub total: Option<Duration>,
    pub input: Option<u64>,
    /// The reasoning included.
    pub output: Option<u64>,
    /// The tokens are reckoned. They count like others: where a provider tells none, a speed that
    /// is a little off is worth more than none, by which it would fail every `require`.
    pub is_estimated: bool,
}

impl Answer {
    pub fn new(told: Told) -> Answer {
        let tokens = |count: Option<u64>| {
            count.and_then(|count| NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX)))
        };
        let output = tokens(told.output);
        Answer {
            first: told
                .first_token
                .and_then(|time| NonZeroU64::new(nanos(time))),
            total: told.total.and_then(|time| NonZeroU64::new(nanos(time))),
            input: tokens(told.input),
            output,
            is_estimated: told.is_estimated && output.is_some(),
        }
    }

    pub fn is_estimated(&self) -> bool {
        self.is_estimated
    }

    /// Its part in a speed. None: it has none in this one.
    pub fn speed(&self, metric: Metric) -> Option<f64> {
        let tokens = |count: Option<NonZeroU32>| Some(f64::from(count?.get()));
        let seconds = |time: u64| time as f64 / 1e9;
        match metric {
            Metric::Ttft => Some(seconds(self.first?.get())),
            Metric::Prefill => Some(tokens(self.input)? / seconds(self.first?.get())),
            Metric::Decode => {
                let rest = self.total?.get().checked_sub(self.first?.get())?;
                let rest = NonZeroU64::new(rest)?;
                Some(tokens(self.output)? / seconds(rest.get()))
            }
            Metric::Otps => Some(tokens(self.output)? / seconds(self.total?.get())),
            Metric::Otpr => tokens(self.output),
            _ => None,
        }
    }
}

/// What an attempt's end says about its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Answered,
    Failed,
    /// The caller left or was at fault, it was not allowed, or time was up on our side.
    Nothing,
}

impl Says {
    /// `None`: it ended well.
    pub fn of(reason: Option<Reason>) -> Says {
        let Some(reason) = reason else {
            return Says::Answered;
        };
        match reason {
            // The caller's own matter, though the provider says it; and the route's deadline.
            Reason::ProviderRejected
            | Reason::ProviderContentFilter
            | Reason::ProviderContextLength
            | Reason::ProviderDeadline => Says::Nothing,
            reason if reason.label().starts_with("provider_") => Says::Failed,
            _ => Says::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        Told {
            first_token: Some(Duration::from_secs(2)),
            total: Some(Duration::from_secs(12)),
            input: Some(1000),
            output: Some(400),
            is_estimated: false,
        }
    }

    fn speeds(told: Told) -> [Option<f64>; 5] {
        let answer = Answer::new(told);
        crate::routing::figures::SPEEDS.map(|metric| answer.speed(metric))
    }

    #[test]
    fn a_stream_in_numbers() {
        let [ttft, prefill, decode, otps, otpr] = speeds(told()).map(Option::unwrap);
        assert_eq!((ttft, prefill, decode, otpr), (2.0, 500.0, 40.0, 400.0));
        assert!((otps - 33.333_333).abs() < 1e-6, "{otps}");
    }

    #[test]
    fn a_whole_answer_has_no_first_token() {
        let whole = Told {
            first_token: None,
            ..told()
        };
        let [ttft, prefill, decode, otps, otpr] = speeds(whole);
        assert_eq!((ttft, prefill, decode), (None, None, None));
        assert!(otps.is_some() && otpr == Some(400.0));
    }

    #[test]
    fn nothing_is_divided_by_zero_and_nothing_unknown_is_zero() {
        let at_once = Told {
            total: Some(Duration::from_secs(2)),
            ..told()
        };
        assert_eq!(speeds(at_once)[2], None);
        let backwards = Told {
            total: Some(Duration::from_secs(1)),
            ..told()
        };
        assert_eq!(speeds(backwards)[2], None);
        let timeless = Told {
            first_token: Some(Duration::ZERO),
            total: Some(Duration::ZERO),
            ..told()
        };
        assert_eq!(speeds(timeless), [None, None, None, None, Some(400.0)]);
        for count in [None, Some(0)] {
            let tokenless = Told {
                input: count,
                output: count,
                ..told()
            };
            assert_eq!(speeds(tokenless), [Some(2.0), None, None, None, None]);
        }
        let absurd = Told {
            first_token: Some(Duration::MAX),
            total: Some(Duration::MAX),
            input: Some(u64::MAX),
            output: Some(u64::MAX),
            is_estimated: true,
        };
        for speed in speeds(absurd).into_iter().flatten() {
            assert!(speed.is_finite() && speed > 0.0, "{speed}");
        }
        for metric in Metric::ALL {
            let speed = Answer::new(told()).speed(metric);
            assert_eq!(speed.is_some(), metric.needs_stat(), "{metric:?}");
        }
    }

    #[test]
    fn only_providers_are_blamed_and_only_for_their_own() {
        assert_eq!(Says::of(None), Says::Answered);
        let failures: Vec<&str> = Reason::ALL
            .into_iter()
            .filter(|reason| Says::of(Some(*reason)) == Says::Failed)
            .map(Reason::label)
            .collect();
        for label in &failures {
            assert!(label.starts_with("provider_"), "{label}");
        }
        for label in [
            "provider_empty",
            "provider_error",
            "provider_rate_limited",
            "provider_timeout",
            "provider_first_token_timeout",
            "provider_truncated",
            "provider_unreachable",
        ] {
            assert!(failures.contains(&label), "{label}");
        }
        for label in [
            "provider_rejected",
            "provider_content_filter",
            "provider_context_length",
            "provider_deadline",
        ] {
            assert!(!failures.contains(&label), "{label}");
        }
        assert!(
            Reason::ALL
                .into_iter()
                .all(|reason| Says::of(Some(reason)) != Says::Answered)
        );
    }
}
