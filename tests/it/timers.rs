//! The times a stream that has begun is given, and who is named when one of them runs out.

use crate::harness::answers::{DONE, event, finish, last, part};
use crate::harness::streaming::*;
use crate::harness::*;

fn first() -> String {
    event("one-chat", "first")
}

fn comments(every: u64) -> Act {
    Act::Every(ms(every), wire::chunk(b": keep-alive\n\n"))
}

/// The stream ends this long after its first words, for this reason: in its last event, in the log,
/// in the metrics; and the provider is hung up on.
async fn cut_after(then: Vec<Act>, timeouts: &str, least: u64, reason: &str) {
    let one = Provider::always(begun([first()], then)).await;
    let two = second().await;
    let config = Config::spill(&one, &two)
        .on_route("timeouts", timeouts)
        .logged();
    let gateway = Gateway::start(&config).await;
    let reply = within("the end", ms(8000), gateway.chat(ASK_STREAM)).await;
    let waited = arrival(&reply, "\"error\"") - arrival(&reply, "first");
    assert!(
        (ms(least - 50)..ms(least + 600)).contains(&waited),
        "{timeouts}: {waited:?}"
    );
    assert!(reply.text().starts_with(&event("acme/chat", "first")));
    ended_for(&reply, reason);
    gateway.tells(reason).await;
    until("the silent one is hung up on", ms(1000), || {
        one.all_closed()
    })
    .await;
    assert_eq!((one.count(), two.connections().len()), (1, 0));
}

#[tokio::test]
async fn silence_ends_it_after_idle() {
    let timeouts = "{ idle: 500ms, stall: 5s }";
    cut_after(vec![Act::Hang], timeouts, 500, "provider_idle_timeout").await;
}

#[tokio::test]
async fn nothing_but_comments_ends_it_after_stall() {
    let timeouts = "{ idle: 300ms, stall: 800ms }";
    cut_after(vec![comments(50)], timeouts, 800, "provider_stall_timeout").await;
}

#[tokio::test]
async fn nothing_but_blank_lines_ends_it_after_stall_too() {
    let blank = Act::Every(ms(50), wire::chunk(b"\n"));
    let timeouts = "{ idle: 300ms, stall: 800ms }";
    cut_after(vec![blank], timeouts, 800, "provider_stall_timeout").await;
}

/// The client has all of it, and the log says so.
async fn comes_whole(config: Config, sent: &str) -> Gateway {
    let gateway = Gateway::start(&config.logged()).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.text(), sent.replace("one-chat", "acme/chat"));
    gateway.tells("ok").await;
    gateway
}

fn word(n: usize) -> String {
    event("one-chat", &format!("word{n}"))
}

/// `count` words with this pause after each, and a good end.
fn slowly(count: usize, pause: u64) -> (Vec<Act>, String) {
    let words = (0..count).flat_map(|n| [part(word(n)), Act::Sleep(ms(pause))]);
    let end = [part(finish("one-chat")), part(DONE), last()];
    let text: String = (0..count).map(word).collect();
    (
        begun([""; 0], words.chain(end)),
        [text, finish("one-chat"), DONE.into()].concat(),
    )
}

#[tokio::test]
async fn each_payload_begins_the_stall_anew() {
    let (acts, sent) = slowly(6, 300);
    let one = Provider::always(acts).await;
    let config = Config::one(&one).on_route("timeouts", "{ idle: 700ms, stall: 700ms }");
    comes_whole(config, &sent).await;
}

#[tokio::test]
async fn each_byte_begins_idle_anew() {
    let slow = event("one-chat", "second");
    let mut acts = begun([first()], []);
    for byte in slow.bytes().take(30) {
        acts.extend([part([byte]), Act::Sleep(ms(50))]);
    }
    acts.extend([
        part(&slow.as_bytes()[30..]),
        part(finish("one-chat")),
        part(DONE),
        last(),
    ]);
    let one = Provider::always(acts).await;
    let config = Config::one(&one).on_route("timeouts", "{ idle: 500ms, stall: 10s }");
    let sent = [first(), slow, finish("one-chat"), DONE.into()].concat();
    comes_whole(config, &sent).await;
}

#[tokio::test]
async fn nothing_bounds_a_stream_that_goes_on() {
    let (acts, sent) = slowly(15, 100);
    let one = Provider::always(acts).await;
    let timeouts = "{ first_byte: 400ms, first_token: 400ms, response: 400ms, deadline: 400ms }";
    let config = Config::one(&one).on_route("timeouts", timeouts);
    comes_whole(config, &sent).await;
}

#[tokio::test]
async fn only_the_clients_own_time_cuts_a_stream_that_goes_on() {
    let (acts, _) = slowly(100, 50);
    let one = Provider::always(acts).await;
    let two = second().await;
    let gateway = Gateway::start(&Config::spill(&one, &two).logged()).await;
    let start = Instant::now();
    let request = Request::chat(ASK_STREAM).header("x-overspill-timeout", "700ms");
    let reply = gateway.ask(request).await;
    let waited = start.elapsed();
    assert!((ms(650)..ms(1300)).contains(&waited), "{waited:?}");
    assert!(reply.text().starts_with(&event("acme/chat", "word0")));
    ended_for(&reply, "caller_deadline");
    gateway.tells("caller_deadline").await;
    until("the provider is hung up on", ms(1000), || one.all_closed()).await;
    assert_eq!(two.connections().len(), 0);
}

/// Neither of two silent providers has said anything when the time is over.
async fn over_before_content(timeouts: &str, asked: Option<&str>, reason: &str) {
    let quiet = || Provider::always(begun([role("one-chat")], [comments(50)]));
    let (one, two) = (quiet().await, quiet().await);
    let config = Config::spill(&one, &two)
        .on_route("timeouts", timeouts)
        .logged();
    let gateway = Gateway::start(&config).await;
    let mut request = Request::chat(ASK_STREAM);
    if let Some(asked) = asked {
        request = request.header("x-overspill-timeout", asked);
    }
    let start = Instant::now();
    let reply = within("the end", ms(8000), gateway.ask(request)).await;
    let waited = start.elapsed();
    assert!((ms(550)..ms(1200)).contains(&waited), "{waited:?}");
    crate::refusals::refused(reply, 504, reason);
    gateway.tells(reason).await;
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[tokio::test]
async fn before_content_the_routes_deadline_ends_all_trying() {
    let timeouts = "{ first_token: 400ms, deadline: 600ms }";
    over_before_content(timeouts, None, "provider_deadline").await;
}

#[tokio::test]
async fn before_content_the_clients_deadline_does_so_too() {
    let timeouts = "{ first_token: 400ms, deadline: 5s }";
    over_before_content(timeouts, Some("600ms"), "caller_deadline").await;
}

#[tokio::test]
async fn a_whole_answer_that_does_not_come_is_named_a_timeout() {
    let one = Provider::always(vec![Act::Hang]).await;
    let config = Config::one(&one)
        .on_route("timeouts", "{ response: 400ms, first_token: 100ms }")
        .logged();
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    let reply = gateway.chat(ASK).await;
    let waited = start.elapsed();
    assert!((ms(380)..ms(1000)).contains(&waited), "{waited:?}");
    crate::refusals::refused(reply, 504, "provider_timeout");
    gateway.tells("provider_timeout").await;
}
