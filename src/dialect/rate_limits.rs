//! What an answer's headers say about how much more the provider will take.

use http::HeaderMap;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Requests,
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub of: Of,
    pub remaining: u64,
    /// Until there is more.
    pub reset: Duration,
}

/// Kind, what remains, and when there is more: OpenAI's names, which many share, and Anthropic's.
const NAMES: [(Of, &str, &str); 3] = [
    (
        Of::Requests,
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ),
    (
        Of::Tokens,
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ),
    (
        Of::Requests,
        "x-ratelimit-remaining-req-minute",
        "x-ratelimit-reset-req-minute",
    ),
];

/// Only what is told whole: how much, and until when. Azure's -1 means that it does not know.
pub fn told(headers: &HeaderMap) -> impl Iterator<Item = Told> {
    NAMES.into_iter().filter_map(|(of, remaining, reset)| {
        let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
        Some(Told {
            of,
            remaining: text(remaining)?.parse().ok()?,
            reset: span(text(reset)?)?,
        })
    })
}

/// `6m0s`, `1.5s`, `250ms`, `1h2m`, or bare seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()?;
        whole = whole.checked_add(part)?;
        rest = next;
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn all(pairs: &[(&'static str, &'static str)]) -> Vec<Told> {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        told(&headers).collect()
    }

    #[test]
    fn both_kinds_are_told_in_many_spellings() {
        let seconds = Duration::from_secs_f64;
        for (text, expected) in [
            ("6m0s", seconds(360.0)),
            ("1.5s", seconds(1.5)),
            ("250ms", seconds(0.25)),
            ("1h2m3s", seconds(3723.0)),
            ("12", seconds(12.0)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(span(text), Some(expected), "{text}");
        }
        let both = all(&[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "2s"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6ms"),
        ]);
        let told = |of, remaining, reset| Told {
            of,
            remaining,
            reset: seconds(reset),
        };
        assert_eq!(
            both,
            [told(Of::Requests, 0, 2.0), told(Of::Tokens, 149_984, 0.006)]
        );
    }

    #[test]
    fn halves_and_nonsense_tell_nothing() {
        for pairs in [
            &[("x-ratelimit-remaining-requests", "0")][..],
            &[
                ("x-ratelimit-remaining-requests", "-1"),
                ("x-ratelimit-reset-requests", "1s"),
            ],
            &[
                ("x-ratelimit-remaining-tokens", "5"),
                ("x-ratelimit-reset-tokens", "soon"),
            ],
            &[
                ("x-ratelimit-remaining-tokens", "5"),
                ("x-ratelimit-reset-tokens", "-3"),
            ],
            &[
                ("x-ratelimit-remaining-tokens", "5"),
                ("x-ratelimit-reset-tokens", "1e300d"),
            ],
        ] {
            assert_eq!(all(pairs), [], "{pairs:?}");
        }
    }
}
