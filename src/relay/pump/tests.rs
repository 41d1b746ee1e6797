use super::*;

fn form() -> Form {
    Form {
        endpoint: Endpoint::Chat,
        model: Some(Bytes::from_static(b"\"ours\"")),
        strip_usage: false,
        several: false,
        keep: true,
    }
}

/// What a stream becomes when it arrives in pieces of this size, and how it ended.
fn pass(mut pump: Pump, stream: &[u8], step: usize) -> (String, Pump) {
    let mut out = Vec::new();
    for chunk in stream.chunks(step) {
        pump.feed(chunk);
        out.extend_from_slice(&pump.take());
    }
    pump.end();
    if pump.stop() == Some(&Stop::Done) {
        pump.complete();
    }
    out.extend_from_slice(&pump.take());
    (String::from_utf8(out).unwrap(), pump)
}

fn event(delta: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"created\":7,\"model\":\"theirs\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"
    )
}

fn text(text: &str) -> String {
    event(&serde_json::json!({ "content": text }).to_string())
}

const END: &str = "data: {\"model\":\"theirs\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn the_model_changes_however_a_stream_is_cut() {
    let stream = format!(
        "{}data: {{\"choices\":\r\ndata: [{{\"delta\":{{\"content\":\"é\"}}}}],\r\ndata: \"model\":\"theirs\"}}\r\n\r\n: ping\n\n{}{END}{DONE}",
        text("a"),
        text("b").replace("\n", "\r\n"),
    );
    let wanted = stream.replace("theirs", "ours");
    for step in 1..=stream.len() {
        let (out, pump) = pass(Pump::new(form()), stream.as_bytes(), step);
        assert_eq!(out, wanted, "by {step}");
        assert_eq!(pump.stop(), Some(&Stop::Done));
    }
}

#[test]
fn exactly_one_end_however_it_comes() {
    let answer = format!("{}{END}", text("a"));
    let wanted = format!("{answer}{DONE}").replace("theirs", "ours");
    for stream in [
        answer.clone(),
        answer.trim_end().to_owned(),
        format!("{answer}{DONE}"),
        format!("{answer}data: [DONE]"),
        format!("{answer}{DONE}{DONE}"),
        format!("{answer}{DONE}{}", text("more")),
        format!("{answer}data: {{\"error\":{{\"message\":\"late\"}}}}\n\n"),
        format!("{answer}{}", text("half").split_at(30).0),
    ] {
        for step in [1, 7, stream.len()] {
            let (out, pump) = pass(Pump::new(form()), stream.as_bytes(), step);
            assert_eq!(out, wanted, "{stream}");
            assert_eq!(pump.stop(), Some(&Stop::Done));
        }
    }
}

#[test]
fn what_has_no_end_is_truncated_and_has_no_marker() {
    for stream in [
        text("a"),
        format!("{}{}", text("a"), text("b").split_at(40).0),
    ] {
        let (out, pump) = pass(Pump::new(form()), stream.as_bytes(), 5);
        assert_eq!(out, text("a").replace("theirs", "ours"));
        assert_eq!(pump.stop(), Some(&Stop::Truncated));
    }
}

#[test]
fn malformed_events_are_left_out_and_counted() {
    let bad = [
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\n\n",
        "data: hello\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":}}]}\n\n",
    ];
    let stream = format!("{}{}{}{}{END}{DONE}", bad[0], text("a"), bad[1], bad[2]);
    for step in 1..=stream.len() {
        let (out, mut pump) = pass(Pump::new(form()), stream.as_bytes(), step);
        assert_eq!(
            out,
            format!("{}{END}{DONE}", text("a")).replace("theirs", "ours")
        );
        assert_eq!((pump.take_gaps(), pump.take_gaps()), (3, 0));
    }
}

#[test]
fn usage_is_noted_and_the_extra_chunk_stripped_if_unasked() {
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
    let stream = format!("{}{END}{usage}{DONE}", text("a"));
    for strip_usage in [false, true] {
        let form = Form {
            strip_usage,
            ..form()
        };
        let (out, pump) = pass(Pump::new(form), stream.as_bytes(), 11);
        assert_eq!(out.contains("prompt_tokens"), !strip_usage);
        assert_eq!(
            (pump.usage().input, pump.usage().output),
            (Some(9), Some(2))
        );
        assert!(out.ends_with(DONE));
    }
}

#[test]
fn an_error_stops_it() {
    let stream = format!(
        "{}data: {{\"error\":{{\"message\":\"no\"}}}}\n\n{DONE}",
        text("a")
    );
    let (out, pump) = pass(Pump::new(form()), stream.as_bytes(), 9);
    assert_eq!(out, text("a").replace("theirs", "ours"));
    assert!(matches!(pump.stop(), Some(Stop::Error(_))));
}

#[test]
fn nothing_is_lost_of_an_event_too_large_to_look_into_nor_after_it() {
    let large = event(&format!("{{\"content\":\"{}\"}}", "x".repeat(500)));
    let stream = format!("{}{large}{}data: tail", text("a"), text("b"));
    let (out, pump) = pass(Pump::bounded(form(), 200), stream.as_bytes(), 50);
    assert_eq!(out, stream.replacen("theirs", "ours", 1));
    assert!(!pump.is_read() && pump.delivered().is_none());
    assert_eq!(pump.stop(), Some(&Stop::Done));
}

/// The whole that a caller sees of an answer that broke after `first` and went on with `second`.
fn carried_on(
    first: &str,
    graft: fn(&Delivered) -> Graft,
    second: &str,
    step: usize,
) -> (String, Pump) {
    let mut pump = Pump::new(form());
    pump.feed(first.as_bytes());
    let before = String::from_utf8(pump.take().to_vec()).unwrap();
    let graft = graft(pump.delivered().unwrap());
    pump.carry_on(graft, 2);
    let (after, pump) = pass(pump, second.as_bytes(), step);
    (before + &after, pump)
}

fn contents(stream: &str) -> String {
    let events = stream
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: {"));
    let text = events.filter_map(|event| {
        let event = format!("{{{}", event.replace("\ndata: ", ""));
        let event: serde_json::Value = serde_json::from_str(&event).unwrap();
        assert!(event["id"].is_null() || event["id"] == "c1", "{event}");
        Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    text.collect()
}

#[test]
fn a_continuation_wears_the_first_answers_name() {
    let first = format!("{}{}", text("one"), text(" two "));
    let second = format!(
        "{}{}{}{END}data: {{\"id\":\"x2\",\"choices\":[],\"usage\":{{\"prompt_tokens\":11,\"completion_tokens\":3,\"total_tokens\":14}}}}\n\n{DONE}",
        event("{\"role\":\"assistant\",\"content\":\"\"}"),
        event("{\"reasoning_content\":\"hm\"}"),
        format!("{}{}", text(" "), text("three"))
            .replace("c1", "x2")
            .replace(":7,", ":8,"),
    );
    for step in 1..second.len() {
        let (out, pump) = carried_on(&first, Graft::prefill, &second, step);
        assert_eq!(contents(&out), "one two three");
        assert!(
            !out.contains("x2") && !out.contains(":8,") && !out.contains("hm"),
            "{out}"
        );
        assert!(
            out.contains(r#""prompt_tokens":9,"completion_tokens":5,"total_tokens":14"#),
            "{out}"
        );
        assert!(out.ends_with(DONE) && out.matches("[DONE]").count() == 1);
        assert_eq!(pump.stop(), Some(&Stop::Done));
    }
}

#[test]
fn a_role_beside_content_is_not_said_again() {
    let first = format!(
        "{}{}",
        event("{\"role\":\"assistant\",\"content\":\"\"}"),
        text("one")
    );
    for (delta, shown) in [
        (
            r#"{"role":"assistant","content":" two"}"#,
            r#"{"content":" two"}"#,
        ),
        (
            r#"{"content":" two", "role": "assistant"}"#,
            r#"{"content":" two"}"#,
        ),
        (
            r#"{"r\u006fle":"assistant","content":" two"}"#,
            r#"{"r\u006fle":null,"content":" two"}"#,
        ),
        (
            "{\"content\":\" two\",\ndata: \"role\":\"assistant\"}",
            "data: \"role\":null}",
        ),
    ] {
        let second = format!("{}{END}{DONE}", event(delta));
        let (out, _) = carried_on(&first, Graft::prefill, &second, 1000);
        assert_eq!(contents(&out), "one two");
        assert_eq!(out.matches("assistant").count(), 1, "{out}");
        assert!(out.contains(shown), "{out}");
        let afresh = second.replace(" two", "one two");
        let (out, _) = carried_on(&first, Graft::afresh, &afresh, 1000);
        assert_eq!(contents(&out), "one two");
        assert!(out.contains(shown), "{out}");
    }
}

#[test]
fn an_answer_afresh_is_skipped_as_far_as_it_was_heard() {
    let first = format!(
        "{}{}",
        event("{\"reasoning_content\":\"hm\"}"),
        text("one tw")
    );
    let second = format!(
        "{}{}{}{}{END}{DONE}",
        event("{\"role\":\"assistant\"}"),
        event("{\"reasoning_content\":\"hm\"}"),
        text("one "),
        text("two three"),
    )
    .replace("c1", "x2");
    let (out, pump) = carried_on(&first, Graft::afresh, &second, 13);
    assert_eq!(contents(&out), "one two three");
    assert_eq!(out.matches("hm").count(), 1);
    assert_eq!(pump.stop(), Some(&Stop::Done));
}

#[test]
fn a_different_answer_is_not_joined() {
    let first = text("one two");
    for second in [
        text("one three"),
        format!("{}{END}", text("one")),
        format!("{}{DONE}", text("one")),
        event("{\"tool_calls\":[{\"index\":0}]}"),
        format!(
            "{}{}",
            event("{\"reasoning_content\":\"hm\"}"),
            text("one two")
        ),
    ] {
        let (out, pump) = carried_on(&first, Graft::afresh, &second, 1000);
        assert_eq!(contents(&out), "one two", "{second}");
        assert_eq!(pump.stop(), Some(&Stop::Differs), "{second}");
    }
}

#[test]
fn an_end_marker_that_never_went_out_is_not_taken_for_one_that_did() {
    let mut pump = Pump::new(form());
    pump.feed(text("one").as_bytes());
    assert!(!pump.take().is_empty());
    // It had nothing to say, so that nothing of it goes on.
    let graft = Graft::prefill(pump.delivered().unwrap());
    pump.carry_on(graft, 1);
    pump.feed(DONE.as_bytes());
    assert!(pump.is_empty());
    let graft = Graft::prefill(pump.delivered().unwrap());
    pump.carry_on(graft, 1);
    let (out, _) = pass(pump, format!("{}{END}", text(" two")).as_bytes(), 9);
    assert!(out.ends_with(DONE), "{out}");
}

fn with_end(text: &str, why: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{why}}}]}}\n\n"
    )
}

#[test]
fn an_end_in_every_event_is_none() {
    let stream = [with_end("a", "\"stop\""), with_end("b", "\"stop\"")].concat();
    let mut pump = Pump::new(form());
    pump.feed(stream.as_bytes());
    assert!(!pump.has_finished() && !pump.is_settled() && !pump.is_whole());
    pump.end();
    assert_eq!(pump.stop(), Some(&Stop::Truncated));
    let (out, pump) = pass(Pump::new(form()), format!("{stream}{DONE}").as_bytes(), 9);
    assert!(out.ends_with(DONE) && pump.stop() == Some(&Stop::Done));
    let (_, pump) = pass(Pump::new(form()), with_end("a", "\"null\"").as_bytes(), 9);
    assert_eq!(pump.stop(), Some(&Stop::Truncated));
}

#[test]
fn an_end_with_the_last_content_is_one() {
    let stream = [text("a"), with_end("b", "\"stop\"")].concat();
    let mut pump = Pump::new(form());
    pump.feed(stream.as_bytes());
    assert!(pump.is_settled() && pump.is_whole());
    // The whole answer in one event.
    let (out, _) = pass(Pump::new(form()), with_end("b", "\"stop\"").as_bytes(), 9);
    assert!(out.ends_with(DONE));
}

#[test]
fn whoever_goes_on_had_not_ended() {
    let mut pump = Pump::new(form());
    pump.feed(format!("{}{END}", text("a")).as_bytes());
    assert!(pump.is_settled());
    pump.feed(text("b").as_bytes());
    assert!(!pump.is_settled() && !pump.is_whole());
}

#[test]
fn the_end_of_one_of_several_is_not_the_end() {
    let form = || Form {
        several: true,
        ..form()
    };
    let one = format!("{}{END}", text("a"));
    let mut pump = Pump::new(form());
    pump.feed(one.as_bytes());
    assert!(!pump.is_settled() && !pump.is_whole());
    let other = one.replace("\"index\":0", "\"index\":1");
    let (out, pump) = pass(Pump::new(form()), format!("{one}{other}").as_bytes(), 9);
    assert!(out.ends_with(DONE) && pump.stop() == Some(&Stop::Done));
    assert!(pump.delivered().is_none());
}

#[test]
fn memory_of_a_large_event_is_given_back() {
    let large = text(&"x".repeat(1 << 20));
    let mut pump = Pump::new(form());
    for half in large.as_bytes().chunks(large.len() / 2 + 1) {
        pump.feed(half);
    }
    assert!(pump.take().len() > 1 << 20);
    assert!(pump.out.capacity() <= KEPT && pump.splitter.capacity() <= 2 * KEPT);
}
