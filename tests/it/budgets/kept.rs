//! What outlives a configuration, and a process.

use super::*;
use crate::harness::gateway::Directory;

/// Waits until what was spent before is known.
async fn recalls(gateway: &Gateway, micros: i64) {
    let start = Instant::now();
    loop {
        let budget = &gateway.asked("/api/budgets").await["budgets"][0];
        if budget["complete"] == true && budget["spent_micros"] == micros {
            return;
        }
        assert!(start.elapsed() < ms(20_000), "not {micros}: {budget}");
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test]
async fn a_reload_keeps_what_was_spent_and_what_is_reserved() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let one = Provider::start(move |turn, _| match turn {
        1 => [vec![Act::Gate(held.clone())], whole_answer(TOLD)].concat(),
        _ => whole_answer(TOLD),
    })
    .await;
    let gateway = Gateway::start(&limited(&one, "{ usd: 0.02, per: month }")).await;
    gateway.ask(mine(ASK)).await.expect(200);
    assert_eq!(spent(&gateway).await, COST);
    let address = gateway.address;
    let under_way = tokio::spawn(async move { mine(ASK).to(address).await.expect(200) });
    until("the provider is asked", ms(5000), || one.count() == 2).await;

    gateway.rewrite(&limited(&one, "{ usd: 0.008, per: month }"));
    gateway.reload().await.expect(200);
    let budget = &gateway.asked("/api/budgets").await["budgets"][0];
    let told = ["limit_micros", "spent_micros", "reserved_micros"].map(|name| budget[name].clone());
    assert_eq!(
        told,
        [Value::from(8000), COST.into(), MOST.into()],
        "{budget}"
    );
    refused(gateway.ask(mine(ASK)).await);
    gate.add_permits(1);
    under_way.await.unwrap();
    assert_eq!(spent(&gateway).await, 2 * COST);
    refused(gateway.ask(mine(ASK)).await);

    // Without a budget nothing is held against it, and nothing shown.
    let free = limited(&one, "{ usd: 1, per: day }")
        .yaml(&gateway.address.to_string(), &gateway.admin.to_string());
    gateway.rewrite_as(&free.replace(", budget: { usd: 1, per: day }", ""));
    gateway.reload().await.expect(200);
    gateway.ask(mine(ASK)).await.expect(200);
    let all = gateway.asked("/api/budgets").await;
    assert_eq!(all["budgets"].as_array().unwrap().len(), 0, "{all}");
    assert!(
        !gateway
            .metrics()
            .await
            .contains("overspill_budget_limit_dollars{")
    );
}

#[tokio::test]
async fn a_restart_reads_what_was_spent_out_of_the_store() {
    let one = Provider::always(whole_answer(TOLD)).await;
    let place = Directory::new();
    let store = format!("store: \"sqlite:{}/spent.db\"", place.path().display());
    let config = limited(&one, "{ usd: 0.01, per: month }").top(&store);
    let mut gateway = Gateway::start(&config).await;
    gateway.ask(mine(ASK)).await.expect(200);
    gateway
        .ask(Request::chat(ASK).key("sk-client-b"))
        .await
        .expect(200);
    gateway.ask(mine(ASK)).await.expect(200);
    gateway.settled().await;
    gateway.signal("INT");
    gateway.exit(ms(20_000)).await;

    let gateway = Gateway::start(&config).await;
    recalls(&gateway, 2 * COST).await;
    gateway.ask(mine(ASK)).await.expect(200);
    assert_eq!(spent(&gateway).await, 3 * COST);
    refused(gateway.ask(mine(ASK)).await);
    assert_eq!(one.count(), 4);

    // A budget for another window is filled likewise, without a restart.
    gateway.settled().await;
    let other = limited(&one, "{ usd: 0.01, per: week }").top(&store);
    gateway.rewrite(&other);
    gateway.reload().await.expect(200);
    recalls(&gateway, 3 * COST).await;
    refused(gateway.ask(mine(ASK)).await);
}

#[tokio::test]
async fn without_a_store_a_restart_begins_at_nothing_and_says_that_it_is_not_all() {
    let one = Provider::always(whole_answer(TOLD)).await;
    let gateway = Gateway::start(&limited(&one, "{ usd: 0.001, per: total }")).await;
    gateway.ask(mine(ASK)).await.expect(200);
    let budget = stands(&gateway).await;
    assert_eq!(
        (&budget["spent_micros"], &budget["complete"]),
        (&COST.into(), &false.into())
    );
    assert_eq!(budget["to_ms"], Value::Null);
}

#[tokio::test]
async fn a_successor_hears_of_what_its_predecessor_still_spends() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let one =
        Provider::start(move |_, _| [vec![Act::Gate(held.clone())], whole_answer(TOLD)].concat())
            .await;
    let runtime = Directory::new();
    let config = limited(&one, "{ usd: 1, per: month }")
        .stored()
        .env("RUNTIME_DIRECTORY", runtime.path().to_str().unwrap());
    let mut old = Gateway::start(&config).await;
    let address = old.address;
    let under_way = tokio::spawn(async move { mine(ASK).to(address).await.expect(200) });
    until("the provider is asked", ms(5000), || one.count() == 1).await;
    let new = old.succeeded().await;
    recalls(&new, 0).await;
    gate.add_permits(1);
    under_way.await.unwrap();
    assert_eq!(old.exit(ms(20_000)).await.code(), Some(0));
    recalls(&new, COST).await;
}
