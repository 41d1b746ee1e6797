//! Connections to a provider: kept, and not trusted for ever.

use crate::harness::answers::failure;
use crate::harness::*;

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for _ in 0..10 {
        gateway.chat(ASK).await.expect(200);
    }
    let mut conn = Conn::open(gateway.address).await;
    for _ in 0..10 {
        conn.ask(&Request::chat(ASK)).await.expect(200);
    }
    assert_eq!(provider.connections().len(), 1);
}

#[tokio::test]
async fn a_connection_is_kept_after_an_error_a_refusal_and_a_stream() {
    let big = failure(500, &"x".repeat(40_000));
    let provider = Provider::first(vec![
        vec![failure(503, "down")],
        vec![failure(400, "bad")],
        vec![big],
        answers::stream_reply("one-chat", "hello"),
    ])
    .await;
    let config = Config::one(&provider).on_route("retry", "{ for: [] }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(503);
    gateway.chat(ASK).await.expect(400);
    gateway.chat(ASK).await.expect(500);
    gateway.chat(ASK_STREAM).await.expect(200);
    gateway.chat(ASK).await.expect(200);
    assert_eq!(provider.connections().len(), 1);
}

#[tokio::test]
async fn a_connection_gone_stale_costs_nothing() {
    for end in [Act::Reset, Act::Close] {
        // The second request on a connection always meets its end.
        let acts = end.clone();
        let provider = Provider::start(move |_, seen| match seen.turn {
            0 => chat_reply(seen),
            _ => vec![acts.clone()],
        })
        .await;
        let config = Config::one(&provider).on_route("retry", "{ for: [], attempts: 1 }");
        let gateway = Gateway::start(&config).await;
        gateway.chat(ASK).await.expect(200);
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
        assert_eq!(provider.connections().len(), 2);
        // And again with a body that does not fit into one packet.
        let large = ASK.replace("hi", &"hi ".repeat(500_000));
        gateway.chat(large.clone()).await.expect(200);
        assert_eq!(
            provider.seen().last().unwrap().text(),
            large.replace("acme/chat", "one-chat")
        );
    }
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_used() {
    let provider = Provider::start(|_, seen| {
        let mut acts = chat_reply(seen);
        acts.push(Act::Close);
        acts
    })
    .await;
    let config = Config::one(&provider).on_route("retry", "{ for: [], attempts: 1 }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..20 {
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    }
    assert_eq!(provider.count(), 20);
}

#[tokio::test]
async fn a_provider_that_always_breaks_is_not_asked_for_ever() {
    let provider = Provider::start(|n, seen| {
        if n == 0 {
            chat_reply(seen)
        } else {
            vec![Act::Reset]
        }
    })
    .await;
    let config = Config::one(&provider).on_route("retry", "{ for: [], attempts: 1 }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    crate::refusals::refused(gateway.chat(ASK).await, 502, "provider_");
    assert_eq!(
        provider.count(),
        3,
        "the stale connection, then one fresh one"
    );
}

#[tokio::test]
async fn connection_close_is_respected() {
    let body = chat("one-chat", "hello");
    let headers = [
        ("content-type", "application/json"),
        ("connection", "close"),
    ];
    let provider = Provider::always(vec![
        Act::Write(answers::http(200, &headers, body)),
        Act::Hang,
    ])
    .await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    gateway.chat(ASK).await.expect(200);
    gateway.chat(ASK).await.expect(200);
    assert_eq!(provider.connections().len(), 2);
}

#[tokio::test]
async fn a_connection_with_bytes_nobody_asked_for_is_not_used_again() {
    let provider = Provider::start(|_, seen| {
        let mut acts = chat_reply(seen);
        if seen.turn == 0 && seen.connection == 0 {
            let ghost = answers::http(
                200,
                &[("content-type", "application/json")],
                "{\"ghost\":1}",
            );
            acts.push(Act::Write(ghost));
        }
        acts
    })
    .await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for _ in 0..3 {
        let reply = gateway.chat(ASK).await.expect(200);
        assert!(!reply.text().contains("ghost"), "{}", reply.text());
    }
}
