use super::*;

fn look(endpoint: Endpoint, data: &str) -> Glance {
    glance(endpoint, data.as_bytes()).unwrap_or_else(|| panic!("malformed: {data}"))
}

fn chat(choice: &str) -> Glance {
    let data = format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{choice}]}}"#
    );
    look(Endpoint::Chat, &data)
}

#[test]
fn content_is_text_reasoning_tools_or_an_end_that_says_more() {
    for silent in [
        r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#,
        r#"{"delta":{"role":"assistant","content":null,"tool_calls":[]}}"#,
        r#"{"delta":{},"finish_reason":"stop"}"#,
        r#"{"delta":{"reasoning_content":""},"finish_reason":""}"#,
        r#"{"text":"","finish_reason":null}"#,
        "{}",
        "null",
    ] {
        assert!(!chat(silent).says, "{silent}");
    }
    for content in [
        r#"{"delta":{"content":" "}}"#,
        r#"{"delta":{"content":[{"type":"text"}]}}"#,
        r#"{"delta":{"reasoning_content":"x"}}"#,
        r#"{"delta":{"reasoning":"x"}}"#,
        r#"{"delta":{"reasoning_details":[{}]}}"#,
        r#"{"delta":{"tool_calls":[{"index":0}]}}"#,
        r#"{"delta":{"refusal":"no"}}"#,
        r#"{"delta":{},"finish_reason":"length"}"#,
        r#"{"delta":{},"finish_reason":"content_filter"}"#,
        r#"{"text":"x"}"#,
        r#"{"delta":{}},{"index":1,"delta":{"content":"x"}}"#,
    ] {
        assert!(chat(content).says, "{content}");
    }
}

#[test]
fn text_and_reasoning_have_their_places_and_all_else_is_beyond() {
    let data = r#"{"choices":[{"delta":{"reasoning_content":"why","content":"what"}}]}"#;
    let seen = look(Endpoint::Chat, data);
    assert_eq!(&data[seen.text.unwrap()], "\"what\"");
    assert_eq!(&data[seen.reasoning.unwrap()], "\"why\"");
    assert!(!seen.beyond);
    assert!(chat(r#"{"delta":{"tool_calls":[{"index":0}]}}"#).beyond);
    assert!(chat(r#"{"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}"#).beyond);
}

#[test]
fn each_choice_ends_by_itself() {
    let seen = chat(r#"{"index":0,"delta":{},"finish_reason":"stop"},{"index":2,"delta":{}}"#);
    assert_eq!((seen.seen, seen.finished), (0b101, 0b001));
    assert_eq!(chat(r#"{"index":1000,"delta":{}}"#).seen, 1 << 63);
    assert_eq!(chat(r#"{"index":-1,"delta":{}}"#).seen, 1);
}

#[test]
fn errors_are_suspected_wherever_they_hide() {
    for data in [
        r#"{"error":{"message":"no"}}"#,
        r#"{"error":"no"}"#,
        r#"{"object":"error","message":"no"}"#,
        r#"{"type":"error","message":"no"}"#,
        r#"[{"error":{"code":429}}]"#,
        r#"{"code":50505,"message":"busy"}"#,
        r#"{"base_resp":{"status_code":1002,"status_msg":"slow down"}}"#,
        r#"{"choices":[{"delta":{},"error":{"code":502}}]}"#,
    ] {
        assert!(look(Endpoint::Chat, data).suspect, "{data}");
    }
    assert!(chat(r#"{"delta":{"content":""},"finish_reason":"error"}"#).failed);
    for data in [
        r#"{"error":null,"choices":[]}"#,
        r#"{"code":0,"choices":[{"delta":{"content":"the \"error\":{} text"}}]}"#,
        r#"{"base_resp":{"status_code":0,"status_msg":""},"choices":[{"error":null}]}"#,
    ] {
        assert!(!look(Endpoint::Chat, data).suspect, "{data}");
    }
}

#[test]
fn usage_is_found_wherever_it_stands() {
    let used = r#"{"prompt_tokens":1}"#;
    for (data, alone) in [
        (r#"{"choices":[],"usage":U}"#, true),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":U}"#,
            false,
        ),
        (r#"{"choices":[{"delta":{},"usage":U}]}"#, false),
        (
            r#"{"choices":[{"delta":{}}],"x_groq":{"id":"1","usage":U}}"#,
            false,
        ),
        (r#"{"usage":U}"#, false),
    ] {
        let data = data.replace('U', used);
        let seen = look(Endpoint::Chat, &data);
        assert_eq!(&data[seen.usage.unwrap()], used, "{data}");
        assert_eq!(seen.usage_alone, alone, "{data}");
    }
    for none in [
        r#"{"choices":[],"usage":null}"#,
        r#"{"choices":[],"prompt_filter_results":[]}"#,
    ] {
        let seen = look(Endpoint::Chat, none);
        assert!(seen.usage.is_none() && !seen.usage_alone, "{none}");
    }
}

#[test]
fn what_is_no_event_is_malformed() {
    for data in [
        "",
        "hello",
        "\"text\"",
        "7",
        "{",
        r#"{"choices":[{"delta":{"content":}}]}"#,
        "{}x",
    ] {
        assert!(glance(Endpoint::Chat, data.as_bytes()).is_none(), "{data}");
    }
    assert!(glance(Endpoint::Messages, b"{\"type\":").is_none());
}

#[test]
fn messages_have_their_own_places() {
    let start =
        r#"{"type":"message_start","message":{"id":"m1","model":"c","usage":{"input_tokens":3}}}"#;
    let seen = look(Endpoint::Messages, start);
    assert_eq!(&start[seen.model.unwrap()], "\"c\"");
    assert_eq!(&start[seen.usage.unwrap()], r#"{"input_tokens":3}"#);
    assert!(seen.known && !seen.says);
    for (data, says, finished, last) in [
        (r#"{"type":"ping"}"#, false, 0, false),
        (
            r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
            false,
            0,
            false,
        ),
        (
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            true,
            0,
            false,
        ),
        (
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}"#,
            false,
            1,
            false,
        ),
        (
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            true,
            1,
            false,
        ),
        (r#"{"type":"message_stop"}"#, false, 1, true),
    ] {
        let seen = look(Endpoint::Messages, data);
        assert_eq!(
            (seen.says, seen.finished, seen.last),
            (says, finished, last),
            "{data}"
        );
    }
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    assert!(look(Endpoint::Messages, error).failed);
}

#[test]
fn responses_have_their_own_places() {
    for (data, says, last, failed) in [
        (
            r#"{"type":"response.created","response":{"model":"o"}}"#,
            false,
            false,
            false,
        ),
        (
            r#"{"type":"response.output_text.delta","delta":"hi"}"#,
            true,
            false,
            false,
        ),
        (
            r#"{"type":"response.completed","response":{"usage":{}}}"#,
            true,
            true,
            false,
        ),
        (
            r#"{"type":"response.failed","response":{"error":{}}}"#,
            false,
            false,
            true,
        ),
        (r#"{"type":"error","message":"no"}"#, false, false, true),
    ] {
        let seen = look(Endpoint::Responses, data);
        assert_eq!(
            (seen.says, seen.last, seen.failed),
            (says, last, failed),
            "{data}"
        );
    }
    let created = r#"{"type":"response.created","response":{"model":"o"}}"#;
    let seen = look(Endpoint::Responses, created);
    assert_eq!(&created[seen.model.unwrap()], "\"o\"");
}
