//! Where going on would be a guess, the break is told as what it is.

use super::{REST, all, asking, begun, breaking, config, cut_after};
use crate::harness::answers::{failure, part, sse_head};
use crate::harness::voice::{ONE, TWO};
use crate::harness::*;
use serde_json::json;

/// What a client has, and how often the second provider was asked.
async fn answer(first: Vec<Act>, body: &str, resume: &str, form: &str) -> (Said, usize) {
    let one = Provider::always(first).await;
    let two = Provider::always(TWO.stream([all().as_str()])).await;
    let gateway = Gateway::start(&config(&one, &two, resume, form)).await;
    let reply = gateway.chat(body).await.expect(200);
    assert_eq!(one.count(), 1);
    (Said::of(&reply), two.count())
}

/// The error, with the reason of the break, and nobody else was asked.
async fn broken(body: &str, resume: &str, form: &str) {
    let (said, asked) = answer(breaking(), body, resume, form).await;
    said.broken(&begun(), "provider_truncated");
    assert_eq!(asked, 0, "{body:.200}");
}

const TOOLS: &str = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;

#[tokio::test]
async fn when_it_is_off() {
    broken(ASK_STREAM, "off", "assistant").await;
}

#[tokio::test]
async fn when_nobody_knows_that_the_next_target_continues() {
    broken(ASK_STREAM, "prefill", "none").await;
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    Said::of(&reply).broken(&begun(), "provider_truncated");
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn when_there_is_no_next_target() {
    for resume in ["prefill", "auto"] {
        let one = Provider::always(breaking()).await;
        let config = Config::one(&one)
            .with("prefill", "assistant")
            .on_route("stream", &format!("{{ resume: {resume} }}"));
        let gateway = Gateway::start(&config).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        Said::of(&reply).broken(&begun(), "provider_truncated");
        assert_eq!(one.count(), 1);
    }
}

#[tokio::test]
async fn a_form_or_a_tool_that_was_demanded_is_not_continued_but_answered_afresh() {
    let named = format!(r#"{TOOLS},"tool_choice":{{"type":"function","function":{{"name":"f"}}}}"#);
    for more in [
        r#""response_format":{"type":"json_object"}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}}"#,
        &format!(r#"{TOOLS},"tool_choice":"required""#),
        &named,
    ] {
        broken(&asking(more), "prefill", "assistant").await;
        let (said, asked) = answer(breaking(), &asking(more), "auto", "assistant").await;
        said.whole(&all());
        assert_eq!(asked, 1, "{more}");
    }
}

#[tokio::test]
async fn tools_that_may_be_used_are_no_hindrance() {
    for more in [
        TOOLS,
        &format!(r#"{TOOLS},"tool_choice":"auto""#),
        r#""n":1,"logprobs":false"#,
    ] {
        let one = Provider::always(breaking()).await;
        let two = Provider::always(TWO.stream(REST)).await;
        let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
        let reply = gateway.chat(asking(more)).await.expect(200);
        Said::of(&reply).whole(&all());
    }
}

#[tokio::test]
async fn after_a_fragment_of_a_tool_call() {
    let call = ONE.delta(json!({"tool_calls": [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a"}}
    ]}));
    for resume in ["prefill", "auto"] {
        for said in [vec![], vec![ONE.say("Let me look. ")]] {
            let content = if said.is_empty() { "" } else { "Let me look. " };
            let first = cut_after([said, vec![call.clone()]].concat());
            let (said, asked) = answer(first, &asking(TOOLS), resume, "assistant").await;
            said.broken(content, "provider_truncated");
            assert_eq!(asked, 0, "{resume}");
        }
    }
}

#[tokio::test]
async fn with_several_choices_or_probabilities() {
    for resume in ["prefill", "auto"] {
        for more in [
            r#""n":2"#,
            r#""logprobs":true"#,
            r#""logprobs":true,"top_logprobs":3"#,
        ] {
            broken(&asking(more), resume, "assistant").await;
        }
    }
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte() {
    let of = |size: usize| ASK_STREAM.replace("hi", &"h".repeat(size - ASK_STREAM.len() + 2));
    for resume in ["prefill", "auto"] {
        broken(&of((1 << 20) + 1), resume, "assistant").await;
    }
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
    let reply = gateway.chat(of((1 << 20) - 200)).await.expect(200);
    Said::of(&reply).whole(&all());
}

#[tokio::test]
async fn when_only_thoughts_were_delivered() {
    let thinking = cut_after([ONE.role(), ONE.think("Let me "), ONE.think("see.")]);
    let (said, asked) = answer(thinking, ASK_STREAM, "prefill", "assistant").await;
    said.broken("", "provider_truncated");
    assert_eq!((said.reasoning.as_str(), asked), ("Let me see.", 0));
}

#[tokio::test]
async fn the_reason_is_that_of_the_break() {
    let said = || vec![sse_head(), part(ONE.say("first"))];
    let idle = [said(), vec![Act::Hang]].concat();
    let mut stall = said();
    for _ in 0..100 {
        stall.extend([part(": comment\n\n"), Act::Sleep(ms(50))]);
    }
    for (first, reason) in [
        (idle, "provider_idle_timeout"),
        (stall, "provider_stall_timeout"),
    ] {
        let one = Provider::always(first).await;
        let two = Provider::always(vec![failure(503, "of the second")]).await;
        // Whether nobody is asked or somebody in vain.
        for (resume, most) in [("off", 0), ("auto", 2)] {
            let before = two.count();
            let config = config(&one, &two, resume, "assistant")
                .on_route("timeouts", "{ idle: 300ms, stall: 600ms }");
            let gateway = Gateway::start(&config).await;
            let reply = gateway.chat(ASK_STREAM).await.expect(200);
            Said::of(&reply).broken("first", reason);
            assert!(!reply.text().contains("of the second"), "{}", reply.text());
            assert!(two.count() - before <= most, "{resume}");
        }
    }
}
