use super::*;
use crate::config::snapshot::Endpoint;
use crate::dialect::openai::answer::is_empty;
use crate::dialect::openai::normalise::normalise;
use Kind::{
    ContentFilter, ContextLength, Credentials, Overloaded, Quota, RateLimited, Rejected,
    ServerError,
};
use proptest::prelude::*;
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

/// Provider, status and body; the kind, the status it stands for, and the wait in milliseconds.
type Sample = (&'static str, u16, &'static str, Kind, u16, Option<u64>);

fn hold(samples: &[Sample]) {
    for (provider, status, body, kind, effective, wait) in samples {
        let found = read(provider, *status, &[], body).unwrap_or_else(|| panic!("fine: {body}"));
        let expected = Meaning {
            kind: *kind,
            status: *effective,
            retry_after: wait.map(Duration::from_millis),
            reason: kind.reason(),
        };
        assert_eq!(found, expected, "{provider} {status} {body}");
    }
}

#[test]
fn the_shape_of_openai() {
    hold(&[
        (
            "openai",
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-4o. Please try again in 20s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            RateLimited,
            429,
            Some(20_000),
        ),
        (
            "openai",
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Quota,
            429,
            None,
        ),
        (
            "openai",
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-ab*****yz.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Credentials,
            401,
            None,
        ),
        (
            "openai",
            400,
            r#"{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "openai",
            400,
            r#"{"error":{"message":"Your request was rejected by our safety system.","type":"invalid_request_error","code":"content_policy_violation"}}"#,
            ContentFilter,
            400,
            None,
        ),
        (
            "openai",
            400,
            r#"{"error":{"message":"Unsupported value: 'temperature'. Try again in 5s.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
            Rejected,
            400,
            None,
        ),
        (
            "openai",
            404,
            r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","code":"model_not_found"}}"#,
            Rejected,
            404,
            None,
        ),
        (
            "openai",
            500,
            r#"{"error":{"message":"The server had an error","type":"server_error","code":null}}"#,
            ServerError,
            500,
            None,
        ),
        (
            "openai",
            503,
            r#"{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error"}}"#,
            Overloaded,
            503,
            None,
        ),
    ]);
}

#[test]
fn the_other_shapes() {
    hold(&[
        (
            "siliconflow",
            401,
            r#""Invalid token""#,
            Credentials,
            401,
            None,
        ),
        (
            "siliconflow",
            403,
            r#""Sorry, your account balance is insufficient""#,
            Quota,
            403,
            None,
        ),
        (
            "siliconflow",
            404,
            r#""404 page not found""#,
            Rejected,
            404,
            None,
        ),
        (
            "siliconflow",
            504,
            r#""Gateway Timeout""#,
            ServerError,
            504,
            None,
        ),
        (
            "siliconflow",
            400,
            r#"{"code":20012,"message":"Model does not exist. Please check it carefully.","data":null}"#,
            Rejected,
            400,
            None,
        ),
        (
            "siliconflow",
            400,
            r#"{"code":20015,"message":"length of prompt_tokens (70000) must be less than max_seq_len (65536).","data":null}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "siliconflow",
            503,
            r#"{"code":50505,"message":"Model service overloaded. Please try again later.","data":null}"#,
            Overloaded,
            503,
            None,
        ),
        (
            "siliconflow",
            429,
            r#"{"code":50602,"message":"Request was rejected due to rate limiting. Details:TPM limit reached.","data":null}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "siliconflow",
            429,
            r#"{"message":"Request was rejected due to rate limiting. Details:TPM limit reached."}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "gemini",
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}]"#,
            RateLimited,
            429,
            Some(12_000),
        ),
        (
            "gemini",
            503,
            r#"[{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}]"#,
            Overloaded,
            503,
            None,
        ),
        (
            "gemini",
            400,
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
            Credentials,
            400,
            None,
        ),
        (
            "gemini",
            400,
            r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
            ContextLength,
            400,
            None,
        ),
        (
            "gemini",
            403,
            r#"{"error":{"code":403,"message":"The caller does not have access.","status":"PERMISSION_DENIED"}}"#,
            Credentials,
            403,
            None,
        ),
        (
            "ollama",
            503,
            r#"{"error":"server busy, please try again. maximum pending requests exceeded"}"#,
            ServerError,
            503,
            None,
        ),
        (
            "xai",
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***bc."}"#,
            Credentials,
            400,
            None,
        ),
        (
            "xai",
            403,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines. API key ID: 1, Failed check: SAFETY_CHECK_TYPE_X"}"#,
            ContentFilter,
            403,
            None,
        ),
        (
            "vllm",
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "vllm",
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
            Rejected,
            404,
            None,
        ),
        (
            "llamacpp",
            500,
            r#"{"error":{"code":500,"message":"the request exceeds the available context size","type":"server_error"}}"#,
            ContextLength,
            500,
            None,
        ),
        (
            "llamacpp",
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            ServerError,
            503,
            None,
        ),
        (
            "mistral",
            422,
            r#"{"detail":[{"loc":["body","messages"],"msg":"field required","type":"value_error.missing"}]}"#,
            Rejected,
            422,
            None,
        ),
        (
            "huawei",
            429,
            r#"{"error_code":"ModelArts.81101","error_msg":"Too many requests"}"#,
            RateLimited,
            429,
            None,
        ),
    ]);
}

#[test]
fn the_vendors_own_words() {
    hold(&[
        (
            "alibaba",
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "alibaba",
            429,
            r#"{"error":{"message":"Requests throttling triggered.","code":"Throttling.RateQuota"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "alibaba",
            400,
            r#"{"error":{"message":"Access denied, please make sure your account is in good standing.","type":"Arrearage","code":"Arrearage"}}"#,
            Quota,
            400,
            None,
        ),
        (
            "alibaba",
            400,
            r#"{"error":{"message":"Input data may contain inappropriate content.","code":"data_inspection_failed"}}"#,
            ContentFilter,
            400,
            None,
        ),
        (
            "alibaba",
            400,
            r#"{"error":{"message":"Range of input length should be [1, 129024]","code":"invalid_parameter_error"}}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1113","message":"您的账户已欠费，请充值后重试。"}}"#,
            Quota,
            429,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1302","message":"您当前使用该 API 的并发数过高"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1303","message":"rate"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":1305,"message":"rate"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1308","message":"used up"}}"#,
            Quota,
            429,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1310","message":"used up"}}"#,
            Quota,
            429,
            None,
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1312","message":"busy"}}"#,
            Overloaded,
            429,
            None,
        ),
        (
            "volcengine",
            403,
            r#"{"error":{"code":"AccountOverdueError","message":"The request failed because your account has an overdue balance.","type":"Forbidden"}}"#,
            Quota,
            403,
            None,
        ),
        (
            "volcengine",
            429,
            r#"{"error":{"code":"RateLimitExceeded.EndpointTPMExceeded","message":"slow down","type":"TooManyRequests"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "volcengine",
            429,
            r#"{"error":{"code":"ServerOverloaded","message":"busy","type":"TooManyRequests"}}"#,
            Overloaded,
            429,
            None,
        ),
        (
            "volcengine",
            404,
            r#"{"error":{"code":"ModelNotOpen","message":"not activated","type":"NotFound"}}"#,
            Rejected,
            404,
            None,
        ),
        (
            "volcengine",
            400,
            r#"{"error":{"code":"InputTextSensitiveContentDetected","message":"no"}}"#,
            ContentFilter,
            400,
            None,
        ),
        (
            "together",
            403,
            r#"{"error":{"message":"Input too long","type":"invalid_request_error"}}"#,
            ContextLength,
            403,
            None,
        ),
        (
            "together",
            402,
            r#"{"error":{"message":"Spending limit reached"}}"#,
            Quota,
            402,
            None,
        ),
        (
            "groq",
            498,
            r#"{"error":{"message":"Flex tier capacity exceeded","type":"capacity"}}"#,
            Overloaded,
            498,
            None,
        ),
        (
            "groq",
            429,
            r#"{"error":{"message":"Rate limit reached for model. Please try again in 5.289s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            RateLimited,
            429,
            Some(5289),
        ),
        (
            "groq",
            413,
            r#"{"error":{"message":"Request Entity Too Large","type":"invalid_request_error","code":"request_too_large"}}"#,
            Rejected,
            413,
            None,
        ),
        (
            "moonshot",
            429,
            r#"{"error":{"type":"engine_overloaded_error","message":"The engine is currently overloaded"}}"#,
            Overloaded,
            429,
            None,
        ),
        (
            "moonshot",
            429,
            r#"{"error":{"type":"exceeded_current_quota_error","message":"please check your account"}}"#,
            Quota,
            429,
            None,
        ),
        (
            "moonshot",
            403,
            r#"{"error":{"type":"permission_denied_error","message":"Your account balance is not enough"}}"#,
            Quota,
            403,
            None,
        ),
        (
            "deepseek",
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
            Quota,
            402,
            None,
        ),
        (
            "deepseek",
            400,
            r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error"}}"#,
            ContentFilter,
            400,
            None,
        ),
        (
            "deepseek",
            400,
            r#"{"error":{"message":"The `reasoning_content` in the thinking mode must be passed back to the API.","type":"invalid_request_error"}}"#,
            Rejected,
            400,
            None,
        ),
        (
            "anthropic",
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            529,
            None,
        ),
        (
            "anthropic",
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "anthropic",
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"},"message":"no"}}"#,
            Quota,
            429,
            None,
        ),
        (
            "anthropic",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
            Quota,
            400,
            None,
        ),
        (
            "anthropic",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "azure-openai",
            400,
            r#"{"error":{"message":"The response was filtered","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentFilter,
            400,
            None,
        ),
        (
            "fireworks",
            412,
            r#"{"error":{"message":"Account suspended"}}"#,
            Quota,
            412,
            None,
        ),
        (
            "cerebras",
            429,
            r#"{"message":"Tokens per minute limit exceeded","type":"too_many_tokens_error","param":"quota","code":"token_quota_exceeded"}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "openrouter",
            403,
            r#"{"error":{"code":403,"message":"openai/gpt-4o requires moderation","metadata":{"reasons":["violence"],"flagged_input":"kill the key process"}}}"#,
            ContentFilter,
            403,
            None,
        ),
        (
            "openrouter",
            403,
            r#"{"error":{"code":403,"message":"Key limit exceeded (total limit)"}}"#,
            Quota,
            403,
            None,
        ),
        (
            "openrouter",
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"provider_name":"X","raw":"{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens\"}}"}}}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "bedrock",
            424,
            r#"{"message":"The model failed","__type":"com.amazon.coral#ModelErrorException"}"#,
            ServerError,
            424,
            None,
        ),
        (
            "bedrock",
            400,
            r#"{"__type":"ServiceQuotaExceededException","message":"quota"}"#,
            RateLimited,
            400,
            None,
        ),
        (
            "bedrock",
            429,
            r#"{"message":"Too many tokens, please wait before trying again."}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "bedrock",
            400,
            r#"{"message":"Input is too long for requested model."}"#,
            ContextLength,
            400,
            None,
        ),
    ]);
}

#[test]
fn errors_inside_a_200() {
    hold(&[
        (
            "vllm",
            200,
            r#"{"object":"error","message":"engine died"}"#,
            ServerError,
            500,
            None,
        ),
        (
            "openai",
            200,
            r#"{"type":"error","message":"stream failed"}"#,
            ServerError,
            500,
            None,
        ),
        (
            "openrouter",
            200,
            r#"{"error":{"code":429,"message":"Rate limit exceeded"},"user_id":"u"}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "openrouter",
            200,
            r#"{"error":{"code":502,"message":"Provider returned error"}}"#,
            ServerError,
            502,
            None,
        ),
        (
            "openrouter",
            200,
            r#"{"error":{"code":402,"message":"Insufficient credits"}}"#,
            Quota,
            402,
            None,
        ),
        (
            "openrouter",
            200,
            r#"{"id":"1","choices":[{"finish_reason":"error","message":{"content":"Hal"},"error":{"code":502,"message":"gone"}}]}"#,
            ServerError,
            502,
            None,
        ),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "minimax",
            200,
            r#"{"choices":null,"base_resp":{"status_code":1039,"status_msg":"tpm"}}"#,
            RateLimited,
            429,
            None,
        ),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#,
            Credentials,
            401,
            None,
        ),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
            Quota,
            402,
            None,
        ),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":1013,"status_msg":"internal"}}"#,
            ServerError,
            500,
            None,
        ),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":2013,"status_msg":"invalid params"}}"#,
            Rejected,
            400,
            None,
        ),
        (
            "vllm",
            200,
            r#"{"object":"error","message":"Internal error","type":"InternalServerError","code":500}"#,
            ServerError,
            500,
            None,
        ),
        (
            "vllm",
            200,
            r#"{"error":{"message":"maximum context length is 4096","type":"BadRequestError","code":400}}"#,
            ContextLength,
            400,
            None,
        ),
        (
            "siliconflow",
            200,
            r#"{"code":50505,"message":"overloaded","data":null}"#,
            Overloaded,
            503,
            None,
        ),
        (
            "gemini",
            200,
            "\n[{\"error\":{\"code\":503,\"message\":\"x\",\"status\":\"UNAVAILABLE\"}}\n]",
            ServerError,
            503,
            None,
        ),
        (
            "ollama",
            200,
            r#"{"error":"an unknown error was encountered"}"#,
            ServerError,
            500,
            None,
        ),
        (
            "anthropic",
            200,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            503,
            None,
        ),
        (
            "openai",
            200,
            r#"{"type":"error","code":"rate_limit_exceeded","message":"try again in 2s"}"#,
            RateLimited,
            429,
            Some(2000),
        ),
        (
            "openai",
            200,
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"no"}}}"#,
            ServerError,
            500,
            None,
        ),
        (
            "openai",
            200,
            r#"{"error":{"message":"bad field","type":"invalid_request_error"}}"#,
            Rejected,
            400,
            None,
        ),
    ]);
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
