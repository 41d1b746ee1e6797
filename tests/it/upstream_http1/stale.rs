//! Kept connections that turn out to be dead.

use super::*;

#[tokio::test]
async fn where_an_address_died_with_its_connections_another_is_asked() {
    // Who has been asked once closes the connection on whoever asks again.
    let start = || {
        Provider::start(|_, seen| match seen.turn {
            0 => chat_reply(seen),
            _ => vec![Act::Close],
        })
    };
    let (dies, lives) = (start().await, Provider::well().await);
    let addresses = format!("[{}, {}]", dies.address, lives.address);
    let config = Config::one(&lives)
        .on_provider("one", "addresses", &addresses)
        .on_route("retry", "{ for: [], attempts: 1 }");
    let gateway = Gateway::start(&config).await;
    while dies.count() == 0 || lives.count() == 0 {
        gateway.chat(ASK).await.expect(200);
    }
    let asked = dies.count();
    // Its socket closes; the connection that is kept stays open until it is used.
    drop(dies);
    for _ in 0..8 {
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    }
    assert!(asked > 0);
}

#[tokio::test]
async fn part_of_an_answer_is_not_asked_for_again() {
    let provider = Provider::start(|_, seen| match seen.turn {
        0 => chat_reply(seen),
        _ => vec![Act::Write(b"HTTP/1.1 2".to_vec()), Act::Close],
    })
    .await;
    let config = Config::one(&provider).on_route("retry", "{ for: [], attempts: 1 }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    crate::refusals::refused(gateway.chat(ASK).await, 502, "provider_reset");
    assert_eq!(provider.count(), 2, "it had begun to answer");
    assert_eq!(provider.connections().len(), 1);
}

#[tokio::test]
async fn all_that_died_together_are_replaced_without_a_failure() {
    // Each connection serves two callers and ends with the third.
    let provider = Provider::start(|_, seen| match seen.turn {
        0 | 1 => chat_reply(seen),
        _ => vec![Act::Reset],
    })
    .await;
    let provider = Arc::new(provider);
    let gateway = serving(&[Arc::clone(&provider)]).await;
    let address = gateway.address;
    for _ in 0..6 {
        all((0..30).map(|_| async move {
            let reply = ask(0).to(address).await.expect(200);
            assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
        }))
        .await;
    }
}
