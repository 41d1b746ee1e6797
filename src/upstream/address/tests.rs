use super::*;
use crate::config::load::load_str;
use crate::config::snapshot::Health;
use crate::config::snapshot::Probe;
use crate::upstream::resolver::AGAIN;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(1000);

fn provider(hosts: &[&str]) -> Arc<Provider> {
    let text = "
providers:
  one: { base_url: 'http://nowhere.invalid/v1', auth: none, models: { a: { name: a } } }
routes: [{ name: all, targets: [{ provider: one }] }]
server: { listen: '127.0.0.1:0' }
";
    let mut snapshot = load_str(text, "o.yaml", &|_| None).unwrap().snapshot;
    snapshot.routes.clear();
    let mut provider = Arc::into_inner(snapshot.providers.remove(0)).unwrap();
    provider.addresses = hosts
        .iter()
        .map(|host| crate::config::snapshot::Address {
            host: (*host).to_owned(),
            port: 80,
            weight: 1,
        })
        .collect();
    provider.health = Some(rules());
    Arc::new(provider)
}

fn rules() -> Health {
    Health {
        probe: Probe::Tcp,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy_after: 2,
        healthy_after: 2,
    }
}

fn addresses(hosts: &[&str]) -> Arc<Addresses> {
    Addresses::new(provider(hosts), None, Instant::now())
}

fn found(ips: &[&str], holds: Duration) -> Result<Found, Unresolved> {
    let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    let now = Instant::now();
    Ok(Found::new(ips, now + holds, now))
}

fn one() -> Vec<Result<Found, Unresolved>> {
    vec![found(&["127.0.0.1"], LONG)]
}

fn refused() -> Vec<Result<Found, Unresolved>> {
    vec![Err(Unresolved("no".to_owned()))]
}

async fn idle(addresses: &Addresses) {
    drop(addresses.asking.lock().await);
}

async fn names(addresses: &Arc<Addresses>) -> Vec<String> {
    let choice = addresses.choose(None, Instant::now()).await.unwrap();
    choice.map(|peer| peer.name().to_string()).collect()
}

/// Many who come at once: how often is asked for them, and how many are answered.
async fn many(addresses: &Arc<Addresses>, is_found: bool) -> (usize, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (addresses, asked) = (Arc::clone(addresses), Arc::clone(&asked));
            tokio::spawn(async move {
                let heard = async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    // Long enough for all the others to come and wait.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    if is_found { one() } else { refused() }
                };
                addresses.first(heard).await.is_ok()
            })
        })
        .collect();
    let mut answered = 0;
    for caller in callers {
        answered += usize::from(caller.await.unwrap());
    }
    (asked.load(Ordering::Relaxed), answered)
}

#[tokio::test]
async fn all_who_wait_share_one_answer_and_one_failure() {
    let addresses = addresses(&[]);
    assert_eq!(many(&addresses, false).await, (1, 0));
    // Those who come later ask again.
    assert_eq!(many(&addresses, true).await, (1, 20));
    assert_eq!(many(&addresses, true).await, (0, 20));
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_take_the_answer_along() {
    let addresses = addresses(&[]);
    let (found, wait) = tokio::sync::oneshot::channel();
    let heard = async { wait.await.unwrap_or_else(|_| refused()) };
    let leaving = tokio::time::timeout(Duration::ZERO, addresses.first(heard)).await;
    assert!(leaving.is_err());
    assert!(found.send(one()).is_ok());
    assert!(addresses.first(ready(refused())).await.is_ok());
}

#[tokio::test]
async fn a_lookup_that_panics_is_followed_by_the_next() {
    let addresses = addresses(&[]);
    let panics = || async { panic!("in the resolver") };
    assert!(addresses.first(panics()).await.is_err());
    assert!(addresses.first(ready(one())).await.is_ok());
    addresses.refresh(panics());
    idle(&addresses).await;
    addresses.refresh(ready(vec![found(&["127.0.0.2"], LONG)]));
    idle(&addresses).await;
    assert_eq!(names(&addresses).await, ["127.0.0.2:80"]);
}

#[tokio::test]
async fn a_dead_resolver_is_left_alone_for_a_while_and_changes_nothing() {
    let addresses = addresses(&[]);
    let stale = vec![found(&["127.0.0.1"], Duration::ZERO)];
    assert!(addresses.first(ready(stale)).await.is_ok());
    addresses.refresh(ready(refused()));
    idle(&addresses).await;
    assert_eq!(names(&addresses).await, ["127.0.0.1:80"]);
    let renew = addresses.roster.load_full().unwrap().renew;
    let wait = renew.saturating_duration_since(Instant::now());
    assert!(wait > AGAIN / 2 && wait <= AGAIN, "{wait:?}");
}

#[tokio::test]
async fn use_before_its_end_renews_an_answer_and_what_stays_silent_stays() {
    let addresses = addresses(&[]);
    assert!(addresses.first(ready(one())).await.is_ok());
    let renew = |addresses: &Addresses| addresses.roster.load_full().unwrap().renew;
    let first = renew(&addresses);
    let now = Instant::now();
    assert!(first < now + LONG);
    for (used, is_asked) in [(now, false), (first, true)] {
        let choice = addresses.choose(None, used).await.unwrap();
        assert_eq!(choice.count(), 1);
        idle(&addresses).await;
        assert_eq!(renew(&addresses) != first, is_asked);
    }
    assert_eq!(names(&addresses).await, ["127.0.0.1:80"]);
}

#[tokio::test]
async fn what_is_known_is_used_while_the_rest_is_looked_up() {
    let addresses = addresses(&["10.0.0.1", "nowhere.invalid"]);
    let roster = addresses.roster.load_full().unwrap();
    assert_eq!(roster.peers().len(), 1);
    assert!(roster.renew <= Instant::now(), "the other is asked for");
    let literal = || found(&["10.0.0.1"], LONG);
    addresses.refresh(ready(vec![literal(), found(&["10.0.0.2"], LONG)]));
    idle(&addresses).await;
    let mut both = names(&addresses).await;
    both.sort();
    assert_eq!(both, ["10.0.0.1:80", "10.0.0.2:80"]);
    // A name that fails later keeps what it last led to.
    addresses.refresh(ready(vec![literal(), Err(given_up())]));
    idle(&addresses).await;
    assert_eq!(names(&addresses).await.len(), 2);
}

#[tokio::test]
async fn the_unhealthy_come_last_and_all_of_them_take_turns() {
    let addresses = addresses(&["10.0.0.1", "10.0.0.2"]);
    let now = Instant::now();
    let checked = |host: &str, wrong: Option<&str>| {
        for _ in 0..2 {
            let wrong = wrong.map(str::to_owned);
            addresses.checked(&format!("{host}:80"), wrong, &rules(), now);
        }
    };
    checked("10.0.0.1", Some("silent"));
    for _ in 0..4 {
        assert_eq!(names(&addresses).await, ["10.0.0.2:80", "10.0.0.1:80"]);
    }
    assert!(addresses.is_well());
    checked("10.0.0.2", Some("silent"));
    assert!(!addresses.is_well());
    let (one, two) = (names(&addresses).await, names(&addresses).await);
    assert_eq!(one.len(), 2);
    assert_ne!(one, two);
    checked("10.0.0.1", None);
    assert_eq!(names(&addresses).await, ["10.0.0.1:80", "10.0.0.2:80"]);
}

#[tokio::test]
async fn what_a_name_led_to_survives_a_reload_beside_other_places() {
    let before = addresses(&["a.invalid", "10.0.0.1"]);
    let answer = vec![found(&["10.0.0.9"], LONG), found(&["10.0.0.1"], LONG)];
    before.refresh(ready(answer));
    idle(&before).await;
    let now = Instant::now();
    let next = provider(&["10.0.0.2", "a.invalid"]);
    let after = Addresses::new(next, Some(&before), now);
    let known = after.known_peers(now).unwrap();
    let mut known: Vec<&str> = known.iter().map(|peer| &**peer.name()).collect();
    known.sort_unstable();
    assert_eq!(known, ["10.0.0.2:80", "10.0.0.9:80"]);
}

#[tokio::test]
async fn health_survives_a_reload_by_provider_and_address() {
    let before = provider(&["10.0.0.1", "10.0.0.2"]);
    let book = Book::new(std::slice::from_ref(&before));
    let page = book.addresses().remove(0);
    for _ in 0..2 {
        page.checked(
            "10.0.0.1:80",
            Some("silent".to_owned()),
            &rules(),
            Instant::now(),
        );
    }
    drop(page);
    let after = provider(&["10.0.0.1", "10.0.0.3"]);
    book.reload(std::slice::from_ref(&after));
    let states: Vec<_> = book
        .standings()
        .into_iter()
        .map(|one| (one.address.to_string(), one.state.name(), one.why))
        .collect();
    let why = Some("silent".to_owned());
    assert_eq!(
        states,
        [
            ("10.0.0.1:80".to_owned(), "unhealthy", why),
            ("10.0.0.3:80".to_owned(), "unchecked", None),
        ]
    );
    // Who still holds the old snapshot goes where it led.
    let now = Instant::now();
    let old: Vec<_> = book.peers(&before, None, now).await.unwrap().collect();
    assert!(old.iter().any(|peer| &**peer.name() == "10.0.0.2:80"));
    let new: Vec<_> = book.peers(&after, None, now).await.unwrap().collect();
    assert!(new.iter().all(|peer| &**peer.name() != "10.0.0.2:80"));
    // Nobody does any more.
    let stranger = provider(&[]);
    assert!(book.peers(&stranger, None, now).await.is_err());
    drop(before);
    book.reload(std::slice::from_ref(&after));
    assert_eq!(book.held_over(), 0);
}
