//! What a provider's error means.

use super::rules;
use super::said::{Said, beginning};
use crate::body::cursor::is_blank;
use crate::dialect::retry_after::retry_after;
use crate::error::Reason;
use crate::failover::{Kind, Meaning};
use http::HeaderMap;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::SystemTime;

#[cfg(test)]
mod tests;

/// What an answer that is no success means; `None` for a success. A 2xx is one unless there is an
/// error inside its body, or, of a stream, inside the data of the event given as `body`.
/// `provider` is the catalogue's name for it.
pub fn meaning(
    provider: &str,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Option<Meaning> {
    let success = (200..300).contains(&status);
    if success && !error_inside(body) {
        return None;
    }
    let mut said = Said::read(body);
    if let Some(code) = headers
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok())
    {
        said.code(code);
    }
    let judged = if success {
        said.status.unwrap_or(200)
    } else {
        status
    };
    let kind = rules::kind(provider, judged, &said);
    let (status, reason) = match judged {
        400.. => (judged, kind.reason()),
        200..=299 => (status_of(kind), kind.reason()),
        // A redirect: the base URL is wrong, and nothing the caller sent.
        _ => (502, Reason::ProviderBadResponse),
    };
    let retry_after = match kind {
        Kind::ContextLength | Kind::ContentFilter | Kind::Rejected => None,
        _ => retry_after(headers, beginning(body), now),
    };
    Some(Meaning {
        kind,
        status,
        retry_after,
        reason,
    })
}

/// The status an error amounts to that came inside a 200 and states none.
fn status_of(kind: Kind) -> u16 {
    match kind {
        Kind::RateLimited => 429,
        Kind::Overloaded => 503,
        Kind::ServerError => 500,
        Kind::Credentials => 401,
        Kind::Quota => 402,
        Kind::ContextLength | Kind::ContentFilter | Kind::Rejected => 400,
    }
}

/// Does a successful answer, or the data of one event of a stream, hold an error instead?
///
/// Answers may be large and are nearly always good: one without any of the telling keys is not
/// parsed at all, and of the others only the top level is looked at.
pub fn error_inside(body: &[u8]) -> bool {
    // Inside a JSON string these would stand as `\"error\"`, so text cannot be taken for a key.
    static TELLING: LazyLock<[Finder<'static>; 4]> =
        LazyLock::new(|| ["\"error\"", "\"base_resp\"", "\"code\"", "\"__type\""].map(Finder::new));
    if !TELLING.iter().any(|key| key.find(body).is_some()) {
        return false;
    }
    // Gemini wraps its errors in a list.
    let body = body.trim_ascii_start();
    let body = body.strip_prefix(b"[").unwrap_or(body);
    let mut json = serde_json::Deserializer::from_slice(body);
    let Ok(top) = HashMap::<&str, &RawValue>::deserialize(&mut json) else {
        return false;
    };
    let field = |key: &str| top.get(key).map(|value| value.get());
    let is = |key: &str, word: &str| field(key).is_some_and(|raw| unquoted(raw) == word);

    field("error").is_some_and(says_something)
        || is("object", "error")
        || is("type", "error")
        || is("type", "response.failed")
        // Amazon's errors carry their name here.
        || field("__type").is_some_and(|name| name.contains("Exception"))
        || field("base_resp").is_some_and(base_resp_failed)
        || field("choices").is_some_and(choice_failed)
        || (field("code").is_some_and(failing_code)
            && (top.contains_key("message") || top.contains_key("msg"))
            && !ANSWERS
                .iter()
                .any(|key| field(key).is_some_and(says_something)))
}

/// A body with one of these is an answer, whatever `code` it wears.
const ANSWERS: [&str; 7] = [
    "choices",
    "data",
    "output",
    "content",
    "results",
    "embeddings",
    "response",
];

fn unquoted(raw: &str) -> &str {
    raw.trim_matches('"')
}

/// Some write `"error": false` on every good answer.
fn says_something(raw: &str) -> bool {
    !is_blank(raw.as_bytes()) && raw != "false"
}

/// MiniMax reports on every answer here, on the good ones with a zero.
fn base_resp_failed(raw: &str) -> bool {
    #[derive(Deserialize)]
    struct BaseResp {
        status_code: i64,
    }
    serde_json::from_str::<BaseResp>(raw).is_ok_and(|base| base.status_code != 0)
}

/// OpenRouter puts the error of an answer that failed half way into its choice.
fn choice_failed(raw: &str) -> bool {
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    serde_json::from_str::<Vec<Choice>>(raw).is_ok_and(|choices| {
        choices.iter().any(|choice| {
            choice
                .error
                .is_some_and(|error| says_something(error.get()))
        })
    })
}

/// The flat shape `{code, message}` has its words for success too.
fn failing_code(raw: &str) -> bool {
    let code = unquoted(raw);
    says_something(raw)
        && !["0", "200", "20000"].contains(&code)
        && !["ok", "success"]
            .iter()
            .any(|word| code.eq_ignore_ascii_case(word))
}
