//! How events are written.

use super::*;

/// The payloads of a stream, by the rules for events: any line ending, lines joined.
fn payloads(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let line = |line: &str| -> Option<String> {
        let value = line.strip_prefix("data:")?;
        Some(value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    text.split_terminator("\n\n")
        .map(|event| {
            event
                .lines()
                .filter_map(line)
                .collect::<Vec<_>>()
                .join("\n")
        })
        .collect()
}

#[tokio::test]
async fn every_way_to_write_events_says_the_same() {
    for word in [
        "ok",
        "crlf",
        "cr",
        "no-space",
        "multi-line",
        "split",
        "split-utf8",
        "cr+no-space+multi-line+split",
        "multi-line+crlf+split-utf8",
    ] {
        let reply = stream(&format!("m+{word},chunks=8")).await;
        assert_eq!(reply.end, End::Complete, "{word}");
        let payloads = payloads(reply.text());
        assert_eq!(
            payloads.last().map(String::as_str),
            Some("[DONE]"),
            "{word}"
        );
        let content: String = payloads
            .iter()
            .filter_map(|payload| serde_json::from_str::<Value>(payload).ok())
            .filter_map(|value| Some(value["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
        assert_eq!(content, "Water finds its own level; 溢出 of", "{word}");
    }
}

#[tokio::test]
async fn every_shape_is_there() {
    let reply = stream("m+cr").await;
    assert!(!reply.text().contains('\n') && reply.text().ends_with("[DONE]\r\r"));
    let reply = stream("m+no-space").await;
    assert!(reply.text().contains("data:{") && !reply.text().contains("data: "));
    let reply = stream("a,id=1+multi-line").await;
    assert!(reply.text().contains(",\ndata: \"choices\":["));
    assert!(reply.text().contains(r#""model":"a,id=1+multi-line","#));
}

#[tokio::test]
async fn a_chunk_may_end_inside_a_character() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let body = r#"{"model":"m+split-utf8","stream":true}"#;
    let head = "POST /chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: ";
    client
        .send(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes())
        .await;
    let mut raw = Vec::new();
    client.stream.read_to_end(&mut raw).await.unwrap();
    let first_byte_then_chunk_end = b"\" \xe6\r\n";
    assert!(memchr::memmem::find(&raw, first_byte_then_chunk_end).is_some());
}

#[tokio::test]
async fn comments_keep_the_beat() {
    let reply = stream("m+comments,first-token=95ms,beat=20ms").await;
    assert_eq!(reply.text().matches(": keep-alive").count(), 7);
}

#[tokio::test]
async fn one_event_may_be_large() {
    for word in ["size=1m", "size=1m+multi-line", "size=1m+no-space+crlf"] {
        let reply = stream(&format!("m+{word},chunks=1")).await;
        assert!(reply.body.len() > 1 << 20 && reply.end == End::Complete);
    }
    assert_eq!(chat("m+big").await.json()["usage"]["completion_tokens"], 16);
    assert!(stream("m+big,chunks=1").await.content().len() == 2 << 20);
}
