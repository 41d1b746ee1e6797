//! Whole answers: judged, their model spliced, every other byte as it came.

use crate::bodies::gzip;
use crate::harness::answers::{head, http, last, part, sse_head};
use crate::harness::wire::chunk;
use crate::harness::*;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::Semaphore;

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_whole_answer_keeps_every_byte_but_the_models_name() {
    for template in [
        "{\"id\":\"1\",\"model\":MODEL,\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"reasoning_content\":\"\\u4e2d\\ud83d\\ude00\\/\\n\",\"content\":\"a\\u0062\"},\"finish_reason\":\"stop\"}]}",
        "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"reasoning_content\":null,\"content\":\"\\\"model\\\":\\\"one-chat\\\"\",\"model\":\"one-chat\"}}],\n \"model\" : MODEL,\"x\":[1.0,1e400,-0,12345678901234567890] }\n",
        "\n\n\n {\"model\":MODEL,\"choices\":[{\"index\":0,\"message\":{\"reasoning_content\":\"\",\"content\":\"x\"}}],\"dup\":1,\"dup\":2}",
        "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"no model in here\"}}]}",
    ] {
        let body = template.replace("MODEL", "\"one-chat\"");
        let provider = Provider::always(vec![json_reply(200, &body)]).await;
        let gateway = Gateway::start(&Config::one(&provider)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.text(), template.replace("MODEL", "\"acme/chat\""));
        assert_eq!(
            reply.get("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
        assert_eq!(reply.get("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn however_the_answer_is_framed_it_comes_whole() {
    let body = chat("one-chat", &"hello ".repeat(20_000));
    let chunked: Vec<u8> = body.as_bytes().chunks(999).flat_map(chunk).collect();
    let in_chunks = [
        &head(200, &[JSON, ("transfer-encoding", "chunked")]),
        &chunked[..],
    ]
    .concat();
    let until_close = [&head(200, &[JSON]), body.as_bytes()].concat();
    let interim = [
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
        &http(200, &[JSON], &body)[..],
    ]
    .concat();
    for acts in [
        vec![Act::Write(in_chunks), last()],
        vec![Act::Write(until_close), Act::Close],
        vec![Act::Write(interim)],
    ] {
        let provider = Provider::always(acts).await;
        let gateway = Gateway::start(&Config::one(&provider)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.text(), body.replace("\"one-chat\"", "\"acme/chat\""));
        assert_eq!(
            reply.get("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn answers_around_and_beyond_one_mebibyte_come_whole() {
    for size in [(1 << 20) - 200, 1 << 20, (1 << 20) + 200, 2 << 20, 30 << 20] {
        let body = chat("one-chat", &"0123456789abcdef".repeat(size / 16));
        let provider = Provider::always(vec![json_reply(200, &body)]).await;
        let gateway = Gateway::start(&Config::one(&provider)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        let expected = body.replace("\"one-chat\"", "\"acme/chat\"");
        assert!(
            reply.body == expected.as_bytes(),
            "{size}: {} bytes came",
            reply.body.len()
        );
        if size >= 2 << 20 {
            assert_eq!(reply.get("transfer-encoding"), Some("chunked"));
        }
        assert!(
            gateway.peak_memory() < 64 << 20,
            "{size}: {} bytes",
            gateway.peak_memory()
        );
    }
}

#[tokio::test]
async fn a_large_answer_cut_short_is_not_passed_off_as_whole() {
    let body = chat("one-chat", &"x".repeat(3 << 20));
    let mut cut = http(200, &[JSON], &body);
    cut.truncate(cut.len() - 100_000);
    let provider = Provider::always(vec![Act::Write(cut), Act::Close]).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let reply = gateway.chat(ASK).await;
    assert!(
        reply.status != 200 || reply.broken.is_some(),
        "{:?}",
        reply.head
    );
}

#[tokio::test]
async fn an_answer_that_is_encoded_all_the_same_is_inflated() {
    let body = chat("one-chat", &"hello ".repeat(20_000));
    for (coding, bytes) in [
        ("gzip", gzip(body.as_bytes())),
        ("zstd", zstd::encode_all(body.as_bytes(), 1).unwrap()),
        ("br", crate::bodies::brotli_of(body.as_bytes())),
    ] {
        let encoded = http(200, &[JSON, ("content-encoding", coding)], bytes);
        let provider = Provider::always(vec![Act::Write(encoded)]).await;
        let gateway = Gateway::start(&Config::one(&provider)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(provider.only().all("accept-encoding"), ["identity"]);
        assert_eq!(
            reply.text(),
            body.replace("\"one-chat\"", "\"acme/chat\""),
            "{coding}"
        );
        assert_eq!(reply.get("content-encoding"), None);
        assert_eq!(
            reply.get("content-length"),
            Some(reply.body.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn an_encoded_error_is_read_too() {
    let body = gzip(answers::failure_body("too hot").as_bytes());
    let encoded = http(400, &[JSON, ("content-encoding", "gzip")], body);
    let provider = Provider::always(vec![Act::Write(encoded)]).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let reply = gateway.chat(ASK).await.expect(400);
    assert_eq!(reply.text(), answers::failure_body("too hot"));
    assert_eq!(reply.get("content-encoding"), None);
}

#[tokio::test]
async fn an_encoded_stream_is_inflated_event_by_event() {
    let gate = Arc::new(Semaphore::new(0));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let headers = [
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
        ("transfer-encoding", "chunked"),
    ];
    let mut acts = vec![Act::Write(head(200, &headers))];
    for n in 0..5 {
        encoder
            .write_all(answers::event("one-chat", &format!("word{n}")).as_bytes())
            .unwrap();
        encoder.flush().unwrap();
        acts.push(part(std::mem::take(encoder.get_mut())));
        acts.push(Act::Gate(gate.clone()));
    }
    encoder.write_all(answers::DONE.as_bytes()).unwrap();
    acts.extend([part(encoder.finish().unwrap()), last()]);
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let answer = conn.head().await;
    assert_eq!(answer.get("content-encoding"), None);
    let mut framing = answer.framing("POST");
    for n in 0..5 {
        let word = format!("word{n}");
        let seen = conn.body_until(&mut framing, &word).await;
        assert_eq!(seen, answers::event("acme/chat", &word));
        gate.add_permits(1);
    }
    assert_eq!(
        conn.rest(answer, "POST").await.expect(200).text(),
        answers::DONE
    );
}

#[tokio::test]
async fn a_bomb_from_a_provider_is_bounded_in_memory() {
    let mut bomb = Vec::new();
    let plain = chat("one-chat", "hello").replace("hello", "HERE");
    let (start, end) = plain.split_once("HERE").unwrap();
    let level = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(&mut bomb, level);
    encoder.write_all(start.as_bytes()).unwrap();
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(b'a'), 200 << 20),
        &mut encoder,
    )
    .unwrap();
    encoder.write_all(end.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let encoded = http(200, &[JSON, ("content-encoding", "gzip")], bomb);
    let provider = Provider::always(vec![Act::Write(encoded)]).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let reply = gateway.chat(ASK).await;
    // Passed on as it streams, or refused as too much; never gathered.
    assert!(
        reply.status == 200 || reply.status == 502,
        "{}",
        reply.status
    );
    assert!(
        gateway.peak_memory() < 80 << 20,
        "{} bytes",
        gateway.peak_memory()
    );
}

#[tokio::test]
async fn a_stream_asked_for_but_answered_whole_is_passed_on() {
    let body = chat("one-chat", "hello");
    let provider = Provider::always(vec![json_reply(200, &body)]).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.json()["model"], "acme/chat");
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "hello");
}

#[tokio::test]
async fn embeddings_have_their_model_renamed_as_well() {
    let body = "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.1,-0.0,1e-9]}],\"model\":\"one-chat\",\"usage\":{\"prompt_tokens\":1,\"total_tokens\":1}}";
    let provider = Provider::always(vec![json_reply(200, body)]).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let request = Request::post("/v1/embeddings", r#"{"model":"acme/chat","input":"x"}"#);
    let reply = gateway.ask(request).await.expect(200);
    assert_eq!(reply.text(), body.replace("\"one-chat\"", "\"acme/chat\""));
}

#[tokio::test]
async fn a_provider_that_redirects_is_not_followed() {
    let elsewhere = Provider::well().await;
    let location = format!("http://{}/v1/chat/completions", elsewhere.address);
    let moved = http(307, &[("location", location.as_str())], "");
    let provider = Provider::always(vec![Act::Write(moved)]).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let reply = gateway.chat(ASK).await;
    assert!(reply.status >= 400, "{}", reply.status);
    assert!(reply.json()["error"]["message"].is_string());
    assert_eq!(reply.get("location"), None);
    assert_eq!(elsewhere.connections().len(), 0);
}

#[tokio::test]
async fn an_sse_answer_to_no_stream_does_not_break_the_gateway() {
    let acts = vec![
        sse_head(),
        part(answers::event("one-chat", "hello")),
        part(answers::DONE),
        last(),
    ];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let reply = gateway.chat(ASK).await;
    assert!(
        reply.status == 200 || reply.status >= 500,
        "{}",
        reply.status
    );
    assert!(!reply.body.is_empty());
}
