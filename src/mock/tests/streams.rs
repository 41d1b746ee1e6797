use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use super::*;

#[tokio::test]
async fn a_good_stream_has_role_content_finish_usage_and_done() {
    let reply = stream("a/b+chunks=3").await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let values: Vec<Value> = reply.values().collect();
    assert_eq!(values.len(), 6);
    assert!(values.iter().all(|value| value["model"] == "a/b+chunks=3"));
    assert_eq!(values[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(reply.content(), "Water finds its");
    assert_eq!(values[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(values[5]["choices"].as_array().unwrap().len(), 0);
    assert_eq!(values[5]["usage"]["completion_tokens"], 3);
    assert_eq!(reply.events().last(), Some(&"[DONE]"));
    let whole = chat("m+chunks=3").await.json();
    assert_eq!(
        whole["choices"][0]["message"]["content"],
        reply.content().as_str()
    );
}

#[tokio::test]
async fn usage_comes_only_when_asked_and_where_told() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let body = r#"{"stream":true,"model":"m"}"#;
    let reply = client.post("/v1/chat/completions", body).await;
    assert!(!reply.text().contains("usage"));
    let body = r#"{"stream":true,"model":"m+usage-always"}"#;
    let reply = client.post("/v1/chat/completions", body).await;
    assert_eq!(reply.text().matches(r#""usage":{"#).count(), 1);
    let counts = [
        ("m", 1),
        ("m+usage-every", 6),
        ("m+usage-finish", 1),
        ("m+usage-twice", 2),
        ("m+usage-groq", 1),
        ("m+usage-never", 0),
    ];
    for (model, count) in counts {
        let reply = client.stream(&format!("{model}+chunks=4")).await;
        assert_eq!(
            reply.text().matches(r#""usage":{"#).count(),
            count,
            "{model}"
        );
        assert!(
            reply
                .events()
                .iter()
                .all(|e| *e == "[DONE]" || serde_json::from_str::<Value>(e).is_ok())
        );
    }
    assert!(
        client
            .stream("m+usage-groq")
            .await
            .text()
            .contains(r#""x_groq":{"usage":{"#)
    );
}

#[tokio::test]
async fn a_stream_is_cut_where_told() {
    let ends = [
        ("cut", End::Fin),
        ("cut-reset", End::Reset),
        ("cut-inside", End::Fin),
    ];
    for (word, end) in ends {
        let reply = stream(&format!("m+{word}+chunks=6,at=2")).await;
        assert_eq!(
            (reply.content().as_str(), reply.end),
            ("Water finds", end),
            "{word}"
        );
        assert!(!reply.text().contains("[DONE]"));
        assert_eq!(reply.text().ends_with("\n\n"), word != "cut-inside");
    }
    let reply = stream("m+cut,at=0").await;
    assert_eq!((reply.content().as_str(), reply.events().len()), ("", 1));
}

#[tokio::test]
async fn a_stream_stalls_for_ever_or_for_a_while() {
    let reply = stream("m+stall+at=1").await;
    assert_eq!(
        (reply.content().as_str(), reply.end),
        ("Water", End::Silent)
    );
    let reply = stream("m+stall=20ms+at=1+chunks=2").await;
    assert_eq!(
        (reply.content().as_str(), reply.end),
        ("Water finds", End::Complete)
    );
}

#[tokio::test]
async fn a_malformed_event_stands_between_good_ones() {
    let reply = stream("m+malformed+chunks=4").await;
    let broken = |event: &&str| *event != "[DONE]" && serde_json::from_str::<Value>(event).is_err();
    assert_eq!(reply.events().into_iter().filter(broken).count(), 1);
    assert_eq!(reply.content(), "Water finds its own");
    assert_eq!(reply.end, End::Complete);
}

#[tokio::test]
async fn errors_and_ends_are_missing_or_misplaced() {
    let reply = stream("m+no-done").await;
    assert_eq!(reply.end, End::Complete);
    assert!(!reply.text().contains("[DONE]"));
    let reply = stream("m+error-200").await;
    assert!(reply.values().next().unwrap()["error"].is_object());
    let reply = stream("m+error-mid+at=2").await;
    assert_eq!(reply.content(), "Water finds");
    assert!(reply.values().last().unwrap()["error"].is_object());
    let reply = stream("m+base-resp").await;
    assert_eq!(
        reply.values().next().unwrap()["base_resp"]["status_code"],
        1002
    );
    let reply = stream("m+empty").await;
    assert_eq!((reply.content().as_str(), reply.end), ("", End::Complete));
    assert!(reply.text().contains(r#""finish_reason":"stop""#));
    let reply = stream("m+empty+finish=length").await;
    assert!(reply.text().contains(r#""finish_reason":"length""#));
    let reply = stream("m+nothing").await;
    assert_eq!(
        (reply.status(), reply.body.len(), reply.end),
        (200, 0, End::Complete)
    );
}

#[tokio::test]
async fn comments_come_before_content_or_for_ever() {
    let reply = stream("m+comments").await;
    assert!(
        reply
            .text()
            .starts_with(": keep-alive\n\n: keep-alive\n\n: keep-alive\n\ndata: ")
    );
    let reply = stream("m+comments+first-token=250ms").await;
    assert_eq!(reply.text().matches(": keep-alive").count(), 5);
    for streams in [true, false] {
        let mock = mock(Behaviour::default()).await;
        let mut client = Client::new(&mock).await;
        let body = format!(r#"{{"model":"endless-comments,beat=1ms","stream":{streams}}}"#);
        let endless = client.post("/v1/chat/completions", &body);
        assert!(timeout(Duration::from_millis(300), endless).await.is_err());
        assert!(client.rest.len() > 500 && !client.rest.contains(&b'{'));
    }
}

#[tokio::test]
async fn events_come_in_odd_shapes() {
    let reply = stream("m+crlf+chunks=2").await;
    assert_eq!(reply.text().matches("\r\n\r\n").count(), 6);
    assert!(!reply.text().replace("\r\n", "").contains('\n'));
    let reply = stream("m+split+chunks=2").await;
    assert_eq!(reply.content(), "Water finds");
    let reply = stream("m+gzip+chunks=2").await;
    let mut plain = String::new();
    flate2::read::GzDecoder::new(reply.body.as_slice())
        .read_to_string(&mut plain)
        .unwrap();
    assert!(plain.ends_with("data: [DONE]\n\n"));
    let reply = stream("m+size=1m+chunks=1").await;
    assert_eq!(reply.content().len(), 1 << 20);
}

#[tokio::test]
async fn reasoning_and_tool_calls_come_in_fragments() {
    let reply = stream("m+reasoning").await;
    assert!(
        reply
            .text()
            .contains(r#""reasoning_content":"\u4e2d\u6587, ""#)
    );
    assert!(reply.text().contains(r"a\/b and \ud83d\ude00"));
    let reply = stream("m+tools").await;
    let mut arguments = [String::new(), String::new()];
    for value in reply.values() {
        let call = &value["choices"][0]["delta"]["tool_calls"][0];
        let Some(index) = call["index"].as_u64() else {
            continue;
        };
        arguments[index as usize] += call["function"]["arguments"].as_str().unwrap();
    }
    assert_eq!(
        arguments,
        [r#"{"city": "Paris"}"#, r#"{"zone": "Europe/Paris"}"#]
    );
    assert!(reply.text().contains(r#""finish_reason":"tool_calls""#));
}

#[tokio::test]
async fn a_stream_keeps_its_pace() {
    let began = Instant::now();
    stream("m+pace=30ms,chunks=5").await;
    assert!(began.elapsed() >= Duration::from_millis(120));
    let began = Instant::now();
    let reply = stream("m+slow-first-token=150ms").await;
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(reply.end, End::Complete);
}

#[tokio::test]
async fn completions_stream_text() {
    let mock = mock(Behaviour::default().chunks(2)).await;
    let mut client = Client::new(&mock).await;
    let reply = client
        .post("/completions", r#"{"model":"m","stream":true}"#)
        .await;
    let text: String = reply
        .values()
        .map(|v| v["choices"][0]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "Water finds");
    assert_eq!(reply.events().last(), Some(&"[DONE]"));
}

#[tokio::test]
async fn a_stamp_is_when_its_chunk_was_written() {
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let before = now();
    let reply = stream("m+stamp+chunks=3,pace=20ms").await;
    let after = now();
    let said: Vec<Value> = reply.values().collect();
    let said = said.iter().filter_map(|value| {
        let text = value["choices"][0]["delta"]["content"].as_str()?;
        (!text.is_empty()).then(|| text.parse().unwrap())
    });
    let stamps: Vec<u128> = said.collect();
    assert_eq!(stamps.len(), 3);
    let apart = Duration::from_millis(20).as_nanos();
    assert!(stamps.windows(2).all(|two| two[1] - two[0] >= apart));
    assert!(before <= stamps[0] && stamps[2] <= after);
    let whole = chat("m+stamp+chunks=3").await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], "Water finds its");
}
