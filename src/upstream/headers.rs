//! Which headers pass, in either direction. What is not named here stays behind.

use crate::telemetry::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Request headers that go to a provider as the caller sent them.
static TO_PROVIDER: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::ACCEPT,
    header::USER_AGENT,
    TRACEPARENT,
    TRACESTATE,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
];

/// Response headers that come back as the provider sent them. Its own `x-request-id` comes back
/// as `x-provider-request-id`, since that name is taken by ours.
static TO_CALLER: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_DISPOSITION,
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-generation-id"),
    HeaderName::from_static("x-siliconcloud-trace-id"),
    HeaderName::from_static("openai-processing-ms"),
];

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const PROVIDER_REQUEST_ID: HeaderName = HeaderName::from_static("x-provider-request-id");

/// Never passed on, whatever a route's `forward` says: they speak of one connection, of the
/// caller's own credentials, or of somebody else's limits.
pub fn is_never_forwarded(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 23] = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::ALT_SVC,
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::ACCEPT_ENCODING,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
        header::FORWARDED,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("api-key"),
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("x-goog-api-key"),
        HeaderName::from_static("x-real-ip"),
    ];
    NAMES.contains(name)
        || name.as_str().starts_with("x-overspill-")
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str().starts_with("x-ratelimit-")
}

/// The caller's headers that a provider may see.
pub fn to_provider<'a>(
    caller: &'a HeaderMap,
    forward: &'a [HeaderName],
) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
    // What `Connection` names is for us alone.
    passing(caller, &TO_PROVIDER, forward).filter(|(name, _)| !is_nominated(caller, name))
}

/// What the provider is told of the trace in the caller's place, by the attempt with this number.
/// None: what the caller said stays.
pub fn told_trace(
    context: Option<&TraceContext>,
    number: usize,
) -> Option<(&TraceContext, HeaderValue)> {
    let context = context?;
    Some((context, context.traceparent(number)?))
}

/// Whether a caller's header goes on beside what we say of the trace: what belongs to a trace that
/// is not this one does not.
pub fn stays_in_trace(context: &TraceContext, name: &HeaderName) -> bool {
    *name != TRACEPARENT && (*name != TRACESTATE || context.parent.is_some())
}

fn is_nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|token| {
            token
                .trim_ascii()
                .eq_ignore_ascii_case(name.as_str().as_bytes())
        })
}

/// The provider's headers that a caller may see.
pub fn to_caller<'a>(
    provider: &'a HeaderMap,
    forward: &'a [HeaderName],
) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
    passing(provider, &TO_CALLER, forward)
}

fn passing<'a>(
    headers: &'a HeaderMap,
    standard: &'static [HeaderName],
    forward: &'a [HeaderName],
) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
    headers.iter().filter(move |(name, _)| {
        standard.contains(name) || (forward.contains(name) && !is_never_forwarded(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(passed: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Vec<&'a str> {
        passed.map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn only_what_is_listed_passes() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "api-key",
            "x-forwarded-for",
            "x-overspill-timeout",
            "content-type",
            "x-team",
            "set-cookie",
            "alt-svc",
            "x-ratelimit-limit-requests",
        ] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        assert_eq!(names(to_provider(&headers, &[])), ["content-type"]);
        assert_eq!(names(to_caller(&headers, &[])), ["content-type"]);
        let forward = [
            HeaderName::from_static("x-team"),
            HeaderName::from_static("api-key"),
            header::COOKIE,
            header::SET_COOKIE,
        ];
        assert_eq!(
            names(to_provider(&headers, &forward)),
            ["content-type", "x-team"]
        );
    }

    #[test]
    fn what_any_connection_header_names_stays() {
        let mut headers = HeaderMap::new();
        for name in ["accept", "user-agent", "content-type"] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        for value in ["keep-alive", "x-other, Accept", "USER-AGENT"] {
            headers.append(header::CONNECTION, HeaderValue::from_static(value));
        }
        assert_eq!(names(to_provider(&headers, &[])), ["content-type"]);
    }
}
