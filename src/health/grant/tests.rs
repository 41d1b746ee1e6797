use super::*;
use crate::config::load::load_str;
use crate::config::snapshot::Snapshot;
use crate::error::Reason;

fn snapshot(provider: &str) -> Snapshot {
    let text = format!(
        "auth: off
providers:
  one: {{ base_url: 'http://127.0.0.1:1/v1', models: {{ m: x }}, {provider} }}
routes:
  - {{ name: main, match: {{ models: [m] }}, targets: [{{ provider: one }}] }}"
    );
    load_str(&text, "test", &|_| None).unwrap().snapshot
}

struct Place {
    snapshot: Snapshot,
    board: Board,
    now: Instant,
}

impl Place {
    fn new(provider: &str) -> Place {
        let snapshot = snapshot(provider);
        let now = Instant::now();
        let board = Board::new(&snapshot, &Board::default(), now);
        Place {
            snapshot,
            board,
            now,
        }
    }

    fn target(&self) -> &Target {
        &self.snapshot.routes[0].targets[0]
    }

    fn take(&self) -> Result<Grant, Bar> {
        Grant::take(&self.board, self.target(), self.now, 10, false)
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn answered(kind: Kind, status: u16, retry_after: Option<u64>) -> Happened {
    Happened::Answered(Meaning {
        kind,
        status,
        retry_after: retry_after.map(Duration::from_secs),
        reason: Reason::ProviderError,
    })
}

const AUTH: &str = "auth: none";
const KEYS: &str = "api_keys: [a, b]";

#[test]
fn a_target_that_fails_too_often_is_left_alone_and_comes_back() {
    let mut place = Place::new(AUTH);
    for _ in 0..10 {
        place.take().unwrap().failed(place.now, &Happened::Reset);
    }
    assert!(matches!(place.take(), Err(Bar::Open(_))));
    place.wait(5);
    let mut probe = place.take().unwrap();
    assert!(
        matches!(place.take(), Err(Bar::Open(_))),
        "one probe at a time"
    );
    assert!(probe.succeeded(place.now));
    assert!(place.take().is_ok());
}

#[test]
fn the_least_bad_may_be_asked_regardless() {
    let place = Place::new(AUTH);
    for _ in 0..10 {
        place.take().unwrap().failed(place.now, &Happened::Timeout);
    }
    let regardless = Grant::take(&place.board, place.target(), place.now, 10, true);
    assert!(regardless.unwrap().succeeded(place.now));
    assert!(place.take().is_ok());
}

#[test]
fn callers_errors_and_limits_do_not_open_it() {
    let place = Place::new(AUTH);
    for happened in [
        answered(Kind::Rejected, 400, None),
        answered(Kind::RateLimited, 429, None),
        answered(Kind::Overloaded, 529, None),
        Happened::Empty,
    ] {
        for _ in 0..100 {
            place.take().unwrap().failed(place.now, &happened);
        }
    }
    // And whoever leaves tells nothing.
    for _ in 0..100 {
        drop(place.take().unwrap());
    }
    assert!(place.take().is_ok());
}

#[test]
fn it_rests_as_long_as_it_asks() {
    for (kind, status) in [
        (Kind::RateLimited, 429),
        (Kind::Overloaded, 529),
        (Kind::ServerError, 503),
    ] {
        let mut place = Place::new(AUTH);
        let limited = answered(kind, status, Some(3));
        place.take().unwrap().failed(place.now, &limited);
        place.wait(2);
        assert_eq!(
            place.take().err(),
            Some(Bar::Cooling(Duration::from_secs(1)))
        );
        place.wait(1);
        assert!(place.take().is_ok());
    }
}

#[test]
fn of_several_keys_the_limited_one_rests_and_the_refused_one_is_left_out() {
    let place = Place::new(KEYS);
    let mut first = place.take().unwrap();
    assert!(first.has_another_key(place.now));
    first.failed(place.now, &answered(Kind::RateLimited, 429, Some(30)));
    let other = 1 - first.key;
    for _ in 0..5 {
        assert_eq!(place.take().unwrap().key, other);
    }
    let mut second = place.take().unwrap();
    second.failed(place.now, &answered(Kind::Credentials, 401, None));
    assert!(!second.has_another_key(place.now));
    assert!(matches!(place.take(), Err(Bar::KeysLimited(_))));
    let place = Place::new(KEYS);
    for _ in 0..2 {
        let refused = answered(Kind::Quota, 402, None);
        place.take().unwrap().failed(place.now, &refused);
    }
    assert!(matches!(place.take(), Err(Bar::KeysBad(_))));
}

#[test]
fn a_full_target_says_which_limit() {
    let place = Place::new("auth: none, limits: { concurrency: 1 }");
    let held = place.take().unwrap();
    assert_eq!(place.take().err().map(Bar::label), Some("concurrency"));
    drop(held);
    assert!(place.take().is_ok());
    let place = Place::new("auth: none, limits: { rpm: 2 }");
    assert!(place.take().is_ok() && place.take().is_ok());
    assert_eq!(place.take().err().map(Bar::label), Some("rpm"));
    let place = Place::new("auth: none, limits: { tpm: 20 }");
    let mut first = place.take().unwrap();
    first.settle(place.now, 20);
    assert_eq!(place.take().err().map(Bar::label), Some("tpm"));
}

#[test]
fn what_was_reserved_and_not_used_comes_back() {
    let place = Place::new("auth: none, limits: { tpm: 1000 }");
    let reserve = || Grant::take(&place.board, place.target(), place.now, 900, false);
    let told = |input, output| Usage {
        input,
        output,
        ..Usage::default()
    };
    for (usage, fits) in [
        (told(Some(20), Some(10)), true),
        // A stream that was broken off: what came of it is known, its prompt is reckoned.
        (told(None, Some(10)), true),
        (told(None, Some(200)), false),
    ] {
        let mut grant = reserve().unwrap();
        grant.used(place.now, usage, 20);
        drop(grant);
        assert_eq!(
            reserve().map(|mut grant| grant.left(place.now)).is_ok(),
            fits
        );
    }
}

#[test]
fn what_was_known_survives_a_new_configuration() {
    let place = Place::new(KEYS);
    for _ in 0..10 {
        place.take().unwrap().failed(place.now, &Happened::Reset);
    }
    let held = place.take();
    assert!(held.is_err());
    let changed = snapshot("api_keys: [a, b], limits: { concurrency: 5 }");
    let board = Board::new(&changed, &place.board, place.now);
    let target = &changed.routes[0].targets[0];
    let taken = Grant::take(&board, target, place.now, 10, false);
    assert!(matches!(taken, Err(Bar::Open(_))));
    board.target(target).unwrap().disable(true);
    let again = Board::new(&changed, &board, place.now);
    let taken = Grant::take(&again, target, place.now, 10, true);
    assert_eq!(taken.err(), Some(Bar::Disabled));
}
