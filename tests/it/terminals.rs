//! Every stream has one end, and it says what happened.

use crate::harness::answers::{DONE, event, finish, last, part};
use crate::harness::h2_client::H2Conn;
use crate::harness::streaming::*;
use crate::harness::*;

fn hello() -> String {
    event("one-chat", "hello")
}

fn good() -> [String; 2] {
    [hello(), finish("one-chat")]
}

async fn one_gateway(acts: Vec<Act>) -> (Provider, Gateway) {
    let one = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    (one, gateway)
}

#[tokio::test]
async fn a_done_that_the_provider_forgot_is_added() {
    for then in [
        vec![last()],
        vec![Act::Close],
        vec![Act::Sleep(ms(100)), Act::Reset],
    ] {
        let (_one, gateway) = one_gateway(begun(good(), then)).await;
        let mut conn = Conn::open(gateway.address).await;
        let reply = conn.ask(&Request::chat(ASK_STREAM)).await.expect(200);
        assert_eq!(reply.text(), whole("hello"));
        gateway.tells("ok").await;
        // A clean end: the connection is good for another request.
        conn.ask(&Request::chat(ASK_STREAM)).await.expect(200);
    }
}

#[tokio::test]
async fn a_last_event_without_its_blank_line_is_an_event_all_the_same() {
    for (sent, then) in [
        (good().concat().trim_end().to_string(), vec![last()]),
        (good().concat().trim_end().to_string(), vec![Act::Close]),
        (good().concat() + "data: [DONE]", vec![last()]),
        (good().concat() + "data: [DONE]\n", vec![Act::Close]),
    ] {
        let (_one, gateway) = one_gateway(begun([sent], then)).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        assert_eq!(reply.text().trim_end(), whole("hello").trim_end());
        gateway.tells("ok").await;
    }
}

#[tokio::test]
async fn an_upstream_that_stays_open_after_its_finish_is_complete() {
    let (one, gateway) = one_gateway(begun(good(), [Act::Hang])).await;
    let start = Instant::now();
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
    assert_eq!(reply.text(), whole("hello"));
    gateway.tells("ok").await;
    until("the provider is hung up on", ms(1000), || one.all_closed()).await;

    let start = Instant::now();
    let mut conn = H2Conn::to(gateway.address).await;
    let mut reply = conn.ask(&Request::chat(ASK_STREAM)).await;
    assert_eq!(reply.text().await, whole("hello"));
    assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
}

#[tokio::test]
async fn comments_after_the_finish_do_not_hold_the_end_up() {
    let comments = Act::Every(ms(50), wire::chunk(b": keep-alive\n\n"));
    let (_one, gateway) = one_gateway(begun(good(), [comments])).await;
    let reply = within("the end", ms(1000), gateway.chat(ASK_STREAM)).await;
    let text = reply.expect(200).text();
    assert_eq!(text.replace(": keep-alive\n\n", ""), whole("hello"));
}

#[tokio::test]
async fn what_comes_shortly_after_the_finish_still_belongs_to_it() {
    let then = [
        Act::Sleep(ms(150)),
        part(usage_event("one-chat")),
        Act::Hang,
    ];
    let (_one, gateway) = one_gateway(begun(good(), then)).await;
    let body = ASK_STREAM.replace(
        "\"stream\":true",
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}",
    );
    let text = gateway.chat(body).await.expect(200).text();
    let sent = [good().concat(), usage_event("one-chat"), DONE.into()].concat();
    assert_eq!(text, sent.replace("one-chat", "acme/chat"));
}

#[tokio::test]
async fn after_done_there_is_nothing() {
    for (more, then) in [
        (vec![DONE.to_string()], vec![last()]),
        (vec![hello(), DONE.to_string()], vec![last()]),
        (
            vec!["data: {\"error\":{\"message\":\"late\"}}\n\n".into()],
            vec![last()],
        ),
        (vec![": bye\n\n".into()], vec![Act::Hang]),
        (vec![], vec![Act::Hang]),
        (vec![], vec![Act::Sleep(ms(60)), Act::Reset]),
    ] {
        let end = [DONE.to_string()];
        let sent = [&good()[..], &end[..], &more[..]].concat();
        for sent in [sent.clone(), vec![sent.concat()]] {
            let (_one, gateway) = one_gateway(begun(sent, then.clone())).await;
            let start = Instant::now();
            let reply = gateway.chat(ASK_STREAM).await.expect(200);
            assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
            assert_eq!(reply.text(), whole("hello"));
            gateway.tells("ok").await;
        }
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_is_the_end_in_openais_shape() {
    for (error, reason) in [
        (
            "{\"error\":{\"message\":\"of the first\",\"code\":500}}",
            "provider_error",
        ),
        (
            "{\"error\":\"of the first: rate limited\"}",
            "provider_rate_limited",
        ),
        (
            "{\"error\":{\"message\":\"of the first\",\"code\":529}}",
            "provider_overloaded",
        ),
        (
            "{\"id\":\"g\",\"object\":\"chat.completion.chunk\",\"model\":\"one-chat\",\"error\":{\"code\":429,\"message\":\"of the first\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}",
            "provider_rate_limited",
        ),
        (
            "{\"object\":\"error\",\"message\":\"of the first\",\"type\":\"InternalServerError\",\"code\":500}",
            "provider_error",
        ),
        (
            "[{\"error\":{\"code\":500,\"message\":\"of the first\"}}]",
            "provider_error",
        ),
    ] {
        for (name, more) in [
            ("", vec![]),
            ("", vec![DONE.to_string()]),
            ("event: error\n", vec![hello(), DONE.into()]),
        ] {
            let told = format!("{name}data: {error}\n\n");
            let sent = [&[hello(), told][..], &more[..]].concat();
            let one = Provider::always(streamed(sent)).await;
            let two = second().await;
            let gateway = Gateway::start(&Config::spill(&one, &two).logged()).await;
            let reply = gateway.chat(ASK_STREAM).await.expect(200);
            let text = reply.text();
            assert!(text.starts_with(&event("acme/chat", "hello")), "{text}");
            let all = events(&text);
            assert_eq!(all.len(), 2, "{text}");
            let end = data_of(all[1]);
            let message = end["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains("of the first"), "{text}");
            ending_error(&reply);
            gateway.tells(reason).await;
            assert_eq!((one.count(), two.connections().len()), (1, 0));
        }
    }
}

#[tokio::test]
async fn a_secret_of_ours_in_such_an_error_is_struck_out() {
    let told =
        "data: {\"error\":{\"message\":\"bad header Bearer sk-one-upstream\",\"code\":500}}\n\n";
    let (_one, gateway) = one_gateway(streamed([hello(), told.into()])).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(!reply.text().contains("sk-one"), "{}", reply.text());
    ending_error(&reply);
    assert!(!gateway.output().contains("sk-one-upstream"));
}

#[tokio::test]
async fn a_finish_that_says_error_is_no_good_end() {
    let end = chunk_of("one-chat", "{}", "\"error\"");
    let (_one, gateway) = one_gateway(streamed([hello(), end, DONE.into()])).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(
        reply.text().contains("\"finish_reason\":\"error\"") || reply.text().contains("\"error\":"),
        "{}",
        reply.text()
    );
    assert!(!reply.text().contains("[DONE]"), "{}", reply.text());
    let line = gateway.line(0).await;
    assert_ne!(line["reason"], "ok", "{line}");
}

/// What was whole before the break, the error, and nothing else.
async fn truncated(request: Request, before: &str, then: Vec<Act>) {
    let one = Provider::always(begun([before], then)).await;
    let two = second().await;
    let config = Config::spill(&one, &two).logged();
    let gateway = Gateway::start(&config).await;
    let reply = gateway.ask(request).await.expect(200);
    ended_for(&reply, "provider_truncated");
    let text = reply.text();
    let all = events(&text);
    let kept: String = all[..all.len() - 1].concat();
    assert_eq!(kept, before.replace("one-chat", "acme/chat"));
    gateway.tells("provider_truncated").await;
    assert_eq!((one.count(), two.connections().len()), (1, 0));
}

fn breaks() -> Vec<Vec<Act>> {
    let pause = Act::Sleep(ms(60));
    vec![
        vec![last()],
        vec![Act::Close],
        vec![pause.clone(), Act::Reset],
        vec![part("data: {\"id\":\"of the fi"), Act::Close],
        vec![part("data: {\"id\":\"of the fi"), last()],
        vec![part("data: {\"id\":\"of the fi"), pause, Act::Reset],
        // Inside the HTTP framing.
        vec![
            Act::Write(b"ff\r\ndata: {\"id\":\"of the fi".to_vec()),
            Act::Close,
        ],
        vec![Act::Write(b"zz\r\n".to_vec()), Act::Close],
    ]
}

#[tokio::test]
async fn an_end_without_a_finish_is_a_truncation() {
    for then in breaks() {
        truncated(Request::chat(ASK_STREAM), &hello(), then).await;
    }
}

#[tokio::test]
async fn over_http_2_a_truncation_ends_as_cleanly() {
    let one = Provider::always(begun([hello()], [Act::Close])).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let mut conn = H2Conn::to(gateway.address).await;
    let text = conn.ask(&Request::chat(ASK_STREAM)).await.text().await;
    let all = events(&text);
    assert_eq!(all[0], event("acme/chat", "hello"));
    let error = data_of(all[1]);
    assert_eq!(
        error["error"]["metadata"]["reason"], "provider_truncated",
        "{text}"
    );
    assert_eq!(all.len(), 2, "{text}");
}

const ASK_COMPLETION: &str = "{\"model\":\"acme/chat\",\"stream\":true,\"prompt\":\"hi\"}";

fn completion(text: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"text_completion\",\"model\":\"one-chat\",\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn ask_completion() -> Request {
    Request::post("/v1/completions", ASK_COMPLETION)
}

#[tokio::test]
async fn completions_end_as_chats_do() {
    let sent = completion("hello", "null") + &completion("", "\"stop\"");
    for then in [
        vec![last()],
        vec![Act::Hang],
        vec![part(DONE), part(DONE), last()],
    ] {
        let (_one, gateway) = one_gateway(begun([&sent], then)).await;
        let start = Instant::now();
        let reply = gateway.ask(ask_completion()).await.expect(200);
        assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
        let expected = [&sent, DONE].concat().replace("one-chat", "acme/chat");
        assert_eq!(reply.text(), expected);
        gateway.tells("ok").await;
    }
    for then in breaks() {
        truncated(ask_completion(), &completion("hello", "null"), then).await;
    }
}
