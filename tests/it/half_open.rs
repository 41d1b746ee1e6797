//! A target that is out: who finds out that it is well again, and who is asked when all are out.

use crate::breaker::{FOR_GOOD, down, guarded, opened};
use crate::harness::answers::failure;
use crate::harness::fleet::Mood;
use crate::harness::*;
use tokio::task::JoinSet;

/// Opens on half of the last ten, once there were four; a probe every 400 ms.
const QUICK: &str = "{ failures: 50%, last: 10, minimum: 4, interval: 400ms }";
const INTERVAL: Duration = ms(400);
/// What the machine may take for nothing.
const SLACK: Duration = ms(500);

#[tokio::test]
async fn one_probe_an_interval_and_one_at_a_time() {
    // Longer than an interval: the next probe is due while this one is under way.
    let acts = [vec![Act::Sleep(ms(600))], down()].concat();
    let mood = Mood::of(down());
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, QUICK).await;
    let before = opened(&gateway, &one).await;
    for (acts, least) in [(down(), INTERVAL), (acts, ms(600))] {
        mood.set(acts);
        let from = one.count();
        let end = Instant::now() + ms(1500);
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let address = gateway.address;
            callers.spawn(async move {
                while Instant::now() < end {
                    Request::chat(ASK).to(address).await.expect(200);
                    tokio::time::sleep(ms(5)).await;
                }
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller.expect("every answer is good");
        }
        let probes = &one.seen()[from..];
        assert!((1..=4).contains(&probes.len()), "{} probes", probes.len());
        for pair in probes.windows(2) {
            let apart = pair[1].at - pair[0].at;
            assert!(apart > least - ms(60), "{apart:?} between two probes");
        }
    }
    assert!(one.count() >= before + 3);
}

#[tokio::test]
async fn a_probe_that_is_told_to_slow_down_is_not_repeated_at_once() {
    let mood = Mood::of(down());
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, QUICK).await;
    let failures = opened(&gateway, &one).await;
    // Neither a failure nor a success: it stays open, or it closes by what comes after.
    mood.set(vec![failure(429, "slow down")]);
    let start = Instant::now();
    while start.elapsed() < ms(1300) {
        assert_eq!(gateway.served().await, "two");
        tokio::time::sleep(ms(5)).await;
    }
    let probes = one.count() - failures;
    assert!(
        (1..=4).contains(&probes),
        "{probes} probes in three intervals"
    );
}

#[tokio::test]
async fn it_is_back_within_an_interval_of_its_recovery() {
    let mood = Mood::of(down());
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, QUICK).await;
    opened(&gateway, &one).await;
    // Through some probes that fail, so that nothing grows with them.
    let failing = Instant::now();
    while failing.elapsed() < ms(1300) {
        assert_eq!(gateway.served().await, "two");
        tokio::time::sleep(ms(10)).await;
    }
    mood.mend();
    let took = gateway.served_by("one", ms(5000)).await;
    assert!(took < INTERVAL + SLACK, "back only after {took:?}");
    let mut served = 0;
    for _ in 0..20 {
        served += usize::from(gateway.served().await == "one");
    }
    assert!(served >= 19, "back, and asked {served} of 20 times");
}

#[tokio::test]
async fn a_probe_whose_caller_leaves_gives_its_turn_back() {
    for body in [ASK, ASK_STREAM] {
        let mood = Mood::of(down());
        let (one, two) = (mood.provider().await, Provider::well().await);
        let gateway = guarded(&one, &two, QUICK).await;
        let failures = opened(&gateway, &one).await;
        mood.set(vec![Act::Hang]);
        tokio::time::sleep(INTERVAL).await;
        let before = gateway.lines().len();
        let probe = gateway.held(Request::chat(body), [&one]).await;
        assert_eq!(one.count(), failures + 1);
        // While it is under way there is no other.
        assert_eq!(gateway.served().await, "two");
        drop(probe);
        until("it is known to be gone", ms(2000), || {
            gateway.lines().len() >= before + 2
        })
        .await;
        mood.mend();
        let took = gateway.served_by("one", ms(5000)).await;
        assert!(took < SLACK, "{took:?} for a turn that was given back");
    }
}

#[tokio::test]
async fn where_all_are_open_the_least_bad_is_asked() {
    let two_down = Mood::default();
    let (one, two) = (Provider::always(down()).await, two_down.provider().await);
    let config = Config::new()
        .provider("one", &one.base())
        .with("breaker", FOR_GOOD)
        .provider("two", &two.base())
        .with("breaker", FOR_GOOD)
        .route("main", "{ provider: one }, { provider: two }");
    let gateway = Gateway::start(&config).await;
    // Three successes of `two` before it fails: its share is the smaller.
    while two.count() < 3 {
        assert_eq!(gateway.served().await, "two");
    }
    two_down.set(down());
    let known = loop {
        let before = (one.count(), two.count());
        let reply = gateway.chat(ASK).await;
        assert_eq!(reply.status, 500, "{}", reply.text());
        if one.count() == before.0 && two.count() == before.1 + 1 {
            break before.0;
        }
    };
    for _ in 0..5 {
        let reply = gateway.chat(ASK).await.expect(500);
        assert_eq!(reply.text(), answers::failure_body("down"));
    }
    assert_eq!(one.count(), known, "the worse one is not asked");
    two_down.mend();
    assert_eq!(gateway.served().await, "two");
}

#[tokio::test]
async fn a_target_that_is_alone_is_asked_though_it_is_open() {
    let mood = Mood::of(down());
    let one = mood.provider().await;
    let config = Config::one(&one)
        .on_provider("one", "breaker", FOR_GOOD)
        .on_route("retry", "{ for: [] }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..12 {
        let reply = gateway.chat(ASK).await.expect(500);
        assert_eq!(reply.text(), answers::failure_body("down"));
    }
    assert_eq!(one.count(), 12);
    mood.mend();
    assert_eq!(gateway.served().await, "one");
}
