//! One value, one target, so that its cache is warm; and what moves when a target goes.

use crate::harness::answers::failure;
use crate::harness::fleet::{Mood, by, counts, gated, well};
use crate::harness::*;
use std::collections::{BTreeMap, BTreeSet};

const THREE: &str = "{ provider: one }, { provider: two }, { provider: three }";

pub fn sticky(providers: &[Provider], by: Option<&str>) -> Config {
    let config = Config::of(providers)
        .route("main", THREE)
        .on_route("balance", "sticky");
    match by {
        Some(by) => config.on_route("sticky", by),
        None => config,
    }
}

/// Where each of these is served: every time at the same target.
pub async fn homes<T: Ord + Clone>(
    gateway: &Gateway,
    values: impl IntoIterator<Item = T>,
    request: impl Fn(&T) -> Request,
) -> BTreeMap<T, String> {
    let mut conn = Conn::open(gateway.address).await;
    let mut homes = BTreeMap::new();
    let values: Vec<T> = values.into_iter().collect();
    for round in 0..3 {
        for value in &values {
            let name = by(&conn.ask(&request(value)).await.expect(200));
            let home = homes.entry(value.clone()).or_insert_with(|| name.clone());
            assert_eq!(*home, name, "another home in round {round}");
        }
    }
    homes
}

/// They are at home in different places.
fn spread<T>(homes: &BTreeMap<T, String>, least: usize) {
    let places: BTreeSet<_> = homes.values().collect();
    assert!(places.len() >= least, "all in {places:?}");
}

pub fn session(number: &usize) -> Request {
    Request::chat(ASK).header("x-overspill-session", &format!("session-{number}"))
}

#[tokio::test]
async fn a_session_stays_where_it_is() {
    let providers = well(3).await;
    let gateway = Gateway::start(&sticky(&providers, None)).await;
    let homes = homes(&gateway, 0..40, session).await;
    spread(&homes, 3);
    let least = counts(&providers).into_iter().min();
    assert!(least >= Some(12), "{:?} of 120", counts(&providers));
    assert!(providers[0].seen()[0].get("x-overspill-session").is_none());
}

#[tokio::test]
async fn so_does_the_value_of_a_header() {
    let providers = well(3).await;
    let gateway = Gateway::start(&sticky(&providers, Some("[{ header: X-User }]"))).await;
    let request = |number: &usize| {
        // A session is not asked for here, and each request has another.
        let session = format!("{:?}", Instant::now());
        Request::chat(ASK)
            .header("x-user", &format!("user-{number}"))
            .header("x-overspill-session", &session)
    };
    spread(&homes(&gateway, 0..40, request).await, 3);
}

#[tokio::test]
async fn so_does_a_key() {
    let providers = well(3).await;
    let names: Vec<String> = (0..12).map(|number| format!("team-{number}")).collect();
    let mut config = sticky(&providers, Some("[key]")).top("keys:");
    for name in &names {
        config = config.top(&format!("  - {{ name: {name}, secret: sk-client-{name} }}"));
    }
    let gateway = Gateway::start(&config).await;
    let request = |name: &String| Request::chat(ASK).key(&format!("sk-client-{name}"));
    spread(&homes(&gateway, names, request).await, 2);
}

#[tokio::test]
async fn so_does_a_conversation_by_its_beginning() {
    let providers = well(3).await;
    let gateway = Gateway::start(&sticky(&providers, Some("[message]"))).await;
    let turns = std::cell::Cell::new(0);
    let request = |number: &usize| {
        turns.set(turns.get() + 1);
        // The same beginning, and more and more after it.
        let more = r#",{"role":"assistant","content":"yes"},{"role":"user","content":"go on"}"#;
        Request::chat(format!(
            "{{\"temperature\":0.{},\"model\":\"acme/chat\",\"messages\":[\
             {{\"role\":\"system\",\"content\":\"be kind\"}},\
             {{\"role\":\"user\",\"content\":\"question {number}\"}}{}]}}",
            turns.get(),
            more.repeat(turns.get() % 4)
        ))
    };
    spread(&homes(&gateway, 0..30, request).await, 3);
}

#[tokio::test]
async fn where_the_first_is_missing_the_next_of_the_list_holds() {
    let providers = well(3).await;
    let config = sticky(&providers, Some("[{ header: x-user }, session, message]"));
    let gateway = Gateway::start(&config).await;
    spread(&homes(&gateway, 0..30, session).await, 3);
    let worded = |number: &usize| Request::chat(ASK.replace("hi", &format!("question {number}")));
    spread(&homes(&gateway, 0..30, worded).await, 3);
    // Both at once: the earlier of the list decides.
    let both = |number: &usize| session(number).header("x-user", "the same");
    let homes = homes(&gateway, 0..30, both).await;
    let places: BTreeSet<_> = homes.values().collect();
    assert_eq!(places.len(), 1, "{places:?}");
}

#[tokio::test]
async fn who_has_nothing_to_hold_on_to_goes_anywhere() {
    let providers = well(3).await;
    let gateway = Gateway::start(&sticky(&providers, Some("[session]"))).await;
    for _ in 0..60 {
        gateway.served().await;
    }
    let least = counts(&providers).into_iter().min();
    assert!(least >= Some(5), "{:?}", counts(&providers));
}

/// Of `before`, only those at home in `gone` are elsewhere in `after`, and not all in one place.
pub fn only_moved(before: &BTreeMap<usize, String>, after: &BTreeMap<usize, String>, gone: &str) {
    let mut heirs = BTreeSet::new();
    for (value, home) in before {
        let now = &after[value];
        assert_ne!(now, gone, "session {value}");
        match home == gone {
            true => drop(heirs.insert(now)),
            false => assert_eq!(now, home, "session {value} had no reason to move"),
        }
    }
    assert_eq!(heirs.len(), 2, "{heirs:?} have taken over");
}

#[tokio::test]
async fn a_target_that_is_taken_out_of_the_file_moves_its_own_alone() {
    let providers = well(3).await;
    let config = sticky(&providers, None);
    let before = homes(&Gateway::start(&config).await, 0..60, session).await;
    for without in [
        "{ provider: one }, { provider: three }",
        "{ provider: one }, { provider: two, weight: 0 }, { provider: three }",
        "{ provider: three }, { provider: one }",
    ] {
        let config = config.clone().on_route("targets", &format!("[{without}]"));
        let after = homes(&Gateway::start(&config).await, 0..60, session).await;
        only_moved(&before, &after, "two");
    }
}

#[tokio::test]
async fn a_target_that_dies_moves_its_own_alone_and_has_them_back() {
    let mood = Mood::default();
    let providers = [
        Provider::well().await,
        mood.provider().await,
        Provider::well().await,
    ];
    let breaker = "{ failures: 50%, last: 4, minimum: 2, interval: 300ms }";
    let config = sticky(&providers, None).on_provider("two", "breaker", breaker);
    let gateway = Gateway::start(&config).await;
    let before = homes(&gateway, 0..60, session).await;
    mood.set(vec![failure(500, "down")]);
    let mut conn = Conn::open(gateway.address).await;
    // Until it is known to be dead; the probes after that change nothing for the caller.
    for number in before.keys() {
        conn.ask(&session(number)).await.expect(200);
    }
    mood.set(vec![Act::Reset]);
    let after = homes(&gateway, 0..60, session).await;
    only_moved(&before, &after, "two");
    mood.mend();
    let theirs = before.iter().find(|(_, home)| *home == "two").unwrap().0;
    let start = Instant::now();
    while by(&conn.ask(&session(theirs)).await.expect(200)) != "two" {
        assert!(start.elapsed() < ms(3000), "it is not used again");
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(homes(&gateway, 0..60, session).await, before);
}

#[tokio::test]
async fn a_hot_session_spills_and_comes_home() {
    let (providers, gate) = gated(3).await;
    let gateway = Gateway::start(&sticky(&providers, None)).await;
    let mut held = Vec::new();
    let mut home = None;
    for number in 0..42 {
        held.push(gateway.held(session(&7), &providers).await);
        if number == 2 {
            // A few of them are no crowd.
            home = counts(&providers).iter().position(|count| *count == 3);
        }
    }
    let home = home.expect("three at once are served at one target");
    let crowd = counts(&providers);
    // A third is 14; a quarter more than that, and a place or two.
    assert!(
        crowd.iter().all(|count| (5..=19).contains(count)),
        "{crowd:?}"
    );
    assert_eq!(crowd.iter().max(), Some(&crowd[home]), "{crowd:?}");
    gate.add_permits(1000);
    for conn in &mut held {
        conn.reply("POST").await.expect(200);
    }
    let before = providers[home].count();
    for _ in 0..5 {
        gateway.ask(session(&7)).await.expect(200);
    }
    assert_eq!(providers[home].count(), before + 5, "it has cooled");
}
