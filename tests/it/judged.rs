//! What an upstream's answer means: ours to mend, the caller's to know, or an error in disguise.

use crate::harness::answers::{DONE, event, failure, http, last, part, sse_head, stream_reply};
use crate::harness::*;
use crate::refusals::refused;

fn told(status: u16, kind: &str, body: &str) -> Vec<Act> {
    vec![Act::Write(http(status, &[("content-type", kind)], body))]
}

#[tokio::test]
async fn the_callers_own_mistakes_come_back_unchanged() {
    let kind = "application/json; charset=utf-8";
    for (status, body) in [
        (
            400,
            "{ \"error\":{\"message\":\"temperature is \\u0074oo high\",\"param\":\"temperature\",\"n\":1.0} }\r\n",
        ),
        (
            404,
            "{\"error\":{\"message\":\"no such thing\",\"code\":\"not_found\"}}",
        ),
        (
            422,
            "{\"error\":{\"message\":\"bad tool\",\"type\":\"invalid_request_error\"},\"detail\":[1,2]}",
        ),
        (413, "{\"error\":{\"message\":\"too large for us\"}}"),
        (
            403,
            "{\"error\":{\"message\":\"Your input was flagged by moderation\",\"code\":\"moderation\"}}",
        ),
        (
            400,
            "{\"error\":{\"message\":\"content filter\",\"code\":\"content_filter\"}}",
        ),
    ] {
        let one = Provider::always(told(status, kind, body)).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let reply = gateway.chat(ASK).await.expect(status);
        assert_eq!(reply.text(), body);
        assert_eq!(reply.get("content-type"), Some(kind));
        assert_eq!(
            reply.get("content-length"),
            Some(body.len().to_string().as_str())
        );
        let reply = gateway.chat(ASK_STREAM).await.expect(status);
        assert_eq!(reply.text(), body);
        assert_eq!((one.count(), two.connections().len()), (2, 0), "{body}");
    }
}

/// SiliconFlow answers 404 with a bare string: the client's library still finds an error in it.
#[tokio::test]
async fn mistakes_told_in_odd_shapes_still_read_as_errors() {
    for body in [
        "\"model not found\"",
        "[{\"error\":{\"message\":\"x\"}}]",
        "not json",
        "",
    ] {
        let one = Provider::always(told(404, "application/json", body)).await;
        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await.expect(404);
        assert!(
            reply.json()["error"]["message"].is_string(),
            "{}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn our_own_bad_key_is_never_the_callers_401() {
    let quoting = "{\"error\":{\"message\":\"Incorrect API key provided: sk-one-upstream.\",\"code\":\"invalid_api_key\"}}";
    let balance = "{\"error\":{\"message\":\"Insufficient Balance\"}}";
    let denied = "{\"error\":{\"message\":\"Your API key does not have permission\",\"code\":\"permission_denied\"}}";
    for (status, body) in [(401, quoting), (402, balance), (403, denied), (401, "")] {
        let one = Provider::always(told(status, "application/json", body)).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("two"), "{status}");
        assert_eq!(one.count(), 1, "{status}: a bad key does not get better");

        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await;
        assert!(!reply.text().contains("sk-one"), "{}", reply.text());
        let error = refused(reply, 502, "provider_");
        if status != 402 {
            assert_eq!(error["error"]["metadata"]["reason"], "provider_auth");
        }
    }
}

#[tokio::test]
async fn a_secret_of_ours_in_an_error_is_struck_out() {
    let body = "{\"error\":{\"message\":\"bad header Bearer sk-one-upstream here\"}}";
    for status in [400, 503] {
        let one = Provider::always(told(status, "application/json", body)).await;
        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await.expect(status);
        assert_eq!(reply.text(), body.replace("sk-one-upstream", "***"));
    }
}

#[tokio::test]
async fn too_long_for_one_goes_to_a_model_with_more_room() {
    let body = "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens\",\"code\":\"context_length_exceeded\"}}";
    let one = Provider::always(told(400, "application/json", body)).await;
    let same = Provider::well().await;
    let long = Provider::well().await;
    let config = Config::new()
        .provider("one", &one.base())
        .with(
            "models",
            "{ \"acme/chat\": { name: one-chat, context: 8192 } }",
        )
        .provider("same", &same.base())
        .with(
            "models",
            "{ \"acme/chat\": { name: same-chat, context: 8192 } }",
        )
        .provider("long", &long.base())
        .with(
            "models",
            "{ \"acme/long\": { name: long-chat, context: 1000000 } }",
        )
        .route(
            "main",
            "{ provider: one }, { provider: same, tier: 2 }, { provider: long, tier: 3 }",
        )
        .on_route("fallback_models", "[\"acme/long\"]");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.json()["model"], "acme/long");
    assert_eq!(reply.get("x-overspill-model"), Some("acme/long"));
    assert_eq!(long.only().model(), "long-chat");
    assert_eq!((one.count(), same.connections().len()), (1, 0));

    let config = config.on_route("fallback_models", "[]");
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.chat(ASK).await.expect(400).text(), body);
    assert_eq!(same.connections().len(), 0);
}

#[tokio::test]
async fn when_every_target_of_a_model_is_down_its_fallback_answers_under_its_own_name() {
    let one = Provider::always(vec![failure(503, "down")]).await;
    let two = Provider::well().await;
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .with("models", "{ \"acme/other\": { name: two-other } }")
        .route("main", "{ provider: one }, { provider: two }")
        .on_route("fallback_models", "[\"acme/other\"]");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.json()["model"], "acme/other");
    assert_eq!(reply.get("x-overspill-model"), Some("acme/other"));
    assert_eq!(two.only().model(), "two-other");
    assert_eq!(one.count(), 2, "a fallback model is a later tier");
}

const DISGUISED: [&str; 6] = [
    "{\"error\":{\"message\":\"of the first: overloaded\",\"code\":503}}",
    "{\"error\":{\"message\":\"of the first\",\"type\":\"server_error\",\"code\":null}}",
    "{\"error\":\"of the first: rate limited\"}",
    "{\"id\":\"x\",\"choices\":null,\"base_resp\":{\"status_code\":1002,\"status_msg\":\"rate limit\"}}",
    "{\"id\":\"x\",\"choices\":[],\"base_resp\":{\"status_code\":1039,\"status_msg\":\"of the first\"}}",
    "{\"object\":\"error\",\"message\":\"of the first\",\"type\":\"InternalServerError\",\"code\":500}",
];

#[tokio::test]
async fn an_error_under_a_200_is_an_error() {
    for body in DISGUISED {
        let one = Provider::always(told(200, "application/json", body)).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::beside(&one, &two)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("two"), "{body}");
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "hello");

        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await;
        assert!(reply.status >= 400, "{body} came back as {}", reply.status);
        assert!(reply.json()["error"].is_object(), "{}", reply.text());
    }
}

#[tokio::test]
async fn base_resp_that_says_success_is_an_answer() {
    let mut body: Value = serde_json::from_str(&chat("one-chat", "hello")).unwrap();
    body["base_resp"] = serde_json::json!({"status_code": 0, "status_msg": "success"});
    body["error"] = Value::Null;
    let one = Provider::always(vec![json_reply(200, body.to_string())]).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.json()["base_resp"]["status_msg"], "success");
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn an_error_as_the_first_event_of_a_stream_is_never_seen() {
    let error = "{\"error\":{\"message\":\"of the first\",\"code\":503}}";
    for start in [
        vec![part(format!("data: {error}\n\n"))],
        vec![part(format!(": hello\n\ndata: {error}\n\n")), part(DONE)],
        vec![
            part(format!("event: error\ndata: {error}\n\n")),
            part(DONE),
            last(),
        ],
        vec![part(format!("data:{error}\r\n\r\n")), last()],
        vec![Act::Close],
        vec![last()],
        vec![part(": only a comment\n\n"), last()],
        vec![part(DONE), last()],
        vec![part("data: {\"id\":\"of the fi"), Act::Reset],
        vec![
            part(role_only("one-chat")),
            part(format!("data: {error}\n\n")),
            last(),
        ],
        vec![part(role_only("one-chat")), Act::Reset],
    ] {
        let acts: Vec<Act> = [vec![sse_head()], start].concat();
        let one = Provider::always(acts).await;
        let two = Provider::always(stream_reply("two-chat", "hello")).await;
        let gateway = Gateway::start(&Config::beside(&one, &two)).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("two"));
        let expected = [
            event("acme/chat", "hello"),
            answers::finish("acme/chat"),
            DONE.into(),
        ];
        assert_eq!(reply.text(), expected.concat());
        assert_eq!((one.count(), two.count()), (1, 1));
    }
}

fn role_only(model: &str) -> String {
    let data = serde_json::json!({
        "id": "of the first", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]
    });
    format!("data: {data}\n\n")
}

#[tokio::test]
async fn an_empty_answer_is_tried_elsewhere_and_given_when_all_are_empty() {
    let empty = |text: Value| {
        serde_json::json!({
            "id": "1", "object": "chat.completion", "model": "one-chat",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
        })
        .to_string()
    };
    for content in [Value::Null, "".into()] {
        let one = Provider::always(vec![json_reply(200, empty(content))]).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::beside(&one, &two)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("two"));

        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.json()["model"], "acme/chat");
        assert_eq!(reply.json()["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn an_answer_without_text_that_says_something_is_kept() {
    for message in [
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}",
        "{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"hm\"}",
        "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}",
    ] {
        let body = format!(
            "{{\"id\":\"1\",\"model\":\"one-chat\",\"choices\":[{{\"index\":0,\"message\":{message},\"finish_reason\":\"stop\"}}]}}"
        );
        let one = Provider::always(vec![json_reply(200, &body)]).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::beside(&one, &two)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.text(), body.replace("one-chat", "acme/chat"));
        assert_eq!(two.connections().len(), 0);
    }
}
