//! Single requests, the newest first, as JSON.

use crate::admin::json;
use crate::admin::params::{Params, Wrong};
use crate::store::Store;
use crate::store::fault::Fault;
use crate::store::requests::{Kept, NUMBERS, Name, Question, TEXTS, TRY_NUMBERS, TRY_TEXTS, Try};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

const KNOWN: [&str; 9] = [
    "from", "to", "model", "provider", "key", "route", "reason", "limit", "before",
];
const DAY: i64 = 86_400 * 1_000_000;
/// On one page.
const MOST: u32 = 1000;

/// `now` in microseconds since the epoch.
pub fn question(query: Option<&str>, now: i64) -> Result<Question, Wrong> {
    let params = Params::of(query, &KNOWN)?;
    let from = params.moment("from")?;
    let to = params
        .moment("to")?
        .unwrap_or(from.map_or(now, |from| now.max(from + 1)));
    let from = from.unwrap_or(to.saturating_sub(DAY));
    if from >= to {
        return Err(Wrong::new("from", "is not before `to`"));
    }
    let before = match params.text("before") {
        None => None,
        Some(text) => Some(name(&text).ok_or_else(|| {
            Wrong::new(
                "before",
                "is not what an answer had as its `next`; write that",
            )
        })?),
    };
    Ok(Question {
        from,
        to,
        model: params.text("model"),
        provider: params.text("provider"),
        key: params.text("key"),
        route: params.text("route"),
        reason: params.text("reason"),
        before,
        limit: params.number("limit", 100, MOST)?,
    })
}

/// `1782993600000000-17`
fn name(text: &str) -> Option<Name> {
    let (began, id) = text.split_once('-')?;
    let (began, id) = (began.parse().ok()?, id.parse().ok()?);
    Some(Name { began, id })
}

pub async fn show(store: &Store, question: &Question) -> Result<Response<Vec<u8>>, Fault> {
    let page = store.reader().await?.requests(question).await?;
    let is_full = u32::try_from(page.len()) == Ok(question.limit);
    let next = page
        .last()
        .filter(|_| is_full)
        .map(|last| format!("{}-{}", last.name.began, last.name.id));
    let requests: Vec<Value> = page.iter().map(request).collect();
    let body = serde_json::json!({ "requests": requests, "next": next });
    Ok(json(StatusCode::OK, &body))
}

fn request(kept: &Kept) -> Value {
    let mut shown = Map::new();
    shown.insert("time_ms".to_owned(), (kept.name.began / 1000).into());
    for (name, text) in TEXTS.into_iter().zip(&kept.texts) {
        let name = if name == "key_name" { "key" } else { name };
        shown.insert(name.to_owned(), text.as_deref().into());
    }
    numbers(&mut shown, &NUMBERS, &kept.numbers);
    let attempts: Vec<Value> = kept.attempts.iter().map(attempt).collect();
    shown.insert("attempts".to_owned(), attempts.into());
    Value::Object(shown)
}

fn attempt(attempt: &Try) -> Value {
    let mut shown = Map::new();
    for (name, text) in TRY_TEXTS.into_iter().zip(&attempt.texts) {
        shown.insert(name.to_owned(), text.as_deref().into());
    }
    numbers(&mut shown, &TRY_NUMBERS, &attempt.numbers);
    Value::Object(shown)
}

/// Under the names that the log has for them.
fn numbers(shown: &mut Map<String, Value>, names: &[&str], numbers: &[Option<i64>]) {
    for (name, number) in names.iter().zip(numbers) {
        let (name, value) = match *name {
            truth @ ("stream" | "gap" | "estimated") => {
                (truth.to_owned(), (*number == Some(1)).into())
            }
            "overhead_us" => ("overhead_us".to_owned(), (*number).into()),
            name => match name.strip_suffix("_us") {
                Some(name) => (
                    format!("{name}_ms"),
                    number.map(|micros| micros / 1000).into(),
                ),
                None => (name.to_owned(), (*number).into()),
            },
        };
        shown.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_asked_and_says_what_is_wrong() {
        let query = "from=0&to=10&provider=one&reason=provider_error&limit=5&before=9000000-7";
        let question = super::question(Some(query), 0).unwrap();
        assert_eq!((question.from, question.to), (0, 10_000_000));
        let before = Name {
            began: 9_000_000,
            id: 7,
        };
        assert_eq!((question.before, question.limit), (Some(before), 5));
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=many", "limit"),
            ("before=7", "before"),
            ("before=a-b", "before"),
            ("from=5&to=5", "from"),
            ("status=500", "status"),
        ] {
            let wrong = super::question(Some(query), 1).unwrap_err();
            assert_eq!(wrong.param, param, "{query}");
        }
    }
}
