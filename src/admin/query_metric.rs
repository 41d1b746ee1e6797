//! How one provider served one model over time, by one of the words that providers are compared by.

use crate::admin::json;
use crate::admin::params::{Params, Wrong};
use crate::measure::sample::Sample;
use crate::proxy::measured;
use crate::routing::figures::Spread;
use crate::routing::metric::{Metric, Stat};
use crate::store::Store;
use crate::store::fault::Fault;
use crate::store::samples::{self, Sample as Kept};
use http::{Response, StatusCode};
use serde_json::{Value, json as object};

const KNOWN: [&str; 7] = [
    "model",
    "provider",
    "metric",
    "start_time",
    "end_time",
    "interval",
    "stat",
];
const WEEK: i64 = 7 * 86_400 * 1_000_000;
const MINUTE: i64 = 60 * 1_000_000;
/// Intervals in one answer.
const MOST: i64 = 2000;
/// Attempts that one answer is made of: the newest, where there are more.
const SAMPLES: u32 = 200_000;

pub struct Question {
    samples: samples::Question,
    metric: Metric,
    /// None: every single value.
    stat: Option<Stat>,
    interval: i64,
}

/// `now` in microseconds since the epoch.
pub fn question(query: Option<&str>, now: i64) -> Result<Question, Wrong> {
    let params = Params::of(query, &KNOWN)?;
    let needed = |name: &str, example: &str| {
        let message = format!("is missing: write {example}");
        params.text(name).ok_or_else(|| Wrong::new(name, message))
    };
    let model = needed(
        "model",
        "the id of a model, such as `deepseek/deepseek-v3.2`",
    )?;
    let provider = needed("provider", "the name of a provider")?;
    let metric = needed("metric", "one such as `ttft` or `otps`")?;
    let metric = Metric::parse(&metric).map_err(|unknown| {
        let message = format!("is not one: {unknown}");
        Wrong::new("metric", message)
    })?;
    if !metric.needs_stat() && metric != Metric::Success {
        let message = "is not measured here; write ttft, prefill, decode, otps, otpr or success";
        return Err(Wrong::new("metric", message));
    }
    let stat = match params.text("stat").as_deref() {
        None => Some(Stat::Avg),
        Some("raw") => None,
        Some(word) => Some(Stat::parse(word).map_err(|unknown| {
            let message = format!("is not one: {unknown}, or raw");
            Wrong::new("stat", message)
        })?),
    };
    let interval = i64::from(params.number("interval", 60, 5_256_000)?) * MINUTE;
    let to = params.moment("end_time")?;
    let from = params.moment("start_time")?;
    let to = to.unwrap_or(from.map_or(now, |from| now.max(from + 1)));
    let from = from.unwrap_or(to.saturating_sub(WEEK));
    if from >= to {
        return Err(Wrong::new("start_time", "is not before `end_time`"));
    }
    if (to - from) / interval >= MOST {
        let message = format!("makes more than {MOST} intervals; write more minutes");
        return Err(Wrong::new("interval", message));
    }
    Ok(Question {
        samples: samples::Question {
            from,
            to,
            model,
            provider,
            limit: SAMPLES,
        },
        metric,
        stat,
        interval,
    })
}

pub async fn show(store: &Store, question: &Question) -> Result<Response<Vec<u8>>, Fault> {
    let samples = store.reader().await?.samples(&question.samples).await?;
    Ok(json(StatusCode::OK, &shown(question, &samples)))
}

/// Every interval is there; one in which nothing was measured has no values.
fn shown(question: &Question, samples: &[Kept]) -> Value {
    let samples::Question { from, to, .. } = question.samples;
    let last = (to - from - 1) / question.interval;
    let mut samples = samples.iter().peekable();
    let intervals = (0..=last).map(|number| {
        let start = from + number * question.interval;
        let end = (start + question.interval).min(to);
        let mut values = Vec::new();
        while let Some(sample) = samples.next_if(|sample| sample.began < end) {
            values.extend(value(question.metric, sample));
        }
        let values = match question.stat {
            None => values,
            Some(stat) => {
                let spread = Spread::of(question.metric, &mut values);
                spread.get(stat).into_iter().collect()
            }
        };
        object!({ "start_ms": start / 1000, "end_ms": end / 1000, "values": values })
    });
    let intervals: Vec<Value> = intervals.collect();
    object!({
        "model": question.samples.model,
        "provider": question.samples.provider,
        "metric": question.metric.name(),
        "stat": question.stat.map_or("raw", Stat::name),
        "intervals": intervals,
    })
}

/// What one attempt says of its provider, by the same rules as what is measured live.
fn value(metric: Metric, kept: &Kept) -> Option<f64> {
    match (measured::sample(&kept.attempt, kept.continues)?, metric) {
        (Sample::Failed, Metric::Success) => Some(0.0),
        (Sample::Failed, _) => None,
        (Sample::Answered(_), Metric::Success) => Some(1.0),
        (Sample::Answered(answer), metric) => answer.speed(metric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::telemetry::tale::Attempt;
    use std::time::Duration;

    fn asked(rest: &str) -> Result<Question, Wrong> {
        let query = format!("model=m&provider=p&{rest}");
        question(Some(&query), 10 * WEEK)
    }

    fn sample(began: i64, output: u64, reason: Option<Reason>) -> Kept {
        let mut attempt = Attempt {
            reason,
            first_token: Some(Duration::from_secs(2)),
            lasted: Duration::from_secs(12),
            ..Attempt::default()
        };
        attempt.usage.input = Some(1000);
        attempt.usage.output = Some(output);
        Kept {
            began,
            attempt,
            continues: false,
        }
    }

    #[test]
    fn a_week_by_hours_is_the_default() {
        let question = asked("metric=otps").unwrap();
        let samples = &question.samples;
        assert_eq!((samples.from, samples.to), (9 * WEEK, 10 * WEEK));
        let shown = shown(&question, &[]);
        let intervals = shown["intervals"].as_array().unwrap();
        assert_eq!(intervals.len(), 7 * 24);
        assert_eq!(intervals[0]["values"], object!([]));
        assert_eq!(shown["stat"], "avg");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (rest, param) in [
            ("", "metric"),
            ("metric=tftt", "metric"),
            ("metric=gpqa", "metric"),
            ("metric=ttft&stat=p95", "stat"),
            ("metric=ttft&interval=1h", "interval"),
            ("metric=ttft&interval=0", "interval"),
            ("metric=ttft&interval=1", "interval"),
            ("metric=ttft&start_time=5&end_time=5", "start_time"),
            ("metric=ttft&from=5", "from"),
        ] {
            assert_eq!(asked(rest).err().unwrap().param, param, "{rest}");
        }
        assert_eq!(question(None, 0).err().unwrap().param, "model");
    }

    #[test]
    fn intervals_are_half_open_and_a_stat_is_what_most_reach() {
        let window = "&start_time=0&end_time=180&interval=1";
        let values = |metric: &str, stat: &str| {
            let question = asked(&format!("metric={metric}&stat={stat}{window}")).unwrap();
            let samples = [
                sample(0, 120, None),
                sample(1, 240, None),
                sample(59_999_999, 0, Some(Reason::ProviderError)),
                sample(60_000_000, 360, None),
                sample(60_000_001, 0, Some(Reason::CallerCancelled)),
            ];
            let shown = shown(&question, &samples);
            let intervals = shown["intervals"].as_array().unwrap().clone();
            intervals
                .iter()
                .map(|one| one["values"].clone())
                .collect::<Value>()
        };
        assert_eq!(
            values("otpr", "raw"),
            object!([[120.0, 240.0], [360.0], []])
        );
        assert_eq!(values("otps", "avg"), object!([[15.0], [30.0], []]));
        assert_eq!(values("otps", "median"), object!([[15.0], [30.0], []]));
        assert_eq!(values("otpr", "p90"), object!([[132.0], [360.0], []]));
        assert_eq!(values("decode", "raw"), object!([[12.0, 24.0], [36.0], []]));
        assert_eq!(values("prefill", "median"), object!([[500.0], [500.0], []]));
        assert_eq!(values("ttft", "p90"), object!([[2.0], [2.0], []]));
        assert_eq!(
            values("success", "raw"),
            object!([[1.0, 1.0, 0.0], [1.0], []])
        );
        assert_eq!(
            values("success", "average"),
            object!([[2.0 / 3.0], [1.0], []])
        );
    }
}
