//! Until a stream has said something, nothing of it is seen, and whatever goes wrong is mended.

use crate::harness::answers::{DONE, event, finish, last, part};
use crate::harness::streaming::*;
use crate::harness::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// No choices and no usage: what one vendor sends about its filters before it answers.
const PREAMBLE: &str = "data: {\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"one-chat\",\"prompt_filter_results\":[{\"prompt_index\":0}],\"choices\":[]}\n\n";
const NAMED_PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const COMMENT: &str = ": OPENROUTER PROCESSING\n\n";

fn canonical(text: &str) -> String {
    text.replace("\"one-chat\"", "\"acme/chat\"")
}

/// Sends the request and waits until the provider has written this many pieces.
async fn asked(gateway: &Gateway, provider: &Provider, pieces: usize) -> Conn {
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    until("the provider writes", ms(5000), || {
        provider.written().len() == pieces
    })
    .await;
    conn
}

#[tokio::test]
async fn not_even_the_head_comes_before_the_first_content() {
    let gate = Arc::new(Semaphore::new(0));
    let opening = [
        COMMENT.to_string(),
        role("one-chat"),
        PREAMBLE.into(),
        COMMENT.into(),
        NAMED_PING.into(),
    ];
    let kept = [role("one-chat"), PREAMBLE.into(), NAMED_PING.into()];
    let mut acts = begun(&opening, [Act::Gate(gate.clone())]);
    let rest = [
        event("one-chat", "hello"),
        finish("one-chat"),
        DONE.to_string(),
    ];
    acts.extend(rest.iter().map(part));
    acts.push(last());
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = asked(&gateway, &provider, 1 + opening.len()).await;
    silent(&mut conn, ms(400)).await;
    gate.add_permits(1);
    let reply = conn.reply("POST").await.expect(200);
    let expected = canonical(&[kept.concat(), rest.concat()].concat());
    assert_eq!(reply.text(), expected);
}

/// The provider sends no more until the client has the event: only the event can have committed.
async fn commits(events: Vec<String>) {
    for event in events {
        let gate = Arc::new(Semaphore::new(0));
        let sent = [role("one-chat"), event.clone()];
        let mut acts = begun(&sent, [Act::Gate(gate.clone())]);
        acts.extend([part(finish("one-chat")), part(DONE), last()]);
        let provider = Provider::always(acts).await;
        let gateway = Gateway::start(&Config::one(&provider)).await;
        let mut conn = asked(&gateway, &provider, 3).await;
        let head = within(&event, ms(3000), conn.head()).await;
        assert_eq!(head.status, 200, "{event}");
        let seen = conn.body_until(&mut head.framing("POST"), "WORD").await;
        assert_eq!(seen, canonical(&sent.concat()));
        gate.add_permits(1);
    }
}

#[tokio::test]
async fn text_and_reasoning_commit() {
    let deltas = [
        "{\"content\":\"WORD\"}",
        "{\"content\":\" \",\"x\":\"WORD\"}",
        "{\"content\":null,\"reasoning_content\":\"WORD\"}",
        "{\"content\":\"\",\"reasoning\":\"WORD\"}",
        "{\"refusal\":\"WORD\"}",
    ];
    commits(deltas.map(|d| chunk_of("one-chat", d, "null")).to_vec()).await;
}

#[tokio::test]
async fn a_tool_call_and_a_telling_finish_commit() {
    let call = "{\"tool_calls\":[{\"index\":0,\"id\":\"WORD\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}";
    commits(vec![
        chunk_of("one-chat", call, "null"),
        chunk_of("one-chat", "{\"x\":\"WORD\"}", "\"length\""),
        chunk_of("one-chat", "{\"x\":\"WORD\"}", "\"content_filter\""),
    ])
    .await;
}

/// The second provider's stream and nothing of the first's, each asked once.
async fn goes_unseen(acts: Vec<Act>) {
    let one = Provider::always(acts).await;
    let two = second().await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
    assert_eq!(reply.get("x-overspill-attempts"), Some("2"));
    assert_eq!(reply.text(), whole("hello"));
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[tokio::test]
async fn a_finish_that_says_nothing_does_not_commit() {
    for why in ["\"stop\"", "\"error\""] {
        for delta in ["{}", "{\"content\":\"\"}"] {
            let end = chunk_of("one-chat", delta, why);
            goes_unseen(streamed([role("one-chat"), end, DONE.into()])).await;
        }
    }
}

#[tokio::test]
async fn when_all_are_empty_the_last_is_delivered_as_it_is() {
    let empty = |model: &str| [role(model), finish(model), DONE.to_string()];
    let one = Provider::always(streamed(empty("one-chat"))).await;
    let two = Provider::always(streamed(empty("two-chat"))).await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
    assert_eq!(reply.text(), empty("acme/chat").concat());
    assert_eq!((one.count(), two.count()), (1, 1));
}

const ERRORS: [&str; 7] = [
    "{\"error\":{\"message\":\"of the first: overloaded\",\"code\":503}}",
    "{\"error\":\"of the first: try again\"}",
    "{\"id\":\"g\",\"object\":\"chat.completion.chunk\",\"model\":\"one-chat\",\"provider\":\"p\",\"error\":{\"code\":502,\"message\":\"of the first\"},\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":\"error\"}]}",
    "{\"id\":\"x\",\"choices\":[],\"base_resp\":{\"status_code\":1039,\"status_msg\":\"of the first\"}}",
    "{\"id\":\"x\",\"choices\":null,\"base_resp\":{\"status_code\":1000,\"status_msg\":\"of the first\"}}",
    "[{\"error\":{\"code\":503,\"message\":\"of the first\",\"status\":\"UNAVAILABLE\"}}]",
    "{\"object\":\"error\",\"message\":\"of the first\",\"type\":\"InternalServerError\",\"code\":500}",
];

#[tokio::test]
async fn an_error_event_before_content_is_never_seen() {
    for error in ERRORS {
        goes_unseen(streamed([format!("data: {error}\n\n")])).await;
    }
}

#[tokio::test]
async fn nor_is_it_behind_a_preamble_nor_followed_by_done() {
    for error in ERRORS {
        let sent = [
            COMMENT.to_string(),
            role("one-chat"),
            format!("event: error\ndata: {error}\n\n"),
            DONE.into(),
        ];
        goes_unseen(streamed(sent)).await;
    }
}

#[tokio::test]
async fn a_stream_that_ends_before_content_goes_to_the_next() {
    for then in [
        vec![Act::Close],
        vec![Act::Reset],
        vec![last()],
        vec![part(DONE), last()],
        vec![part("data: {\"id\":\"of the fi"), Act::Close],
        vec![part("data: {\"id\":\"of the fi"), last()],
    ] {
        goes_unseen(begun([COMMENT], then.clone())).await;
        goes_unseen(begun([role("one-chat")], then)).await;
    }
}

/// The only provider's error, in a stream; what the client is told, and the reason in the log.
async fn judged(error: &str, status: u16, reason: &str) -> Reply {
    let one = Provider::always(streamed([role("one-chat"), format!("data: {error}\n\n")])).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let reply = gateway.chat(ASK_STREAM).await;
    assert_eq!(reply.status, status, "{error}: {}", reply.text());
    let kind = reply.get("content-type").unwrap();
    assert!(kind.starts_with("application/json"), "{kind}");
    assert!(reply.json()["error"].is_object(), "{}", reply.text());
    gateway.tells(reason).await;
    assert_eq!(one.count(), 1);
    reply
}

#[tokio::test]
async fn an_error_before_content_has_the_status_it_means() {
    let busy = "{\"error\":{\"message\":\"of the first\",\"code\":429}}";
    let reply = judged(busy, 429, "provider_rate_limited").await;
    assert!(reply.get("retry-after").is_some(), "{:?}", reply.head);
    assert_eq!(reply.text(), busy);
    let long = "{\"error\":{\"message\":\"This model's maximum context length is 10 tokens\",\"code\":\"context_length_exceeded\"}}";
    judged(long, 400, "provider_context_length").await;
    let key =
        "{\"error\":{\"message\":\"Incorrect API key provided: sk-one-upstream\",\"code\":401}}";
    let reply = judged(key, 502, "provider_auth").await;
    assert!(!reply.text().contains("sk-one"), "{}", reply.text());
}

#[tokio::test]
async fn a_callers_own_mistake_told_in_the_stream_goes_to_the_caller() {
    let error = "{\"error\":{\"message\":\"temperature is too high\",\"type\":\"invalid_request_error\",\"code\":400}}";
    let one = Provider::always(streamed([format!("data: {error}\n\n"), DONE.into()])).await;
    let two = second().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(400);
    assert_eq!(reply.text(), error);
    assert_eq!((one.count(), two.connections().len()), (1, 0));
}

#[tokio::test]
async fn a_server_error_in_the_stream_is_tried_once_more_before_a_later_tier() {
    let error = "data: {\"error\":{\"message\":\"of the first\",\"code\":500}}\n\n";
    let one = Provider::always(streamed([error])).await;
    let two = second().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.text(), whole("hello"));
    assert_eq!((one.count(), two.count()), (2, 1));
}

/// An event that opens an answer and weighs about a kibibyte.
fn heavy(n: usize) -> String {
    let delta = format!(
        "{{\"role\":\"assistant\",\"content\":\"\",\"n\":{n},\"x\":\"{}\"}}",
        "x".repeat(860)
    );
    chunk_of("one-chat", &delta, "null")
}

#[tokio::test]
async fn a_preamble_beyond_64_kib_commits() {
    let gate = Arc::new(Semaphore::new(0));
    let less: String = (0..55).map(heavy).collect();
    let more: String = (55..75).map(heavy).collect();
    assert!(less.len() < 60 * 1024 && less.len() + more.len() > 70 * 1024);
    let mut acts = begun([&less], [Act::Gate(gate.clone())]);
    acts.extend([part(&more), Act::Hang]);
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = asked(&gateway, &provider, 2).await;
    silent(&mut conn, ms(300)).await;
    gate.add_permits(1);
    let head = within("the head", ms(3000), conn.head()).await;
    assert_eq!(head.status, 200);
    let seen = conn
        .body_until(&mut head.framing("POST"), "\"n\":74,")
        .await;
    let expected = canonical(&[less, more].concat());
    assert!(expected.starts_with(&seen), "{seen}");
}

#[tokio::test]
async fn comments_are_not_held_and_so_never_commit() {
    let comments = COMMENT.repeat(8000);
    goes_unseen(begun([comments], [Act::Sleep(ms(50)), Act::Close])).await;
}
