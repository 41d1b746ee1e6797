//! However a provider writes its events and however they are cut: the same bytes come out, but for
//! the model's name; and what is no event at all is left out.

use crate::harness::answers::{DONE, event, finish, last, part};
use crate::harness::streaming::*;
use crate::harness::*;

/// A stream in which `MODEL` stands where the name does.
struct Written(String);

impl Written {
    fn sent(&self, name: &str) -> String {
        self.0.replace("MODEL", name)
    }

    fn seen(&self) -> String {
        self.0.replace("MODEL", "\"acme/chat\"")
    }
}

const PLAIN: &str = concat!(
    "data: {\"id\":\"1\",\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"id\":\"1\",\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"model\\\":\\\"one-chat\\\" 中 🦀 \\u4e2d\"}}]}\n\n",
    ": keep-alive\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}],\"id\":\"1\",\"model\" :\tMODEL }\n\n",
    "data: {\"id\":\"1\",\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

/// The streams one after the other, each in pieces of each of these sizes.
async fn only_the_model_changes(streams: &[(String, String)], splits: &[usize]) {
    let sent: Vec<_> = streams.iter().map(|(sent, _)| sent.clone()).collect();
    let sizes = splits.to_vec();
    let one = Provider::start(move |n, _| {
        let text = sent[n / sizes.len()].as_bytes();
        streamed(text.chunks(sizes[n % sizes.len()]))
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    for (sent, seen) in streams {
        for split in splits {
            let text = gateway.chat(ASK_STREAM).await.expect(200).text();
            assert!(
                text == *seen,
                "in pieces of {split}:\n{}\nbecame\n{}",
                &sent[..sent.len().min(3000)],
                &text[..text.len().min(3000)]
            );
        }
    }
}

/// Under each spelling of its name the model becomes the canonical one.
fn named(template: &str) -> Vec<(String, String)> {
    let written = Written(template.into());
    ["\"one-chat\"", "\"one\\u002dchat\"", "\"\""]
        .map(|name| (written.sent(name), written.seen()))
        .into()
}

/// Under its usual name alone.
fn plainly(template: impl Into<String>) -> (String, String) {
    let written = Written(template.into());
    (written.sent("\"one-chat\""), written.seen())
}

const CUTS: [usize; 4] = [1 << 24, 64, 7, 1];

#[tokio::test]
async fn whatever_ends_a_line() {
    let crlf = PLAIN.replace('\n', "\r\n");
    let cr = PLAIN.replace('\n', "\r");
    // An event's lines in one way, the next event's in another.
    let mut turn = 0;
    let mixed: String = events(PLAIN)
        .iter()
        .map(|event| {
            turn += 1;
            event.replace('\n', ["\n", "\r\n", "\r"][turn % 3])
        })
        .collect();
    only_the_model_changes(&[crlf, cr, mixed].map(plainly), &CUTS).await;
}

#[tokio::test]
async fn whatever_stands_around_the_data() {
    let dense = PLAIN.replace("data: ", "data:");
    let spaced = PLAIN.replace("data: {", "data:   {");
    let fields = PLAIN.replace("data: {", "event: chunk\nid: 7\nretry: 10\nx: y\ndata: {");
    let commented = PLAIN.replace("data: {", ":inside\ndata: {");
    let trailing = PLAIN.replace("}\n\n", "}\nid: 8\n\n");
    let mut apart = PLAIN.replace("\n\ndata", "\n\n\n\ndata");
    apart.push('\n');
    only_the_model_changes(&[dense, spaced, fields, trailing].map(plainly), &CUTS).await;
    // What goes before the commit or after the end may be left out; no event may.
    let one = Provider::start(move |n, _| {
        let text = [&commented, &apart][n].replace("MODEL", "\"one-chat\"");
        streamed(text.as_bytes().chunks(7))
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let bare = plainly(PLAIN).1.replace(": keep-alive\n\n", "");
    let bare: Vec<_> = bare.lines().filter(|line| !line.is_empty()).collect();
    for _ in 0..2 {
        let text = gateway.chat(ASK_STREAM).await.expect(200).text();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(':'))
            .collect();
        assert_eq!(lines, bare);
    }
}

#[tokio::test]
async fn a_byte_order_mark_hides_no_event() {
    let one = Provider::start(|n, _| {
        let text = plainly(format!("\u{feff}{PLAIN}")).0;
        streamed(text.as_bytes().chunks([1 << 20, 2, 1][n]))
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    for _ in 0..3 {
        let text = gateway.chat(ASK_STREAM).await.expect(200).text();
        assert_eq!(text.trim_start_matches('\u{feff}'), plainly(PLAIN).1);
    }
}

#[tokio::test]
async fn leading_blank_lines_and_comments_hide_no_event() {
    let comment = ": keep-alive\n\n".repeat(3);
    let one = Provider::start(move |n, _| {
        let before = ["\n\n\n", "\r\n\r\n", "\n: keep-alive\n\n\n", &comment][n];
        let text = format!("{before}{}", plainly(PLAIN).0);
        streamed(text.as_bytes().chunks(5))
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    for _ in 0..4 {
        let text = gateway.chat(ASK_STREAM).await.expect(200).text();
        assert_eq!(text.trim_start_matches(['\r', '\n']), plainly(PLAIN).1);
    }
}

#[tokio::test]
async fn wherever_the_model_stands_and_however_it_is_spelled() {
    let escaped = PLAIN.replace("\"model\"", "\"mod\\u0065l\"");
    let last = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"model\":\"one-chat\"}}],\"x\":{\"model\":\"one-chat\"},\"model\":MODEL}\n\ndata: [DONE]\n\n";
    for template in [PLAIN, &escaped, last] {
        only_the_model_changes(&named(template), &[1 << 20, 3]).await;
    }
}

#[tokio::test]
async fn data_of_several_lines() {
    let content = "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]";
    let templates = [
        format!("data: {{\"id\":\"1\",\ndata: \"model\":MODEL,\ndata: {content}}}\n\n{DONE}"),
        format!(
            "data: {{\ndata:   \"model\"\ndata: :\ndata:MODEL\ndata: , {content}\ndata: }}\n\n{DONE}"
        ),
        format!(
            "data: {{{content},\r\nid: 3\r\ndata: \"model\": MODEL\r\ndata\r\ndata: }}\r\n\r\n{DONE}"
        ),
        format!("data: {{{content},\n: in between\ndata: \"mod\\u0065l\": MODEL}}\n\n{DONE}"),
    ];
    only_the_model_changes(&templates.map(plainly), &CUTS).await;
}

#[tokio::test]
async fn every_chunk_has_the_canonical_name() {
    let names = ["one-chat", "one-chat-0925", "ONE-CHAT", "acme/chat", "x"];
    let sent: String = names.iter().map(|name| event(name, "a")).collect();
    let sent = sent + &finish("else") + DONE;
    let seen = event("acme/chat", "a").repeat(names.len()) + &finish("acme/chat") + DONE;
    only_the_model_changes(&[(sent, seen)], &[1 << 20, 9]).await;
}

#[tokio::test]
async fn a_stream_that_names_no_model_stays_without_one() {
    let sent = PLAIN.replace("\"model\":MODEL,", "");
    let sent = sent.replace(",\"model\" :\tMODEL", "");
    assert!(!sent.contains("MODEL"));
    only_the_model_changes(&[(sent.clone(), sent)], &CUTS).await;
}

#[tokio::test]
async fn numbers_escapes_and_fields_nobody_knows() {
    let template = concat!(
        "data: {\"model\":MODEL,\"choices\":[{\"delta\":{\"reasoning_content\":\"\\u4e2d\\ud83d\\ude00\\/\\n\",\"content\":null},\"index\":0,\"logprobs\":{\"x\":-0.0}}],\"n\":[1.0,1e400,-0,12345678901234567890]}\n\n",
        "data: {\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_\\u0031\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
        "data: {\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"mo\"}}]}}],\"dup\":1,\"dup\":2}\n\n",
        "data: {\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{\"reasoning_details\":[{\"model\":\"one-chat\"}],\"content\":\"\"}}],\"usage\":null,\"\\u0078\":\"\\u007f\u{7f}\u{2028}\"}\n\n",
        "data: {\"model\":MODEL,\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"provider\":{\"a\":{}}}\n\n",
        "data: [DONE]\n\n",
    );
    only_the_model_changes(&[plainly(template)], &CUTS).await;
}

#[tokio::test]
async fn an_event_of_a_mebibyte() {
    let long = "long \\u4e2d 中".repeat(70_000);
    assert!(long.len() > 1 << 20);
    let choices = format!("\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{long}\"}}}}]");
    let streams = [
        plainly(format!("data: {{\"model\":MODEL,{choices}}}\n\n{DONE}")),
        plainly(format!("data: {{{choices},\"model\":MODEL}}\n\n{DONE}")),
        // After the commit as well.
        plainly(format!(
            "{}data: {{{choices},\"model\":MODEL}}\n\n{DONE}",
            events(PLAIN)[1]
        )),
    ];
    only_the_model_changes(&streams, &[1 << 24, 8192, 1000]).await;
}

/// None of these is an event of a chat, and no client could read one.
const MALFORMED: [&[u8]; 8] = [
    b"data: {\"id\":\"1\",\"model\":\"one-chat\",\"choices\":[{\"delta\":{\"content\":\"BAD\n\n",
    b"data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"BAD\"}}]}}\n\n",
    b"data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"BAD\"}]}\n\n",
    b"data: BAD\n\n",
    b"data: {'BAD':1}\n\n",
    b"event: chunk\ndata: {BAD}\nid: 5\n\n",
    b"data:{\"choices\":[{\"delta\":{\"content\":\"BAD \xff\xc3\"}}]}\r\n\r\n",
    b"data: {\"choices\":[\ndata: BAD]}\n\n",
];

#[tokio::test]
async fn a_malformed_event_is_left_out_and_the_rest_goes_on() {
    for bad in MALFORMED {
        let good = |n: usize| event("one-chat", &format!("word{n}")).into_bytes();
        let sent = [
            good(1),
            bad.to_vec(),
            good(2),
            finish("one-chat").into_bytes(),
            DONE.into(),
        ];
        let one = Provider::always(streamed(sent)).await;
        let gateway = Gateway::start(&Config::one(&one).logged()).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        let shown = String::from_utf8_lossy(bad);
        let expected = [event("acme/chat", "word1"), whole("word2")].concat();
        assert_eq!(reply.text(), expected, "{shown}");
        let line = gateway.tells("ok").await;
        assert_eq!(line["gap"], true, "{shown}: {line}");
        gateway
            .counts("overspill_stream_gaps_total", &[], 1.0)
            .await;
    }
}

#[tokio::test]
async fn before_content_a_malformed_event_is_left_out_too() {
    for bad in MALFORMED {
        let good = answers::stream_reply("one-chat", "hello");
        let mut acts = vec![good[0].clone(), part(bad)];
        acts.extend_from_slice(&good[1..]);
        let one = Provider::always(acts).await;
        let two = second().await;
        let gateway = Gateway::start(&Config::beside(&one, &two).logged()).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        let shown = String::from_utf8_lossy(bad);
        assert_eq!(reply.text(), whole("hello"), "{shown}");
        assert_eq!(reply.get("x-overspill-provider"), Some("one"), "{shown}");
        let line = gateway.tells("ok").await;
        assert_eq!(line["gap"], true, "{shown}: {line}");
    }
}

#[tokio::test]
async fn a_stream_of_nothing_but_malformed_events_is_no_answer() {
    let bad = MALFORMED.iter().map(|bad| part(*bad));
    let one = Provider::always(begun([""; 0], bad.chain([part(DONE), last()]))).await;
    let two = second().await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.text(), whole("hello"));
    assert_eq!(two.count(), 1);
}

#[tokio::test]
async fn an_unbroken_stream_has_no_gap() {
    let one = Provider::always(streamed([plainly(PLAIN).0])).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let line = gateway.tells("ok").await;
    assert_ne!(line["gap"], true, "{line}");
    assert!(
        !gateway
            .metrics()
            .await
            .lines()
            .any(|line| line.starts_with("overspill_stream_gaps_total") && !line.ends_with(" 0"))
    );
}
