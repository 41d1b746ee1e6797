//! `: ping` keeps a silent stream's client waiting, and never disturbs what it reads.

use crate::harness::answers::{DONE, event, failure, finish, last, part};
use crate::harness::h2_client::H2Conn;
use crate::harness::streaming::*;
use crate::harness::*;

const PING: &str = ": ping\n\n";

fn without_pings(text: &str) -> String {
    events(text).into_iter().filter(|e| *e != PING).collect()
}

fn pings(text: &str) -> usize {
    events(text).into_iter().filter(|e| *e == PING).count()
}

fn pinged(config: Config, ping: &str) -> Config {
    config.on_route("stream", &format!("{{ ping: {ping} }}"))
}

fn early(config: Config, ping: &str) -> Config {
    let fields = format!("{{ ping: {ping}, ping_before_commit: true }}");
    config.on_route("stream", &fields)
}

/// Some words, this long a silence, and a good end.
fn with_silence(silence: u64) -> Vec<Act> {
    let rest = [part(finish("one-chat")), part(DONE), last()];
    let pause = std::iter::once(Act::Sleep(ms(silence)));
    begun([event("one-chat", "hello")], pause.chain(rest))
}

fn late_answer(silence: u64) -> Vec<Act> {
    let mut acts = vec![Act::Sleep(ms(silence))];
    acts.extend(answers::stream_reply("one-chat", "hello"));
    acts
}

#[tokio::test]
async fn a_silent_stream_is_pinged_again_and_again() {
    let one = Provider::always(with_silence(1300)).await;
    let gateway = Gateway::start(&pinged(Config::one(&one), "300ms")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let text = reply.text();
    assert_eq!(without_pings(&text), whole("hello"));
    assert!((3..=4).contains(&pings(&text)), "{text}");
    let came: Vec<_> = reply
        .pieces
        .iter()
        .filter(|(_, piece)| piece.starts_with(b": ping"))
        .map(|(at, _)| *at)
        .collect();
    let first = came[0] - arrival(&reply, "hello");
    assert!((ms(250)..ms(700)).contains(&first), "{first:?}");
    for pair in came.windows(2) {
        let between = pair[1] - pair[0];
        assert!((ms(150)..ms(700)).contains(&between), "{between:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_not_silent_is_not_pinged() {
    let words = (0..10).flat_map(|_| [part(event("one-chat", "word")), Act::Sleep(ms(100))]);
    let end = [part(finish("one-chat")), part(DONE), last()];
    let one = Provider::always(begun([""; 0], words.chain(end))).await;
    let gateway = Gateway::start(&pinged(Config::one(&one), "600ms")).await;
    let text = gateway.chat(ASK_STREAM).await.expect(200).text();
    assert_eq!(text.matches("word").count(), 10);
    assert!(!text.contains(": ping"), "{text}");
}

#[tokio::test]
async fn an_event_in_two_halves_is_not_torn_by_a_ping() {
    let slow = event("one-chat", "second");
    for at in [1, 5, 20, slow.len() - 1] {
        let (half, other) = slow.split_at(at);
        let acts = [
            part(half),
            Act::Sleep(ms(500)),
            part(other),
            part(finish("one-chat")),
            part(DONE),
            last(),
        ];
        let one = Provider::always(begun([event("one-chat", "first")], acts)).await;
        let gateway = Gateway::start(&pinged(Config::one(&one), "100ms")).await;
        let text = gateway.chat(ASK_STREAM).await.expect(200).text();
        let expected = [event("acme/chat", "first"), whole("second")].concat();
        assert_eq!(without_pings(&text), expected, "halved at {at}: {text}");
        assert!(pings(&text) >= 2, "halved at {at}: {text}");
    }
}

/// A large event may go on in parts, and then there is no place for a ping in it.
#[tokio::test]
async fn nor_is_a_large_one() {
    let large = event("one-chat", &"long ".repeat(60_000));
    let (half, other) = large.split_at(large.len() / 2);
    let acts = [
        part(half),
        Act::Sleep(ms(500)),
        part(other),
        part(DONE),
        last(),
    ];
    let one = Provider::always(begun([event("one-chat", "first")], acts)).await;
    let gateway = Gateway::start(&pinged(Config::one(&one), "100ms")).await;
    let text = gateway.chat(ASK_STREAM).await.expect(200).text();
    let sent = [event("one-chat", "first"), large, DONE.into()].concat();
    let expected = sent.replace("one-chat", "acme/chat");
    assert!(without_pings(&text) == expected, "{} bytes", text.len());
}

#[tokio::test]
async fn before_content_there_is_no_ping() {
    let role_first = begun(
        [role("one-chat")],
        [
            Act::Sleep(ms(600)),
            part(event("one-chat", "hello")),
            part(finish("one-chat")),
            part(DONE),
            last(),
        ],
    );
    for acts in [late_answer(600), role_first] {
        let one = Provider::always(acts).await;
        let gateway = Gateway::start(&pinged(Config::one(&one), "100ms")).await;
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&Request::chat(ASK_STREAM).bytes()).await;
        until("the provider is asked", ms(5000), || one.count() == 1).await;
        silent(&mut conn, ms(450)).await;
        let text = conn.reply("POST").await.expect(200).text();
        assert!(!text.contains(": ping"), "{text}");
        assert!(text.ends_with(&whole("hello")), "{text}");
    }
}

#[tokio::test]
async fn where_the_route_says_so_pings_come_before_anything_is_known() {
    let one = Provider::always(late_answer(900)).await;
    let gateway = Gateway::start(&early(Config::one(&one), "200ms")).await;
    let mut conn = Conn::open(gateway.address).await;
    let start = Instant::now();
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    let waited = start.elapsed();
    assert!((ms(180)..ms(700)).contains(&waited), "{waited:?}");
    assert_eq!(head.status, 200);
    let kind = head.get("content-type").unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    assert!(head.get("x-request-id").is_some());
    let text = conn.rest(head, "POST").await.expect(200).text();
    assert!((2..=4).contains(&pings(&text)), "{text}");
    assert_eq!(without_pings(&text), whole("hello"));
}

#[tokio::test]
async fn a_failure_after_an_early_ping_is_one_error_event() {
    let late = vec![Act::Sleep(ms(600)), failure(429, "of the first")];
    let one = Provider::always(late).await;
    let config = early(Config::one(&one), "150ms").logged();
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(pings(&reply.text()) >= 2, "{}", reply.text());
    let error = ending_error(&reply);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("of the first"), "{error}");
    let rest = without_pings(&reply.text());
    assert_eq!(events(&rest).len(), 1, "{rest}");
    gateway.tells("provider_rate_limited").await;
}

#[tokio::test]
async fn a_failover_behind_early_pings_is_not_seen() {
    let one = Provider::always(vec![Act::Hang]).await;
    let two = second().await;
    let config =
        early(Config::spill(&one, &two), "150ms").on_route("timeouts", "{ first_byte: 600ms }");
    let gateway = Gateway::start(&config).await;
    let text = gateway.chat(ASK_STREAM).await.expect(200).text();
    assert!(pings(&text) >= 2, "{text}");
    assert_eq!(without_pings(&text), whole("hello"));
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[tokio::test]
async fn a_failure_before_the_first_ping_keeps_its_status() {
    for status in [400, 429, 503] {
        let one = Provider::always(vec![failure(status, "of the first")]).await;
        let gateway = Gateway::start(&early(Config::one(&one), "3s")).await;
        let start = Instant::now();
        let reply = gateway.chat(ASK_STREAM).await.expect(status);
        assert!(start.elapsed() < ms(2000), "{:?}", start.elapsed());
        assert!(reply.text().contains("of the first"), "{}", reply.text());
    }
}

#[tokio::test]
async fn what_is_not_a_stream_is_never_pinged() {
    let one = Provider::start(|_, seen| {
        let mut acts = vec![Act::Sleep(ms(500))];
        acts.extend(chat_reply(seen));
        acts
    })
    .await;
    let gateway = Gateway::start(&early(Config::one(&one), "100ms")).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.text(), chat("acme/chat", "hello"));
}

#[tokio::test]
async fn over_http_2_pings_come_as_well() {
    let one = Provider::always(with_silence(700)).await;
    let gateway = Gateway::start(&pinged(Config::one(&one), "150ms")).await;
    let mut conn = H2Conn::to(gateway.address).await;
    let text = conn.ask(&Request::chat(ASK_STREAM)).await.text().await;
    assert!(pings(&text) >= 2, "{text}");
    assert_eq!(without_pings(&text), whole("hello"));

    let one = Provider::always(late_answer(700)).await;
    let gateway = Gateway::start(&early(Config::one(&one), "150ms")).await;
    let mut conn = H2Conn::to(gateway.address).await;
    let mut reply = conn.ask(&Request::chat(ASK_STREAM)).await;
    assert_eq!(reply.status, 200);
    let kind = reply.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let text = reply.text().await;
    assert!(pings(&text) >= 2, "{text}");
    assert_eq!(without_pings(&text), whole("hello"));
}

#[tokio::test]
async fn a_providers_comments_go_on_and_count_as_life() {
    let comments = (0..10).flat_map(|_| [part(": keep-alive\n\n"), Act::Sleep(ms(100))]);
    let end = [part(finish("one-chat")), part(DONE), last()];
    let acts = begun([event("one-chat", "hello")], comments.chain(end));
    let one = Provider::always(acts).await;
    let config =
        pinged(Config::one(&one), "500ms").on_route("timeouts", "{ idle: 500ms, stall: 5s }");
    let gateway = Gateway::start(&config).await;
    let text = gateway.chat(ASK_STREAM).await.expect(200).text();
    let expected = [
        event("acme/chat", "hello"),
        ": keep-alive\n\n".repeat(10),
        finish("acme/chat"),
        DONE.into(),
    ];
    assert_eq!(text, expected.concat());
}

#[tokio::test]
async fn our_own_pings_are_no_life_of_the_provider() {
    let one = Provider::always(begun([event("one-chat", "hello")], [Act::Hang])).await;
    let config = pinged(Config::one(&one), "100ms").on_route("timeouts", "{ idle: 600ms }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await;
    let waited = arrival(&reply, "\"error\"") - arrival(&reply, "hello");
    assert!((ms(550)..ms(1200)).contains(&waited), "{waited:?}");
    assert!(pings(&reply.text()) >= 3, "{}", reply.text());
    ended_for(&reply, "provider_idle_timeout");
}
