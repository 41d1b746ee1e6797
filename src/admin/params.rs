//! What a question on the admin port says after its `?`, and what to say when it says it wrong.

use crate::admin;
use crate::config::suggest::closest;
use crate::routing::table::unescaped;
use chrono::DateTime;
use http::{Response, StatusCode};
use serde_json::json;
use std::collections::HashMap;

pub struct Params(HashMap<String, String>);

/// Which parameter is wrong, and what to write.
#[derive(Debug)]
pub struct Wrong {
    pub param: String,
    pub message: String,
}

impl Wrong {
    pub fn new(param: &str, message: impl Into<String>) -> Wrong {
        Wrong {
            param: param.to_owned(),
            message: message.into(),
        }
    }

    pub fn answer(&self) -> Response<Vec<u8>> {
        let message = format!("`{}` {}", self.param, self.message);
        refusal(StatusCode::BAD_REQUEST, &message, Some(&self.param))
    }
}

pub fn refusal(status: StatusCode, message: &str, param: Option<&str>) -> Response<Vec<u8>> {
    admin::json(
        status,
        &json!({ "error": { "message": message, "param": param } }),
    )
}

impl Params {
    /// All of them must be known, and none may come twice. An empty one is as good as none.
    pub fn of(query: Option<&str>, known: &[&str]) -> Result<Params, Wrong> {
        let mut found = HashMap::new();
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescaped(name), unescaped(value));
            if name.is_empty() {
                continue;
            }
            if !known.contains(&name.as_str()) {
                let hint = closest(&name, known.iter().copied())
                    .map(|close| format!("; did you mean `{close}`?"))
                    .unwrap_or_default();
                let known = known.join(", ");
                let message = format!("is not known here; known are {known}{hint}");
                return Err(Wrong::new(&name, message));
            }
            if !value.is_empty() && found.insert(name.clone(), value).is_some() {
                return Err(Wrong::new(&name, "is given twice; give it once"));
            }
        }
        Ok(Params(found))
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// In microseconds since the epoch.
    pub fn moment(&self, name: &str) -> Result<Option<i64>, Wrong> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        moment(text).map(Some).ok_or_else(|| {
            let message = "is not a moment; write one such as `2026-07-02T12:00:00Z` or \
                           `2026-07-02`, or seconds or milliseconds since 1970";
            Wrong::new(name, message)
        })
    }

    /// A whole number within limits, or the default.
    pub fn number(&self, name: &str, default: u32, most: u32) -> Result<u32, Wrong> {
        let Some(text) = self.0.get(name) else {
            return Ok(default);
        };
        let number = text
            .parse()
            .ok()
            .filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Wrong::new(name, format!("is not a whole number from 1 to {most}")))
    }
}

/// Seconds of a year that nobody asks for are milliseconds of one that somebody does.
const SECONDS: i64 = 100_000_000_000;
/// In microseconds: the end of the year 9999.
const END: i64 = 253_402_300_800_000_000;

fn moment(text: &str) -> Option<i64> {
    let micros = match text.parse::<i64>() {
        Ok(number) if number.abs() < SECONDS => number.checked_mul(1_000_000)?,
        Ok(number) => number.checked_mul(1000)?,
        Err(_) if text.len() == "2026-07-02".len() => {
            DateTime::parse_from_rfc3339(&format!("{text}T00:00:00Z"))
                .ok()?
                .timestamp_micros()
        }
        Err(_) => {
            // Where a `+` was not escaped, a form's reader would have made it a blank.
            let text = text.replace(' ', "+");
            DateTime::parse_from_rfc3339(&text).ok()?.timestamp_micros()
        }
    };
    (0..=END).contains(&micros).then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_written_in_many_ways() {
        let noon = Some(1_782_993_600_000_000);
        for text in [
            "2026-07-02T12:00:00Z",
            "2026-07-02T14:00:00+02:00",
            "2026-07-02T14:00:00 02:00",
            "2026-07-02t12:00:00.000z",
            "1782993600",
            "1782993600000",
        ] {
            assert_eq!(moment(text), noon, "{text}");
        }
        assert_eq!(moment("2026-07-02"), Some(1_782_950_400_000_000));
        assert_eq!(moment("2026-07-02T12:00:00.25Z"), noon.map(|n| n + 250_000));
        for text in [
            "",
            "noon",
            "-1",
            "2026-13-02",
            "2026-07-02T12:00:00",
            "99999999999999999999",
            "9223372036854775807",
            "0x10",
            "1e9",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let known = ["from", "to"];
        let wrong = |query| Params::of(Some(query), &known).err().unwrap();
        assert_eq!(wrong("form=1").param, "form");
        assert!(wrong("form=1").message.contains("did you mean `from`?"));
        assert!(wrong("from=1&from=2").message.contains("twice"));
        let params = Params::of(Some("&from=a%20b&to="), &known).unwrap();
        assert_eq!(params.text("from").as_deref(), Some("a b"));
        assert_eq!(params.text("to"), None);
    }
}
