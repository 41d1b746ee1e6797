//! What a request that is over says about the providers that were asked.

use crate::error::Reason;
use crate::measure::Measures;
use crate::measure::sample::{Answer, Sample, Says, Told};
use crate::store::record::Record;
use crate::telemetry::tale::Attempt;
use std::time::Instant;

pub fn feed(measures: &Measures, record: &Record, now: Instant) {
    let mut continues = false;
    for (number, attempt) in record.attempts.iter().enumerate() {
        let is_last = number + 1 == record.attempts.len();
        let is_cut = is_last && is_out_of_time(record) && was_waited_for(attempt);
        if !is_cut && let Some(sample) = sample(attempt, continues) {
            measures.feed(&attempt.provider, &attempt.model, sample, now);
        }
        continues |= attempt.first_token.is_some();
    }
}

/// Our own clock, or the caller's, ended the request.
fn is_out_of_time(record: &Record) -> bool {
    matches!(
        record.reason,
        Some(Reason::ProviderDeadline | Reason::CallerDeadline)
    )
}

/// It would perhaps have answered, had there been time.
fn was_waited_for(attempt: &Attempt) -> bool {
    matches!(
        attempt.reason,
        Some(Reason::ProviderTimeout | Reason::ProviderFirstToken | Reason::ProviderUnreachable)
    )
}

/// `continues`: it was asked to go on with an answer that another one had begun.
pub fn sample(attempt: &Attempt, continues: bool) -> Option<Sample> {
    match Says::of(attempt.reason) {
        // Perhaps whole in itself, but another answer than the one begun.
        Says::Failed if continues && attempt.reason == Some(Reason::ProviderBadResponse) => None,
        Says::Failed => Some(Sample::Failed),
        Says::Nothing => None,
        // Part of an answer is as fast as no whole one.
        Says::Answered if continues => Some(Sample::Answered(Answer::default())),
        Says::Answered => Some(Sample::Answered(Answer::new(told(attempt)))),
    }
}

fn told(attempt: &Attempt) -> Told {
    let usage = attempt.usage;
    let output = usage.output.map(|output| match usage.reasoning {
        // What is more than the whole is no part of it: told beside it.
        Some(reasoning) if reasoning > output => output.saturating_add(reasoning),
        _ => output,
    });
    Told {
        first_token: attempt.first_token,
        total: (!attempt.is_held_up()).then_some(attempt.lasted),
        input: usage.input,
        output,
        is_estimated: attempt.estimated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::usage::Usage;
    use crate::measure::table::Table;
    use crate::routing::metric::{Metric, Stat, Window};
    use std::sync::Arc;
    use std::time::Duration;

    /// 1000 tokens in, first after 2 s, 400 out within 12 s.
    fn stream() -> Attempt {
        Attempt {
            provider: "p".into(),
            model: "m".into(),
            status: Some(200),
            took: Duration::from_secs(2),
            first_token: Some(Duration::from_secs(2)),
            lasted: Duration::from_secs(12),
            usage: Usage {
                input: Some(1000),
                output: Some(400),
                reasoning: Some(100),
                ..Usage::default()
            },
            ..Attempt::default()
        }
    }

    fn failed(reason: Reason) -> Attempt {
        Attempt {
            reason: Some(reason),
            first_token: None,
            ..stream()
        }
    }

    fn fed(reason: Option<Reason>, attempts: Vec<Attempt>) -> Arc<Table> {
        let now = Instant::now();
        let measures = Measures::new(now);
        measures.follow([("p".into(), "m".into())]);
        let record = Record {
            reason,
            attempts,
            ..Record::default()
        };
        feed(&measures, &record, now);
        measures.exact(now)
    }

    /// Attempts and answers that count, and answers with a speed.
    fn counts(reason: Option<Reason>, attempts: Vec<Attempt>) -> (u64, u64, usize) {
        let table = fed(reason, attempts);
        let seen = table.of("p", "m").unwrap().seen(Window::Hour);
        let speeds = seen.spreads.get(Metric::Otps).unwrap().samples;
        (seen.attempts, seen.answers, speeds)
    }

    #[test]
    fn a_stream_is_measured_by_its_own_times_and_tokens() {
        let table = fed(None, vec![stream()]);
        let get = |metric| {
            let figures = table.of("p", "m").unwrap();
            figures.get(metric, Some(Stat::Median), Window::FiveMinutes)
        };
        assert_eq!(get(Metric::Ttft), Some(2.0));
        assert_eq!(get(Metric::Prefill), Some(500.0));
        assert_eq!(get(Metric::Decode), Some(40.0));
        assert!((get(Metric::Otps).unwrap() - 33.33).abs() < 0.01);
        assert_eq!(get(Metric::Otpr), Some(400.0));
        assert_eq!(get(Metric::Success), Some(1.0));
    }

    #[test]
    fn a_whole_answer_is_over_when_it_is_there() {
        // It went on coming after it was known to be one.
        let whole = Attempt {
            first_token: None,
            took: Duration::from_secs(1),
            lasted: Duration::from_secs(10),
            ..stream()
        };
        let table = fed(None, vec![whole]);
        let figures = table.of("p", "m").unwrap();
        let get = |metric| figures.get(metric, Some(Stat::Avg), Window::Day);
        assert_eq!(
            (get(Metric::Otps), get(Metric::Otpr)),
            (Some(40.0), Some(400.0))
        );
        assert_eq!((get(Metric::Ttft), get(Metric::Decode)), (None, None));
    }

    #[test]
    fn a_caller_who_takes_nothing_makes_nobody_slow() {
        for (held_up, speeds) in [(1, 1), (2, 0)] {
            let attempt = Attempt {
                held_up: Duration::from_secs(held_up),
                ..stream()
            };
            let table = fed(None, vec![attempt]);
            let seen = table.of("p", "m").unwrap().seen(Window::Hour);
            let samples = |metric| seen.spreads.get(metric).unwrap().samples;
            assert_eq!(samples(Metric::Otps), speeds, "{held_up} s");
            assert_eq!(samples(Metric::Decode), speeds, "{held_up} s");
            assert_eq!(samples(Metric::Ttft), 1);
            assert_eq!(samples(Metric::Otpr), 1);
        }
    }

    #[test]
    fn reasoning_told_beside_the_output_belongs_to_it() {
        let mut attempt = stream();
        attempt.usage.reasoning = Some(500);
        let table = fed(None, vec![attempt]);
        let figures = table.of("p", "m").unwrap();
        let tokens = figures.get(Metric::Otpr, Some(Stat::Avg), Window::Hour);
        assert_eq!(tokens, Some(900.0));
    }

    #[test]
    fn each_attempt_counts_for_what_it_was() {
        for (reason, expected) in [
            (Reason::ProviderEmpty, (1, 0, 0)),
            (Reason::ProviderError, (1, 0, 0)),
            (Reason::ProviderRateLimited, (1, 0, 0)),
            (Reason::ProviderTimeout, (1, 0, 0)),
            (Reason::ProviderTruncated, (1, 0, 0)),
            (Reason::ProviderBadResponse, (1, 0, 0)),
            (Reason::ProviderRejected, (0, 0, 0)),
            (Reason::ProviderContentFilter, (0, 0, 0)),
            (Reason::CallerCancelled, (0, 0, 0)),
            (Reason::CallerTimeout, (0, 0, 0)),
            (Reason::CallerDeadline, (0, 0, 0)),
            (Reason::GatewayInternal, (0, 0, 0)),
        ] {
            assert_eq!(
                counts(Some(reason), vec![failed(reason)]),
                expected,
                "{reason}"
            );
        }
        let mended = vec![failed(Reason::ProviderError), stream()];
        assert_eq!(counts(None, mended), (2, 1, 1));
    }

    #[test]
    fn whom_our_own_clock_cut_off_is_not_blamed() {
        for deadline in [Reason::ProviderDeadline, Reason::CallerDeadline] {
            for waited_for in [Reason::ProviderTimeout, Reason::ProviderUnreachable] {
                let attempts = vec![failed(Reason::ProviderError), failed(waited_for)];
                assert_eq!(counts(Some(deadline), attempts), (1, 0, 0));
            }
            let attempts = vec![
                failed(Reason::ProviderTimeout),
                failed(Reason::ProviderError),
            ];
            assert_eq!(counts(Some(deadline), attempts), (2, 0, 0));
        }
    }

    #[test]
    fn who_carries_on_anothers_answer_has_answered_and_shows_no_speed() {
        let broken = Attempt {
            reason: Some(Reason::ProviderTruncated),
            ..stream()
        };
        assert_eq!(counts(None, vec![broken.clone(), stream()]), (2, 1, 0));
        let differs = failed(Reason::ProviderBadResponse);
        let truncated = Some(Reason::ProviderTruncated);
        let fell = failed(Reason::ProviderError);
        assert_eq!(counts(truncated, vec![broken.clone(), differs]), (1, 0, 0));
        assert_eq!(counts(truncated, vec![broken, fell]), (2, 0, 0));
    }

    #[test]
    fn what_no_model_was_asked_of_is_not_measured() {
        let passed = Attempt {
            model: "".into(),
            ..stream()
        };
        assert_eq!(counts(None, vec![passed]), (0, 0, 0));
    }
}
