//! What is kept free for calls under way, and how much that is.

use super::*;

#[tokio::test]
async fn calls_at_the_same_time_pass_it_by_one_reservation_at_most() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let one =
        Provider::start(move |_, _| [vec![Act::Gate(held.clone())], whole_answer(TOLD)].concat())
            .await;
    // Two reservations and a little: a third call is let in, a fourth is not.
    let gateway = Gateway::start(&limited(&one, "{ usd: 0.0085, per: day }")).await;
    let address = gateway.address;
    let ask = |_| tokio::spawn(async move { mine(ASK).to(address).await });
    let asked: Vec<_> = (0..30).map(ask).collect();
    let turned_away = ["reason=\"policy_budget\""];
    gateway
        .counts("overspill_requests_total", &turned_away, 27.0)
        .await;
    until("the others are asked", ms(5000), || one.count() == 3).await;
    let budget = &gateway.asked("/api/budgets").await["budgets"][0];
    assert_eq!(budget["reserved_micros"], 3 * MOST, "{budget}");
    assert_eq!(budget["spent_micros"], 0, "{budget}");
    gate.add_permits(100);
    let (mut served, mut later) = (0, 0);
    for asked in asked {
        let reply = asked.await.unwrap();
        if reply.status == 200 {
            served += 1;
            continue;
        }
        // What is only reserved comes back: it is worth another try.
        assert_eq!(reply.get("x-should-retry"), Some("true"));
        assert_eq!(reply.get("retry-after"), Some("1"));
        let message = refused(reply)["error"]["message"].to_string();
        assert!(message.contains("under way"), "{message}");
        later += 1;
    }
    assert_eq!((served, later, one.count()), (3, 27, 3));
    assert_eq!(spent(&gateway).await, 3 * COST);
    refused(gateway.ask(mine(ASK)).await);
}

#[tokio::test]
async fn what_a_call_may_cost_is_what_it_asks_for_or_what_is_usual() {
    let one = Provider::always(vec![Act::Hang]).await;
    let gateway = Gateway::start(&limited(&one, "{ usd: 5, per: day }")).await;
    for (members, output) in [
        ("", 500),
        ("\"max_tokens\":40,", 40),
        ("\"max_completion_tokens\":1000,", 1000),
        ("\"max_tokens\":40,\"n\":3,", 120),
        ("\"max_tokens\":-1,", 500),
    ] {
        let body = ASK.replacen('{', &format!("{{{members}"), 1);
        let before = one.count();
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&mine(&body).bytes()).await;
        until("the provider is asked", ms(5000), || one.count() > before).await;
        let budget = &gateway.asked("/api/budgets").await["budgets"][0];
        let prompt = body.len() as i64 / 4;
        assert_eq!(
            budget["reserved_micros"],
            prompt * 2 + output * 8,
            "{members}"
        );
        drop(conn);
        assert_eq!(stands(&gateway).await["reserved_micros"], 0);
    }
}

#[tokio::test]
async fn who_usually_says_more_is_reserved_more_for() {
    let long = TOLD.replace(":250,", ":2000,");
    let one = Provider::start(move |turn, _| match turn {
        0 => whole_answer(&long),
        _ => vec![Act::Hang],
    })
    .await;
    let gateway = Gateway::start(&limited(&one, "{ usd: 5, per: day }")).await;
    gateway.ask(mine(ASK)).await.expect(200);
    let start = Instant::now();
    // What is measured is looked at in the background, within a second or so.
    loop {
        let before = one.count();
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&mine(ASK).bytes()).await;
        until("the provider is asked", ms(5000), || one.count() > before).await;
        let budget = &gateway.asked("/api/budgets").await["budgets"][0];
        if budget["reserved_micros"] == MOST + 1500 * 8 {
            break;
        }
        assert_eq!(budget["reserved_micros"], MOST, "{budget}");
        assert!(start.elapsed() < ms(20_000), "{budget}");
        drop(conn);
        assert_eq!(stands(&gateway).await["reserved_micros"], 0);
    }
}

#[tokio::test]
async fn an_unknown_price_reserves_nothing_and_a_providers_own_word_counts() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let told = TOLD.replacen('{', "{\"cost\":0.00123,", 1);
    let one = Provider::start(move |turn, _| match turn {
        0 => [vec![Act::Gate(held.clone())], whole_answer(TOLD)].concat(),
        _ => whole_answer(&told),
    })
    .await;
    let config = limited(&one, "{ usd: 0.001, per: day }").on_provider(
        "one",
        "models",
        "{ \"acme/chat\": one-chat }",
    );
    let gateway = Gateway::start(&config).await;
    let address = gateway.address;
    let first = tokio::spawn(async move { mine(ASK).to(address).await.expect(200) });
    until("the provider is asked", ms(5000), || one.count() == 1).await;
    let budget = &gateway.asked("/api/budgets").await["budgets"][0];
    assert_eq!(budget["reserved_micros"], 0, "{budget}");
    gate.add_permits(1);
    first.await.unwrap();
    assert_eq!(spent(&gateway).await, 0);
    gateway.ask(mine(ASK)).await.expect(200);
    assert_eq!(spent(&gateway).await, 1230);
    refused(gateway.ask(mine(ASK)).await);
}
