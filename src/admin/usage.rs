//! How much was used, as JSON.

use crate::admin::json;
use crate::admin::params::{Params, Wrong};
use crate::config::units::Time;
use crate::store::Store;
use crate::store::fault::Fault;
use crate::store::sums::Sums;
use crate::store::usage::{Answer, Group, Question};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

const KNOWN: [&str; 8] = [
    "by", "from", "to", "interval", "model", "provider", "key", "route",
];
const DAY: i64 = 86_400 * 1_000_000;
/// A default window begins at a quarter of an hour, as the sums that are kept do.
const QUARTER: i64 = DAY / 96;
/// Intervals in one answer.
const MOST: i64 = 2000;

/// `now` in microseconds since the epoch.
pub fn question(query: Option<&str>, now: i64) -> Result<Question, Wrong> {
    let params = Params::of(query, &KNOWN)?;
    let to = params.moment("to")?;
    let from = params.moment("from")?;
    let (from, to) = match (from, to) {
        (Some(from), to) => (from, to.unwrap_or(now.max(from + 1))),
        (None, Some(to)) => (to.saturating_sub(DAY), to),
        (None, None) => (now - DAY - (now - DAY).rem_euclid(QUARTER), now),
    };
    if from >= to {
        return Err(Wrong::new("from", "is not before `to`"));
    }
    let interval = match params.text("interval") {
        None => to - from,
        Some(text) => interval(&text)?,
    };
    if (to - from) / interval >= MOST {
        let message = format!("makes more than {MOST} intervals; write a longer one");
        return Err(Wrong::new("interval", message));
    }
    let only = Group::ALL.into_iter().filter_map(|group| {
        let value = params.text(group.name())?;
        Some((group, value))
    });
    Ok(Question {
        from,
        to,
        interval,
        by: by(&params.text("by").unwrap_or_default())?,
        only: only.collect(),
    })
}

fn interval(text: &str) -> Result<i64, Wrong> {
    let Time(time) = Time::parse(text).map_err(|message| Wrong::new("interval", message))?;
    match i64::try_from(time.as_micros()) {
        Ok(micros @ 1_000_000..) => Ok(micros),
        _ => Err(Wrong::new("interval", "is shorter than `1s`")),
    }
}

fn by(text: &str) -> Result<Vec<Group>, Wrong> {
    let mut by = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let Some(group) = Group::ALL.into_iter().find(|group| group.name() == name) else {
            let known = Group::ALL.map(Group::name).join(", ");
            let message = format!("takes {known}, with commas between them");
            return Err(Wrong::new("by", message));
        };
        if !by.contains(&group) {
            by.push(group);
        }
    }
    Ok(by)
}

pub async fn show(store: &Store, question: &Question) -> Result<Response<Vec<u8>>, Fault> {
    let answer = store.reader().await?.usage(question).await?;
    Ok(json(StatusCode::OK, &shown(question, &answer)))
}

/// Every interval is there, also one in which nothing happened.
fn shown(question: &Question, answer: &Answer) -> Value {
    let Question {
        from, to, interval, ..
    } = *question;
    let last = (to - from - 1) / interval;
    let intervals = (0..=last).map(|number| {
        let start = from + number * interval;
        let mut total = Sums::default();
        let mut groups = Vec::new();
        let range = (number, Vec::new())..(number + 1, Vec::new());
        for ((_, values), sums) in answer.range(range) {
            total.add(sums);
            let mut group = Map::new();
            for (by, value) in question.by.iter().zip(values) {
                let value = Some(value.as_str()).filter(|value| !value.is_empty());
                group.insert(by.name().to_owned(), value.into());
            }
            add(&mut group, sums);
            groups.push(Value::Object(group));
        }
        let mut shown = Map::new();
        shown.insert("from_ms".to_owned(), (start / 1000).into());
        let end = (start + interval).min(to);
        shown.insert("to_ms".to_owned(), (end / 1000).into());
        add(&mut shown, &total);
        if !question.by.is_empty() {
            shown.insert("groups".to_owned(), groups.into());
        }
        Value::Object(shown)
    });
    let intervals: Vec<Value> = intervals.collect();
    serde_json::json!({
        "from_ms": from / 1000,
        "to_ms": to / 1000,
        "interval_ms": interval / 1000,
        "by": question.by.iter().map(|group| group.name()).collect::<Vec<_>>(),
        "intervals": intervals,
    })
}

/// A cost of which nothing is known is not one of nothing.
fn add(shown: &mut Map<String, Value>, sums: &Sums) {
    for (name, sum) in sums.named() {
        shown.insert(name.to_owned(), sum.into());
    }
    let is = |name: &str, shown: &Map<String, Value>| shown.get(name) == Some(&0.into());
    if is("priced", shown) && !is("unpriced", shown) {
        shown.insert("cost_micros".to_owned(), Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_782_993_600_000_000 + 1;

    fn wrong(query: &str) -> String {
        let wrong = question(Some(query), NOW).unwrap_err();
        format!("{} {}", wrong.param, wrong.message)
    }

    #[test]
    fn the_last_day_is_the_default() {
        let question = question(None, NOW).unwrap();
        assert_eq!((question.from, question.to), (NOW - 1 - DAY, NOW));
        assert_eq!(question.interval, DAY + 1);
        assert!(question.by.is_empty() && question.only.is_empty());
    }

    #[test]
    fn reads_what_is_asked() {
        let query = "by=provider,model&from=0&to=1970-01-02&interval=60m&key=mobile";
        let question = question(Some(query), NOW).unwrap();
        assert_eq!(question.by, [Group::Provider, Group::Model]);
        assert_eq!((question.from, question.to), (0, DAY));
        assert_eq!(question.interval, DAY / 24);
        assert_eq!(question.only, [(Group::Key, "mobile".to_owned())]);
    }

    #[test]
    fn says_what_to_write_instead() {
        for (query, said) in [
            ("by=vendor", "by takes model, provider, key, route"),
            ("from=2&to=1", "from is not before `to`"),
            ("from=1&to=1", "from is not before `to`"),
            ("interval=60", "interval has no unit"),
            ("interval=0m", "interval is shorter"),
            ("interval=1s", "interval makes more than 2000"),
            ("from=yesterday", "from is not a moment"),
            ("until=1", "until is not known here"),
        ] {
            assert!(wrong(query).starts_with(said), "{query}: {}", wrong(query));
        }
    }

    #[test]
    fn empty_intervals_are_there_and_the_last_may_be_short() {
        let question = question(Some("from=0&to=150&interval=1m"), NOW).unwrap();
        let shown = shown(&question, &Answer::new());
        let intervals = shown["intervals"].as_array().unwrap();
        let limits: Vec<_> = intervals
            .iter()
            .map(|one| {
                (
                    one["from_ms"].as_i64().unwrap(),
                    one["to_ms"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(limits, [(0, 60_000), (60_000, 120_000), (120_000, 150_000)]);
        assert_eq!(intervals[1]["requests"], 0);
        assert_eq!(intervals[1]["cost_micros"], 0);
    }
}
