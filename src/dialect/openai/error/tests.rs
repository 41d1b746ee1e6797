use super::*;
use crate::catalog::catalog;
use crate::config::snapshot::Endpoint;
use crate::dialect::openai::answer::is_empty;
use crate::dialect::openai::normalise::normalise;
use Kind::{
    ContentFilter, ContextLength, Credentials, Overloaded, Quota, RateLimited, Rejected,
    ServerError,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// 2026-07-02 00:00:00 UTC.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_782_950_400)
}

fn read(
    provider: &str,
    status: u16,
    pairs: &[(&'static str, &str)],
    body: &str,
) -> Option<Meaning> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, value.parse().unwrap());
    }
    meaning(provider, status, &headers, body.as_bytes(), now())
}

fn word(kind: Kind) -> &'static str {
    match kind {
        RateLimited => "rate",
        Overloaded => "overload",
        Quota => "quota",
        Credentials => "auth",
        ContextLength => "context",
        ContentFilter => "content_filter",
        Rejected => "bad_request",
        ServerError => "failure",
    }
}

#[test]
fn what_providers_say_and_what_it_means() {
    let table = include_str!("../../../../tests/golden/errors.txt");
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut vendors = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.splitn(7, " | ").collect();
        let [provider, status, means, amounts, wait, pairs, body] = cells.as_slice() else {
            panic!("{row}");
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.split("; ").filter_map(|pair| pair.split_once(": ")) {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let body = body.replace('⏎', "\n");
        let body = if body == "-" { "" } else { &body };
        let found = meaning(
            provider,
            status.parse().unwrap(),
            &headers,
            body.as_bytes(),
            now(),
        );
        let found = found.map(|found| {
            assert!(found.reason == found.kind.reason(), "{row}");
            let wait = found.retry_after.map(|wait| wait.as_millis().to_string());
            let wait = wait.unwrap_or("-".to_owned());
            (word(found.kind), found.status.to_string(), wait)
        });
        let expected = (*means, amounts.to_string(), wait.to_string());
        if found.as_ref() != Some(&expected) {
            wrong.push(format!("{row}\n  is {found:?}"));
        }
        vendors.insert(*provider);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Whoever joins the catalogue brings an error along.
    let known: BTreeSet<&str> = catalog().providers.keys().map(String::as_str).collect();
    assert_eq!(vendors, known);
}

#[test]
fn good_answers_are_not_errors() {
    for body in [
        "",
        "{}",
        "null",
        "[DONE]",
        "plain",
        r#"{"choices":[{"message":{"content":"{\"error\": \"code\"}"}}]}"#,
        r#"{"choices":[{"message":{"content":"hi","error":null},"error":null}],"error":null}"#,
        r#"{"error":null,"object":"response","output":[{"content":[{"text":"\"code\""}]}]}"#,
        r#"{"error":false,"choices":[]}"#,
        r#"{"error":{},"choices":[]}"#,
        r#"{"choices":[{}],"base_resp":{"status_code":0,"status_msg":""}}"#,
        r#"{"code":0,"message":"ok","data":[1]}"#,
        r#"{"code":200,"message":"done"}"#,
        r#"{"code":"Success","message":""}"#,
        r#"{"code":"","message":"","output":{"text":"hi"}}"#,
        r#"{"code":7,"message":"hi","choices":[{"text":"a"}]}"#,
        r#"{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"{\"code\":1}"}}]}}]}"#,
        r#"{"data":[{"code":500,"message":"in a value"}],"object":"list"}"#,
        r#"[{"index":0,"score":0.5,"code":1}]"#,
        r#"{"error":{"message":"cut"#,
    ] {
        assert_eq!(read("openai", 200, &[], body), None, "{body}");
    }
}

#[test]
fn the_status_decides_where_the_body_does_not() {
    for body in [
        "",
        "<html>your api key has no permission, rate limit</html>",
        "{\"error\":",
        "[]",
    ] {
        for (status, kind) in [
            (400, Rejected),
            (401, Credentials),
            (402, Quota),
            (403, Rejected),
            (404, Rejected),
            (408, ServerError),
            (409, Rejected),
            (413, Rejected),
            (422, Rejected),
            (424, ServerError),
            (429, RateLimited),
            (498, Rejected),
            (500, ServerError),
            (502, ServerError),
            (503, ServerError),
            (504, ServerError),
            (524, ServerError),
            (529, Overloaded),
        ] {
            let found = read("someone", status, &[], body).unwrap();
            assert_eq!((found.kind, found.status), (kind, status), "{body}");
        }
    }
}

#[test]
fn a_redirect_is_the_providers_fault() {
    let found = read("someone", 302, &[("location", "/login")], "").unwrap();
    assert_eq!(
        (found.kind, found.status, found.reason),
        (ServerError, 502, Reason::ProviderBadResponse)
    );
}

#[test]
fn a_403_is_ours_only_where_it_names_what_is_ours() {
    for (text, kind) in [
        ("Your API key was disabled", Credentials),
        ("This key may not be used here", Credentials),
        ("You have no permission", Credentials),
        ("Your balance is used up", Quota),
        ("Access from your country is refused", Rejected),
        ("A monkey is not allowed", Rejected),
        (
            "The prompt was flagged by our keyword filter",
            ContentFilter,
        ),
    ] {
        let shapes = [
            text.to_owned(),
            format!("\"{text}\""),
            format!(r#"{{"error":{{"message":"{text}"}}}}"#),
            format!(r#"{{"message":"{text}"}}"#),
            format!(r#"{{"error":"{text}"}}"#),
            format!(r#"[{{"error":{{"message":"{text}"}}}}]"#),
        ];
        for body in shapes {
            let found = read("someone", 403, &[], &body).unwrap();
            assert_eq!((found.kind, found.status), (kind, 403), "{body}");
        }
    }
}

#[test]
fn waits_come_from_the_headers_first() {
    let body = r#"{"error":{"message":"try again in 9s"}}"#;
    for (pairs, ms) in [
        (vec![("retry-after", "2")], 2000),
        (vec![("retry-after-ms", "150"), ("retry-after", "2")], 150),
        (
            vec![("retry-after", "Thu, 02 Jul 2026 00:00:30 GMT")],
            30_000,
        ),
        (vec![], 9000),
    ] {
        let found = read("azure-openai", 429, &pairs, body).unwrap();
        assert_eq!(
            found.retry_after,
            Some(Duration::from_millis(ms)),
            "{pairs:?}"
        );
    }
    assert_eq!(
        read("x", 404, &[("retry-after", "2")], body)
            .unwrap()
            .retry_after,
        None
    );
}

#[test]
fn aws_names_its_error_in_a_header() {
    let header = [(
        "x-amzn-errortype",
        "ServiceQuotaExceededException:http://internal/",
    )];
    assert_eq!(
        read("bedrock", 400, &header, "{}").unwrap().kind,
        RateLimited
    );
}

#[test]
fn enormous_and_deep_bodies_are_survived() {
    let long = format!(r#"{{"detail":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(read("x", 422, &[], &long).unwrap().kind, Rejected);
    let deep = format!("{{\"error\":{}", "[".repeat(100_000));
    assert_eq!(read("x", 500, &[], &deep).unwrap().kind, ServerError);
    assert_eq!(read("x", 200, &[], &deep), None);
    let binary = meaning("x", 502, &HeaderMap::new(), &[0xff; 100], now()).unwrap();
    assert_eq!(binary.kind, ServerError);
}

proptest! {
    /// Nothing a provider sends ends the process, and an error always gets a meaning.
    #[test]
    fn any_bytes_are_survived(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            r#"[\[{]?("(error|code|message|choices|base_resp|status|x)":?|[0-9.-]+|null|[\[\]{},]|é){0,30}"#
                .prop_map(String::into_bytes),
        ],
        status in 100u16..600,
        wait in "[0-9a-z.,: GMT+-]{0,30}",
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", wait.parse().unwrap());
        for endpoint in Endpoint::ALL {
            let hollow = is_empty(endpoint, &body);
            prop_assert!(!(hollow && error_inside(&body)));
        }
        match meaning("minimax", status, &headers, &body, now()) {
            None => prop_assert!((200..300).contains(&status) && !error_inside(&body)),
            Some(found) => {
                prop_assert!((400..600).contains(&found.status));
                prop_assert!(found.retry_after.is_none_or(|w| w <= Duration::from_secs(86_400)));
                let _ = normalise(&found, &body);
            }
        }
    }
}
