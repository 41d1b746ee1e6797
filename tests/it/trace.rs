//! The headers that say what happened.

use crate::harness::answers::failure;
use crate::harness::provider::Refusing;
use crate::harness::*;

/// `name;status;12ms`
fn steps(trace: &str) -> Vec<(String, String)> {
    let step = |step: &str| {
        let parts: Vec<_> = step.trim().split(';').collect();
        let [provider, what, time] = parts[..] else {
            panic!("{trace:?}")
        };
        let number = time
            .strip_suffix("ms")
            .unwrap_or_else(|| panic!("{trace:?}"));
        number
            .parse::<u64>()
            .unwrap_or_else(|_| panic!("{trace:?}"));
        (provider.to_string(), what.to_string())
    };
    trace.split(',').map(step).collect()
}

#[tokio::test]
async fn a_failover_is_told_step_by_step() {
    let one = Provider::always(vec![failure(429, "busy")]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
    assert_eq!(reply.get("x-overspill-model"), Some("acme/chat"));
    assert_eq!(reply.get("x-overspill-attempts"), Some("2"));
    let told = steps(reply.get("x-overspill-trace").expect("a trace"));
    let expected = [("one", "429"), ("two", "200")];
    assert_eq!(told, expected.map(|(a, b)| (a.to_string(), b.to_string())));
    let overhead = reply.get("x-overspill-overhead-us").expect("an overhead");
    assert!(overhead.parse::<u64>().unwrap() < 1_000_000, "{overhead}");
}

#[tokio::test]
async fn time_spent_waiting_for_a_provider_is_not_overhead() {
    let slow = Provider::start(|_, seen| {
        let mut acts = vec![Act::Sleep(ms(400))];
        acts.extend(chat_reply(seen));
        acts
    })
    .await;
    let gateway = Gateway::start(&Config::one(&slow)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    let overhead: u64 = reply
        .get("x-overspill-overhead-us")
        .unwrap()
        .parse()
        .unwrap();
    assert!(overhead < 200_000, "{overhead} us");
    let trace = reply.get("x-overspill-trace").unwrap();
    let spent = trace
        .rsplit(';')
        .next()
        .unwrap()
        .trim_end_matches("ms")
        .parse::<u64>()
        .unwrap();
    assert!((390..5000).contains(&spent), "{trace}");
}

#[tokio::test]
async fn what_never_answered_stands_in_the_trace_too() {
    let one = Refusing::new();
    let two = Provider::always(vec![Act::Reset]).await;
    let three = Provider::well().await;
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .provider("three", &three.base())
        .route(
            "main",
            "{ provider: one }, { provider: two, tier: 2 }, { provider: three, tier: 3 }",
        );
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    let told = steps(reply.get("x-overspill-trace").unwrap());
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    assert_eq!(told[2].1, "200");
    assert!(told.iter().all(|(_, what)| !what.is_empty()));
    assert_eq!(reply.get("x-overspill-attempts"), Some("3"));
}

#[tokio::test]
async fn streams_and_failures_carry_them_as_well() {
    let one = Provider::always(answers::stream_reply("one-chat", "hello")).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("one"));
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    assert_eq!(steps(reply.get("x-overspill-trace").unwrap()).len(), 1);

    let one = Provider::always(vec![failure(503, "down")]).await;
    let two = Provider::always(vec![failure(500, "down")]).await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let reply = gateway.chat(ASK).await;
    let told = steps(reply.get("x-overspill-trace").unwrap());
    assert_eq!(
        reply.get("x-overspill-attempts"),
        Some(told.len().to_string().as_str())
    );
    assert_eq!((told[0].0.as_str(), told[0].1.as_str()), ("one", "503"));
    assert_eq!((told[1].0.as_str(), told[1].1.as_str()), ("two", "500"));
}

#[tokio::test]
async fn every_request_has_an_id_the_clients_own_where_it_sent_one() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let made = |reply: &Reply| reply.get("x-request-id").expect("an id").to_string();
    let first = made(&gateway.chat(ASK).await);
    let second = made(&gateway.chat(ASK).await);
    assert!(first.len() >= 8 && first != second);
    let request = Request::chat(ASK).header("x-request-id", "my-id.42_A");
    assert_eq!(made(&gateway.ask(request).await), "my-id.42_A");
    let request = Request::chat("{}").header("x-request-id", "my-id-43");
    let reply = gateway.ask(request).await.expect(400);
    assert_eq!(reply.json()["error"]["metadata"]["request_id"], "my-id-43");

    // An id that is no id is not repeated into answers and logs.
    let long = "x".repeat(7000);
    for odd in [long.as_str(), "", "a\tb", "<script>\"'", "caf\u{e9}"] {
        let reply = gateway
            .ask(Request::chat(ASK).header("x-request-id", odd))
            .await
            .expect(200);
        let id = made(&reply);
        assert!((1..=256).contains(&id.len()), "{} long", id.len());
        assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
    }
}
