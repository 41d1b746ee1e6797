//! How long a provider asks to be left alone.

use http::{HeaderMap, HeaderName};
use std::time::{Duration, SystemTime};

/// Beyond this an answer is a mistake, or no reason to remember the provider as cooling.
const LONGEST: Duration = Duration::from_secs(86_400);

const MILLISECONDS: [HeaderName; 2] = [
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-ms-retry-after-ms"),
];

/// What stands before a duration in an error's text, in lower case.
const PHRASES: [&str; 3] = ["try again in ", "retry after ", "retry in "];

/// From the headers (milliseconds, seconds, a date), else from the body (Gemini's `retryDelay`,
/// the sentences of Groq, OpenAI and Azure). A source that cannot be read gives way to the next.
pub fn retry_after(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    from_headers(headers, now).or_else(|| from_body(body))
}

fn from_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let precise = MILLISECONDS.iter().find_map(|name| decimal(text(name)?));
    if let Some(milliseconds) = precise {
        return Some(bounded(milliseconds / 1000.0));
    }
    let value = text(&http::header::RETRY_AFTER)?;
    if let Some(seconds) = decimal(value) {
        return Some(bounded(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

fn from_body(body: &[u8]) -> Option<Duration> {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let delay = text
        .split_once("\"retrydelay\"")
        .and_then(|(_, rest)| duration(rest.trim_start_matches([' ', '\t', '\r', '\n', ':', '"'])));
    delay.or_else(|| {
        PHRASES.iter().find_map(|phrase| {
            let (_, rest) = text.split_once(phrase)?;
            duration(rest)
        })
    })
}

/// `12s`, `5.289s`, `850ms`, `1m26.4s`, `6 seconds`: as many parts as stand there.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = None;
    let mut rest = text;
    loop {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let Some(number) = rest.strip_suffix(digits).and_then(decimal) else {
            break;
        };
        let unit_on = digits.trim_start_matches(' ');
        let after = unit_on.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let scale = match unit_on.strip_suffix(after) {
            Some("ms" | "millisecond" | "milliseconds") => 0.001,
            Some("s" | "sec" | "secs" | "second" | "seconds") => 1.0,
            Some("m" | "min" | "mins" | "minute" | "minutes") => 60.0,
            Some("h" | "hour" | "hours") => 3600.0,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number * scale);
        rest = after;
    }
    seconds.map(bounded)
}

/// A plain decimal number. Rust would also read `inf` and `1e9`, which no provider means.
fn decimal(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+'));
    text.parse().ok().filter(|_| plain)
}

fn bounded(seconds: f64) -> Duration {
    let capped = seconds.clamp(0.0, LONGEST.as_secs_f64());
    Duration::try_from_secs_f64(capped).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    /// 2026-07-02 00:00:00 UTC.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_782_950_400)
    }

    fn read(pairs: &[(&'static str, &str)], body: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        let found = retry_after(&headers, body.as_bytes(), now());
        found.map(|wait| u64::try_from(wait.as_millis()).unwrap())
    }

    #[test]
    fn headers() {
        let nines = "9".repeat(400);
        let single = [
            ("3", Some(3000)),
            (" 0.25 ", Some(250)),
            ("0", Some(0)),
            ("-5", Some(0)),
            ("86401", Some(DAY)),
            (nines.as_str(), Some(DAY)),
            ("inf", None),
            ("1e3", None),
            ("", None),
            ("soon", None),
            ("Thu, 02 Jul 2026 00:00:07 GMT", Some(7000)),
            ("Wed, 01 Jul 2026 00:00:00 GMT", Some(0)),
            ("Thu, 02 Jul 2099 00:00:00 GMT", Some(DAY)),
        ];
        for (value, expected) in single {
            assert_eq!(read(&[("retry-after", value)], ""), expected, "{value}");
        }
    }

    #[test]
    fn milliseconds_go_before_seconds() {
        let cases = [
            (vec![], None),
            (
                vec![("retry-after-ms", "1250"), ("retry-after", "9")],
                Some(1250),
            ),
            (
                vec![("x-ms-retry-after-ms", "40"), ("retry-after", "9")],
                Some(40),
            ),
            (
                vec![("x-ms-retry-after-ms", "40"), ("retry-after-ms", "30")],
                Some(30),
            ),
            (
                vec![("retry-after-ms", "?"), ("retry-after", "9")],
                Some(9000),
            ),
        ];
        for (pairs, expected) in cases {
            assert_eq!(read(&pairs, ""), expected, "{pairs:?}");
        }
    }

    #[test]
    fn bodies() {
        let cases = [
            ("", None),
            ("Please try again in 5.289s. Visit", Some(5289)),
            ("Please try again in 1m26.4s.", Some(86_400)),
            ("Please try again in 850ms.", Some(850)),
            ("Try again in 2h3m1s", Some(7_381_000)),
            ("Please retry after 6 seconds.", Some(6000)),
            ("Please retry in 34.5s.", Some(34_500)),
            ("please try again in 99h", Some(DAY)),
            ("try again in a while", None),
            ("try again in 5", None),
            ("try again in ", None),
            (r#"{"details":[{"retryDelay":"12s"}]}"#, Some(12_000)),
            ("{\"retryDelay\" :\n \"0.5s\"}", Some(500)),
            (r#"{"retryDelay": 12}"#, None),
        ];
        for (body, expected) in cases {
            assert_eq!(read(&[], body), expected, "{body}");
        }
        assert_eq!(read(&[("retry-after", "1")], "try again in 9s"), Some(1000));
    }
}
