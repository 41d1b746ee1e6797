//! `/api/measures`: how fast and how sure each provider serves each model, and what else they are
//! compared by.

use crate::admin::answer;
use crate::config::snapshot::{Facts, Snapshot};
use crate::measure::configured::candidates;
use crate::measure::table::Table;
use crate::routing::figures::{SPEEDS, Seen, Spread};
use crate::routing::metric::{Metric, Stat, Window};
use crate::routing::table::unescaped;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What is asked for. What is not named is all.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    provider: Option<String>,
    model: Option<String>,
    window: Option<Window>,
}

/// A parameter that means nothing, and what to write instead.
#[derive(Debug, PartialEq)]
struct Wrong {
    parameter: String,
    message: String,
}

/// `table` is made only when it is known what for.
pub fn show(
    query: Option<&str>,
    snapshot: &Snapshot,
    table: impl FnOnce() -> std::sync::Arc<Table>,
) -> Response<Vec<u8>> {
    let (status, body) = match read(query.unwrap_or_default()) {
        Ok(asked) => (StatusCode::OK, list(&asked, snapshot, &table())),
        Err(Wrong { parameter, message }) => (
            StatusCode::BAD_REQUEST,
            json!({ "error": { "message": message, "param": parameter } }),
        ),
    };
    answer(status, "application/json", format!("{body}\n").into_bytes())
}

fn read(query: &str) -> Result<Asked, Wrong> {
    let mut asked = Asked::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (unescaped(name), unescaped(value));
        let wrong = |message: String| {
            Err(Wrong {
                parameter: name.clone(),
                message,
            })
        };
        let is_twice = match &*name {
            "provider" => asked.provider.replace(value).is_some(),
            "model" => asked.model.replace(value).is_some(),
            "window" => match Window::parse(&value) {
                Ok(window) => asked.window.replace(window).is_some(),
                Err(unknown) => return wrong(unknown.to_string()),
            },
            _ => {
                let known = "write provider, model or window";
                return wrong(format!("unknown parameter {name:?}: {known}"));
            }
        };
        if is_twice {
            return wrong(format!("{name} is there twice: write it once"));
        }
    }
    Ok(asked)
}

fn list(asked: &Asked, snapshot: &Snapshot, table: &Table) -> Value {
    let facts: HashMap<(&str, &str), &Facts> = candidates(snapshot)
        .map(|(model, one)| ((&*one.target.provider.name, &**model), &one.facts))
        .collect();
    let is_asked =
        |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let measures = table.iter().filter(|((provider, model), _)| {
        is_asked(&asked.provider, provider) && is_asked(&asked.model, model)
    });
    let measures = measures.map(|((provider, model), figures)| {
        let windows = Window::ALL
            .into_iter()
            .filter(|window| asked.window.is_none_or(|wanted| wanted == *window))
            .map(|window| (window.name().to_owned(), describe(figures.seen(window))));
        // A reload may have taken it away just now.
        let facts = facts.get(&(&**provider, &**model));
        json!({
            "provider": &**provider,
            "model": &**model,
            "price": facts.map(|facts| price(facts)),
            "scores": facts.map(|facts| scores(facts)),
            "windows": windows.collect::<Map<_, _>>(),
        })
    });
    json!({ "measures": measures.collect::<Vec<_>>() })
}

/// In dollars, of a million tokens and of a request. Null: unknown.
fn price(facts: &Facts) -> Value {
    facts.dollars.map_or(Value::Null, |dollars| {
        json!({
            "input": dollars.input,
            "output": dollars.output,
            "request": dollars.request,
        })
    })
}

fn scores(facts: &Facts) -> Value {
    let scores = facts.scores.0.iter();
    scores
        .map(|(metric, score)| (metric.name().to_owned(), Value::from(*score)))
        .collect::<Map<_, _>>()
        .into()
}

fn describe(seen: &Seen) -> Value {
    let mut described = Map::new();
    let mut add = |name: &str, value: Value| {
        described.insert(name.to_owned(), value);
    };
    add("attempts", seen.attempts.into());
    add("answers", seen.answers.into());
    add("estimated", seen.estimated.into());
    add("sampled", seen.is_sampled.into());
    add(Metric::Success.name(), seen.success.into());
    for metric in SPEEDS {
        let spread = seen.spreads.get(metric);
        add(metric.name(), spread.map(spread_out).into());
    }
    described.into()
}

fn spread_out(spread: &Spread) -> Value {
    let stats = Stat::ALL
        .into_iter()
        .map(|stat| (stat.name().to_owned(), Value::from(spread.get(stat))));
    let samples = ("samples".to_owned(), Value::from(spread.samples));
    std::iter::once(samples)
        .chain(stats)
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let asked = |provider: &str, model: &str, window| Asked {
            provider: Some(provider.to_owned()),
            model: Some(model.to_owned()),
            window: Some(window),
        };
        for (query, expected) in [
            ("", Asked::default()),
            ("&", Asked::default()),
            (
                "model=a%2Fb&window=24h&provider=p",
                asked("p", "a/b", Window::Day),
            ),
            (
                "provider=&model=a/b&window=5m",
                asked("", "a/b", Window::FiveMinutes),
            ),
        ] {
            assert_eq!(read(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_means_nothing_is_named_with_what_to_write() {
        for (query, parameter, said) in [
            ("window=10m", "window", "5m, 1h, 24h"),
            ("window", "window", "unknown window \"\""),
            ("window=1h&window=1h", "window", "twice"),
            ("model=a&model=b", "model", "twice"),
            ("provider=a&provider=b", "provider", "twice"),
            ("provder=p", "provder", "write provider, model or window"),
            ("=p", "", "unknown parameter"),
            ("%00=%ff", "\0", "unknown parameter"),
        ] {
            let wrong = read(query).unwrap_err();
            assert_eq!(wrong.parameter, parameter, "{query}");
            assert!(wrong.message.contains(said), "{query}: {}", wrong.message);
        }
    }
}
