//! The errors that providers really send, by the word that asks for each.

use std::time::{Duration, SystemTime};

/// One refusal: a status, a wait and a body in its vendor's own shape.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub word: &'static str,
    pub status: u16,
    pub wait: Wait,
    pub content_type: &'static str,
    pub body: &'static str,
}

/// How a refusal says when to come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    None,
    Seconds(&'static str),
    Millis(&'static str),
    /// An HTTP date two seconds from now.
    Date,
}

impl Wait {
    /// The header line, empty when there is none.
    pub fn header(self) -> String {
        match self {
            Wait::None => String::new(),
            Wait::Seconds(seconds) => format!("Retry-After: {seconds}\r\n"),
            Wait::Millis(millis) => format!("retry-after-ms: {millis}\r\n"),
            Wait::Date => {
                let then = SystemTime::now() + Duration::from_secs(2);
                format!("Retry-After: {}\r\n", httpdate::fmt_http_date(then))
            }
        }
    }
}

pub fn named(word: &str) -> Option<&'static Refusal> {
    REFUSALS.iter().find(|refusal| refusal.word == word)
}

pub fn words() -> impl Iterator<Item = &'static str> {
    REFUSALS.iter().map(|refusal| refusal.word)
}

/// The body of a status without a refusal of its own.
pub fn plain_body(status: u16) -> String {
    let kind = if status < 500 {
        "invalid_request_error"
    } else {
        "server_error"
    };
    format!(
        r#"{{"error":{{"message":"The mock answers {status}, as asked.","type":"{kind}","param":null,"code":null}}}}"#
    )
}

pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unnamed",
    }
}

pub const JSON: &str = "application/json";

const fn json(word: &'static str, status: u16, wait: Wait, body: &'static str) -> Refusal {
    Refusal {
        word,
        status,
        wait,
        content_type: JSON,
        body,
    }
}

const RATE: &str = r#"{"error":{"message":"Rate limit reached for requests per minute. Please try again in 1s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
const OVERLOADED: &str = r#"{"error":{"message":"The engine is currently overloaded, please try again later.","type":"server_error","param":null,"code":"overloaded"}}"#;

/// For a request that ends with an assistant message.
pub static PREFILL: Refusal = json(
    "refuse-prefill",
    400,
    Wait::None,
    r#"{"error":{"message":"Invalid messages: the last message must not be from the assistant.","type":"invalid_request_error","param":"messages","code":"invalid_value"}}"#,
);

/// For a request that has a field the provider does not know.
pub static STREAM_OPTIONS: Refusal = json(
    "no-stream-options",
    400,
    Wait::None,
    r#"{"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error","param":"stream_options","code":"unknown_parameter"}}"#,
);

static REFUSALS: [Refusal; 26] = [
    json("429", 429, Wait::Seconds("1"), RATE),
    json("429-ms", 429, Wait::Millis("250"), RATE),
    json("429-date", 429, Wait::Date, RATE),
    json("429-bare", 429, Wait::None, RATE),
    json(
        "429-quota",
        429,
        Wait::None,
        r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
    ),
    // The same word as the one above, meaning tokens per minute and not money.
    json(
        "429-throttle",
        429,
        Wait::None,
        r#"{"error":{"message":"Requests rate limit exceeded, please try again later.","type":"insufficient_quota","param":null,"code":"insufficient_quota"},"request_id":"mock"}"#,
    ),
    json(
        "429-balance",
        429,
        Wait::None,
        r#"{"error":{"code":"1113","message":"Insufficient balance or no resource package. Please recharge."}}"#,
    ),
    json(
        "500",
        500,
        Wait::None,
        r#"{"error":{"message":"The server had an error while processing your request.","type":"server_error","param":null,"code":null}}"#,
    ),
    json("503", 503, Wait::None, OVERLOADED),
    json("503-retry", 503, Wait::Seconds("1"), OVERLOADED),
    json(
        "503-busy",
        503,
        Wait::None,
        r#"{"code":50505,"message":"Model service overloaded. Please try again later.","data":null}"#,
    ),
    json(
        "529",
        529,
        Wait::None,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_mock"}"#,
    ),
    json(
        "401",
        401,
        Wait::None,
        r#"{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
    ),
    json(
        "402",
        402,
        Wait::None,
        r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    json(
        "403-key",
        403,
        Wait::None,
        r#"{"error":{"message":"This API key does not have permission to use the requested model.","type":"permission_error","param":null,"code":"permission_denied"}}"#,
    ),
    json(
        "403-moderation",
        403,
        Wait::None,
        r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"the mock's example"}}}"#,
    ),
    json(
        "400-context",
        400,
        Wait::None,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    json(
        "400-filter",
        400,
        Wait::None,
        r#"{"error":{"message":"The response was filtered due to the prompt triggering content management policy.","type":"invalid_request_error","param":"prompt","code":"content_filter"}}"#,
    ),
    json(
        "400",
        400,
        Wait::None,
        r#"{"error":{"message":"Invalid value for 'temperature': expected a number at most 2.","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}"#,
    ),
    json(
        "404",
        404,
        Wait::None,
        r#"{"error":{"message":"The model does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
    ),
    json(
        "422",
        422,
        Wait::None,
        r#"{"error":{"message":"Invalid Parameters: messages[0].role","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    json(
        "bare-string",
        504,
        Wait::None,
        r#""Gateway Timeout, please try again later""#,
    ),
    json("bare-string-401", 401, Wait::None, r#""Invalid token""#),
    json(
        "array-error",
        429,
        Wait::None,
        r#"[{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}]}}]"#,
    ),
    json(
        "object-error",
        400,
        Wait::None,
        r#"{"object":"error","message":"The model does not support tools.","type":"BadRequestError","param":null,"code":400}"#,
    ),
    Refusal {
        word: "html-error",
        status: 502,
        wait: Wait::None,
        content_type: "text/html",
        body: "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_json_bodies_are_json() {
        let mut seen = std::collections::HashSet::new();
        for refusal in REFUSALS.iter().chain([&PREFILL, &STREAM_OPTIONS]) {
            assert!(seen.insert(refusal.word), "{}", refusal.word);
            let parsed = serde_json::from_str::<serde_json::Value>(refusal.body);
            assert_eq!(
                parsed.is_ok(),
                refusal.content_type == JSON,
                "{}",
                refusal.word
            );
        }
        for status in [400, 418, 507] {
            assert!(serde_json::from_str::<serde_json::Value>(&plain_body(status)).is_ok());
        }
    }
}
