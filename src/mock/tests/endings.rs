//! How streams break, and how they end.

use super::*;

#[tokio::test]
async fn a_body_that_ends_too_soon_may_end_properly() {
    let reply = stream("m+cut-clean+chunks=6,at=2").await;
    assert_eq!(reply.content(), "Water finds");
    assert_eq!(reply.end, End::Complete);
    assert!(!reply.text().contains("[DONE]") && !reply.text().contains(r#""stop""#));
    let reply = chat("m+cut-clean").await;
    assert_eq!(reply.end, End::Complete);
    assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
}

#[tokio::test]
async fn headers_come_and_then_nothing() {
    for reply in [
        chat("hang-after-headers").await,
        stream("hang_after_headers").await,
    ] {
        assert_eq!((reply.status(), reply.end), (200, End::Silent));
        assert!(reply.body.is_empty());
    }
}

#[tokio::test]
async fn comments_take_the_place_of_content() {
    for (word, content) in [
        ("endless-comments", ""),
        ("endless-comments-mid,at=2", "Water finds"),
    ] {
        let mock = mock(Behaviour::default()).await;
        let mut client = Client::new(&mock).await;
        let model = format!("m+{word},beat=1ms");
        let endless = timeout(Duration::from_millis(200), client.stream(&model));
        assert!(endless.await.is_err(), "it never ends");
        let rest = Reply {
            head: String::new(),
            body: dechunk(&after_head(&client.rest)).0,
            end: End::Silent,
        };
        assert_eq!(rest.content(), content);
        assert!(rest.text().matches(": keep-alive").count() > 5);
        assert!(rest.text().ends_with(": keep-alive\n\n"));
    }
}

#[tokio::test]
async fn events_are_malformed_in_three_ways() {
    for (word, broken) in [
        (
            "malformed",
            r#"{"id":"chatcmpl-broken","choices":[{"delta":{"cont"#,
        ),
        ("malformed-text", "upstream went away"),
        (
            "malformed-hole",
            r#"{"id":"chatcmpl-broken","choices":[{"delta":{"content":}}]}"#,
        ),
    ] {
        for (at, index) in [(0, 1), (3, 4)] {
            let reply = stream(&format!("m+{word},chunks=4,at={at}")).await;
            assert_eq!(reply.events().get(index), Some(&broken), "{word}");
            assert_eq!(reply.content(), "Water finds its own");
            assert_eq!(reply.end, End::Complete);
        }
        let reply = chat(&format!("m+{word}")).await;
        assert_eq!(reply.end, End::Complete);
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
    }
}

#[tokio::test]
async fn a_finish_is_followed_by_too_little_or_too_much() {
    let ends = [
        ("no-done", 0, End::Complete),
        ("no-done-cut", 0, End::Fin),
        ("no-done-open", 0, End::Silent),
        ("done-open", 1, End::Silent),
        ("done-twice", 2, End::Complete),
        ("after-done", 1, End::Complete),
    ];
    for (word, dones, end) in ends {
        let reply = stream(&format!("m+{word}+chunks=2")).await;
        let done = reply
            .events()
            .iter()
            .filter(|event| **event == "[DONE]")
            .count();
        assert_eq!((done, reply.end), (dones, end), "{word}");
        assert!(reply.text().contains(r#""finish_reason":"stop""#), "{word}");
        let late = if word == "after-done" {
            " Too late."
        } else {
            ""
        };
        assert_eq!(reply.content(), format!("Water finds{late}"));
        assert_eq!(chat(&format!("m+{word}")).await.end, End::Complete);
    }
}

#[tokio::test]
async fn errors_stand_first_or_in_the_middle_with_and_without_done() {
    let errors = [
        ("error-200", "", true),
        ("error-200-no-done", "", false),
        ("error-mid,at=0", "", true),
        ("error-mid,at=2", "Water finds", true),
        ("error-mid-no-done,at=2", "Water finds", false),
        ("error-openrouter,at=0", "", true),
        ("error-openrouter,at=2", "Water finds", true),
        ("error-openrouter-no-done,at=2", "Water finds", false),
    ];
    for (word, content, done) in errors {
        let reply = stream(&format!("m+{word}")).await;
        assert_eq!(
            (reply.content().as_str(), reply.end),
            (content, End::Complete)
        );
        assert_eq!(reply.text().contains("[DONE]"), done, "{word}");
        let last = reply.values().last().unwrap();
        assert!(last["error"]["message"].is_string(), "{word}");
        let openrouter = word.starts_with("error-openrouter");
        let reason = &last["choices"][0]["finish_reason"];
        assert_eq!(reason == "error", openrouter, "{word}");
        assert!(chat(&format!("m+{word}")).await.json()["error"].is_object());
    }
    let answer = chat("error-openrouter").await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "error");
}

#[tokio::test]
async fn base_resp_stands_first_or_in_the_middle() {
    for (word, content) in [
        ("base-resp", ""),
        ("base-resp-mid,at=2,code=1008", "Water finds"),
    ] {
        let reply = stream(&format!("m+{word}")).await;
        assert_eq!(
            (reply.content().as_str(), reply.end),
            (content, End::Complete)
        );
        let last = reply.values().last().unwrap();
        assert!(last["base_resp"]["status_code"].is_u64(), "{word}");
        let answer = chat(&format!("m+{word}")).await.json();
        assert_eq!(answer["base_resp"], last["base_resp"]);
    }
}

#[tokio::test]
async fn a_stream_may_be_empty_in_three_ways() {
    let reply = stream("m+only-done").await;
    assert_eq!(
        (reply.text(), reply.end),
        ("data: [DONE]\n\n", End::Complete)
    );
    assert!(chat("only-done").await.body.is_empty());
    assert_eq!(stream("nothing").await.text(), "");
    let reply = stream("empty").await;
    assert_eq!(reply.values().count(), 3, "role, finish, usage");
    let mut events = reply.values();
    assert_eq!(
        events.next().unwrap()["choices"][0]["delta"]["role"],
        "assistant"
    );
    assert_eq!(
        events.next().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
}

#[tokio::test]
async fn tool_calls_break_inside_a_call() {
    let arguments = |reply: &Reply| -> String {
        reply
            .values()
            .filter_map(|value| {
                let call = &value["choices"][0]["delta"]["tool_calls"][0];
                Some(call["function"]["arguments"].as_str()?.to_owned())
            })
            .collect()
    };
    for (word, expected) in [
        ("cut", r#"{"city": "Paris"}{"zo"#),
        ("cut,at=3", r#"{"city": "#),
        ("cut,at=0", ""),
        ("error-mid,at=2", r#"{"ci"#),
        ("cut,at=99", r#"{"city": "Paris"}{"zone": "Europe/Paris"}"#),
    ] {
        let reply = stream(&format!("m+tools+{word}")).await;
        assert_eq!(arguments(&reply), expected, "{word}");
        assert!(!reply.text().contains(r#""tool_calls","#), "no finish");
    }
}

#[tokio::test]
async fn reasoning_breaks_before_any_content() {
    let reply = stream("m+in-reasoning+cut").await;
    assert_eq!((reply.content().as_str(), reply.end), ("", End::Fin));
    assert_eq!(reply.text().matches("reasoning_content").count(), 2);
    let reply = stream("m+in-reasoning+stall,at=4").await;
    assert_eq!((reply.content().as_str(), reply.end), ("", End::Silent));
    assert_eq!(reply.text().matches("reasoning_content").count(), 4);
    let reply = stream("m+in-reasoning+malformed+chunks=2").await;
    assert_eq!(reply.text().matches("chatcmpl-broken").count(), 1);
    assert_eq!(reply.content(), "Water finds");
    let reply = stream("m+reasoning+cut+chunks=4").await;
    assert_eq!(reply.content(), "Water finds");
}

#[tokio::test]
async fn a_filter_and_a_length_may_be_the_finish() {
    for finish in ["content_filter", "length", "tool_calls", "stop"] {
        let model = format!("m+finish={finish}");
        let streamed = stream(&model).await;
        let reason = format!(r#""finish_reason":"{finish}""#);
        assert!(streamed.text().contains(&reason), "{finish}");
        assert!(chat(&model).await.text().contains(&reason), "{finish}");
    }
}

fn after_head(bytes: &[u8]) -> Vec<u8> {
    let at = memchr::memmem::find(bytes, b"\r\n\r\n").unwrap();
    bytes[at + 4..].to_vec()
}
