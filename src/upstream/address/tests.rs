use super::*;
use crate::config::load::load_str;
use pingora::upstreams::peer::Peer;
use std::future::ready;

fn addresses() -> Arc<Addresses> {
    let text = "
providers:
  one: { base_url: 'http://nowhere.invalid/v1', auth: none, models: { a: { name: a } } }
routes: [{ name: all, targets: [{ provider: one }] }]
server: { listen: '127.0.0.1:0' }
";
    let snapshot = load_str(text, "o.yaml", &|_| None).unwrap().snapshot;
    Addresses::new(Arc::clone(&snapshot.providers[0]))
}

fn answer(addresses: &Addresses, fresh_until: Instant) -> Answer {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    Answer {
        peers: vec![Arc::new(KnownPeer::new(&addresses.provider, address))],
        turning: 1,
        fresh_until,
    }
}

fn refused() -> Unresolved {
    Unresolved("no".to_owned())
}

async fn idle(addresses: &Addresses) {
    drop(addresses.asking.lock().await);
}

/// Many who come at once: how often is asked for them, and how many are answered.
async fn many(addresses: &Arc<Addresses>, found: bool) -> (usize, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (addresses, asked) = (Arc::clone(addresses), Arc::clone(&asked));
            tokio::spawn(async move {
                let answer = answer(&addresses, Instant::now() + LONGEST);
                let resolved = async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    // Long enough for all the others to come and wait.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    found.then_some(answer).ok_or_else(refused)
                };
                addresses.first(resolved).await.is_ok()
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
    let addresses = addresses();
    assert_eq!(many(&addresses, false).await, (1, 0));
    // Those who come later ask again.
    assert_eq!(many(&addresses, true).await, (1, 20));
    assert_eq!(many(&addresses, true).await, (0, 20));
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_take_the_answer_along() {
    let addresses = addresses();
    let (found, wait) = tokio::sync::oneshot::channel();
    let resolved = async { wait.await.map_err(|_| refused()) };
    let leaving = tokio::time::timeout(Duration::ZERO, addresses.first(resolved)).await;
    assert!(leaving.is_err());
    let answer = answer(&addresses, Instant::now() + LONGEST);
    assert!(found.send(answer).is_ok());
    assert!(addresses.first(ready(Err(refused()))).await.is_ok());
}

#[tokio::test]
async fn a_lookup_that_panics_is_followed_by_the_next() {
    let addresses = addresses();
    let panics = || async { panic!("in the resolver") };
    assert!(addresses.first(panics()).await.is_err());
    let now = Instant::now();
    let stale = answer(&addresses, now);
    assert!(addresses.first(ready(Ok(stale))).await.is_ok());
    addresses.refresh(now, panics());
    idle(&addresses).await;
    let fresh = answer(&addresses, now + LONGEST);
    addresses.refresh(now, ready(Ok(fresh)));
    idle(&addresses).await;
    let known = addresses.answer.load_full().unwrap();
    assert_eq!(known.fresh_until, now + LONGEST);
}

#[tokio::test]
async fn a_dead_resolver_is_left_alone_for_a_while_and_changes_nothing() {
    let addresses = addresses();
    let now = Instant::now();
    let stale = answer(&addresses, now);
    assert!(addresses.first(ready(Ok(stale))).await.is_ok());
    addresses.refresh(now, ready(Err(refused())));
    idle(&addresses).await;
    assert_eq!(addresses.answer.load_full().unwrap().fresh_until, now);
    for (later, fresh) in [(Duration::ZERO, false), (2 * SHORTEST, true)] {
        let answer = answer(&addresses, now + LONGEST);
        addresses.refresh(now + later, ready(Ok(answer)));
        idle(&addresses).await;
        let known = addresses.answer.load_full().unwrap();
        assert_eq!(known.fresh_until == now + LONGEST, fresh);
    }
}

fn providers(host: &str, key: &str) -> Vec<Arc<Provider>> {
    let text = format!(
        "
providers:
  one: {{ driver: openai, base_url: 'http://{host}/v1', api_key: {key}, models: {{ a: {{ name: a }} }} }}
routes: [{{ name: all, targets: [{{ provider: one }}] }}]
server: {{ listen: '127.0.0.1:0' }}
"
    );
    load_str(&text, "o.yaml", &|_| None)
        .unwrap()
        .snapshot
        .providers
}

#[test]
fn what_leads_to_the_same_place_keeps_its_addresses() {
    let old = providers("10.0.0.1:1", "sk-first-secret");
    let book = Book::new(&old);
    let before = find(&book.0.load(), &old[0]).unwrap();
    let new = providers("10.0.0.1:1", "sk-second-secret");
    book.follow(&new);
    let after = find(&book.0.load(), &new[0]).unwrap();
    assert!(Arc::ptr_eq(&before, &after));
}

#[tokio::test]
async fn a_request_goes_by_the_provider_of_its_own_snapshot() {
    let old = providers("10.0.0.1:1", "sk-first-secret");
    let book = Book::new(&old);
    let new = providers("10.0.0.2:1", "sk-first-secret");
    book.follow(&new);
    let now = Instant::now();
    for (provider, expected) in [(&old[0], "10.0.0.1:1"), (&new[0], "10.0.0.2:1")] {
        for _ in 0..2 {
            let peer = book.peers(provider, now).await.unwrap().next().unwrap();
            assert_eq!(peer.address().to_string(), expected);
        }
    }
    assert_eq!(book.0.load()["one"].len(), 2);
    book.follow(&new);
    assert_eq!(book.0.load()["one"].len(), 1);
}
