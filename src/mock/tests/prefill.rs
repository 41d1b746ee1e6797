//! Texts that are the same everywhere, and answers that go on where another broke.

use super::*;

const ALL: &str = "Water finds its own level; 溢出 of one basin fills the next, quietly.\n";

#[tokio::test]
async fn every_mock_says_the_same_unless_told() {
    let (north, south) = (
        mock(Behaviour::named("north").seed(1)).await,
        mock(Behaviour::slow("south").pace(Duration::ZERO).chunks(16)).await,
    );
    let one = Client::new(&north).await.stream("a").await.content();
    let other = Client::new(&south).await.stream("b").await.content();
    assert_eq!((one.as_str(), other.as_str()), (ALL, ALL));
    let differs = stream("m+differs").await.content();
    assert!(!differs.starts_with('W'));
    let later = stream("m+differs=3").await.content();
    assert!(later.starts_with("Water finds its") && !later.starts_with("Water finds its own"));
    let whole = chat("m+differs=3").await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], later.as_str());
}

#[tokio::test]
async fn an_answer_goes_on_where_an_assistant_message_ends() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let plain = ask("m", "Water finds", "", "");
    for body in [
        plain.clone(),
        ask("m", "Water finds", r#","prefix":true"#, ""),
        ask("m", "Water finds", r#","partial":true,"prefix":null"#, ""),
        ask("m", "Water finds", "", r#","continue_final_message":true"#),
        plain.replace(
            r#""Water finds""#,
            r#"[{"type":"text","text":"Water finds"}]"#,
        ),
        plain.replace("Water finds", r"\u0057ater finds"),
    ] {
        let streamed = client.post("/v1/chat/completions", &streaming(&body)).await;
        assert_eq!(format!("Water finds{}", streamed.content()), ALL, "{body}");
        let usage = streamed.values().last().unwrap()["usage"].clone();
        assert_eq!(usage["completion_tokens"], 14);
        let answer = client.post("/v1/chat/completions", &body).await.json();
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(content, streamed.content());
        assert_eq!(answer["usage"]["completion_tokens"], 14);
        let prompt = answer["usage"]["prompt_tokens"].as_u64().unwrap();
        assert_eq!(prompt, body.len() as u64 / 4, "with the prefix");
    }
}

#[tokio::test]
async fn only_the_last_message_counts_and_only_the_assistants() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    for messages in [
        r#"{"role":"assistant","content":"Water"},{"role":"user","content":"assistant"}"#,
        r#"{"role":"user","content":"Water"}"#,
        "",
    ] {
        let body = format!(r#"{{"model":"m","stream":true,"messages":[{messages}]}}"#);
        let reply = client.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.content(), ALL, "{messages}");
    }
}

#[tokio::test]
async fn a_provider_may_know_only_one_form() {
    let marks = [
        ("prefix", r#","prefix":true"#, ""),
        ("partial", r#","partial":true"#, ""),
        ("continue", "", r#","continue_final_message":true"#),
        ("assistant", "", ""),
        ("none", "", ""),
    ];
    for form in ["prefix", "partial", "continue"] {
        for (mark, in_message, in_request) in marks {
            let model = format!("m+form={form}");
            let content = continued(&ask(&model, "Water finds", in_message, in_request)).await;
            let expected = if mark == form { &ALL[11..] } else { ALL };
            assert_eq!(content, expected, "{form}, asked with {mark}");
        }
    }
    for (_, in_message, in_request) in marks {
        let body = ask("m+form=none", "Water finds", in_message, in_request);
        assert_eq!(continued(&body).await, ALL);
        let body = ask("m+form=assistant", "Water finds", in_message, in_request);
        assert_eq!(continued(&body).await, &ALL[11..]);
    }
}

#[tokio::test]
async fn white_space_comes_again_once_or_never() {
    let trimmed = ALL.trim_end();
    for (model, prefix, expected) in [
        ("m,chunks=18", trimmed, "\\nWater finds"),
        ("m,chunks=18", ALL, "Water finds"),
        ("m,chunks=18,repeat_space", ALL, "\\nWater finds"),
        ("m,chunks=18,repeat-space", trimmed, "\\nWater finds"),
        ("m,chunks=18,skip-space", trimmed, "Water finds"),
        ("m,chunks=18,skip-space", "Water", ""),
    ] {
        let prefix = serde_json::to_string(prefix).unwrap();
        let body = ask(model, prefix.trim_matches('"'), "", "");
        let expected = match expected {
            "" => format!("{}Water finds", &ALL[6..]),
            _ => expected.replace("\\n", "\n"),
        };
        assert_eq!(continued(&body).await, expected, "{model} after {prefix}");
    }
}

#[tokio::test]
async fn a_continuation_may_break_too() {
    let mock = mock(Behaviour::default()).await;
    let body = streaming(&ask("m+cut,at=2", "Water finds", "", ""));
    let reply = Client::new(&mock)
        .await
        .post("/v1/chat/completions", &body)
        .await;
    assert_eq!(
        (reply.content().as_str(), reply.end),
        (" its own", End::Fin)
    );
    assert_eq!(
        continued(&ask("m", &ALL.replace('\n', "\\n"), "", "")).await,
        ""
    );
}

#[tokio::test]
async fn a_provider_may_refuse_an_assistant_message_or_stream_options() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let body = ask("m+refuse_prefill", "Water", "", "");
    for body in [streaming(&body), body] {
        let reply = client.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status(), 400);
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
        assert!(
            reply
                .text()
                .contains("last message must not be from the assistant")
        );
    }
    assert_eq!(client.stream("m+refuse-prefill").await.content(), ALL);
    let reply = client.stream("m+no_stream_options").await;
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.json()["error"]["param"], "stream_options");
    assert_eq!(client.chat("m+no-stream-options").await.status(), 200);
}

#[tokio::test]
async fn completion_tokens_are_bounded() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    for field in ["max_tokens", "max_completion_tokens"] {
        for (most, finish) in [(3, "length"), (14, "stop"), (900, "stop")] {
            let bound = format!(r#","{field}":{most}"#);
            let body = ask("m", "Water finds", "", &bound);
            let answer = client.post("/v1/chat/completions", &body).await.json();
            assert_eq!(answer["choices"][0]["finish_reason"], finish, "{most}");
            assert_eq!(answer["usage"]["completion_tokens"], most.min(14));
            let reply = client.post("/v1/chat/completions", &streaming(&body)).await;
            let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
            assert_eq!(reply.content(), content);
            let reason = format!(r#""finish_reason":"{finish}""#);
            assert!(reply.text().contains(&reason));
        }
    }
}

/// A request whose last message is the assistant's; the extras begin with a comma.
fn ask(model: &str, content: &str, in_message: &str, in_request: &str) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hi"}},{{"role":"assistant","content":"{content}"{in_message}}}]{in_request}}}"#
    )
}

fn streaming(body: &str) -> String {
    let options = r#"{"stream":true,"stream_options":{"include_usage":true},"#;
    body.replacen('{', options, 1)
}

async fn continued(body: &str) -> String {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let path = "/v1/chat/completions";
    client.post(path, &streaming(body)).await.content()
}
