use super::*;
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
const AT_ONCE: Verdict = Verdict::Next { wider: false };
const WIDER: Verdict = Verdict::Next { wider: true };

fn again(ms: u64) -> Verdict {
    Verdict::Again { after: MS(ms) }
}

/// The defaults of the configuration.
fn retry() -> Retry {
    Retry {
        causes: Causes {
            connect: true,
            timeout: true,
            reset: true,
            rate_limited: true,
            server_error: true,
            stream: true,
            ..Causes::default()
        },
        attempts: 4,
        patience: MS(2000),
        backoff: (MS(250), MS(2000)),
    }
}

fn only(change: impl FnOnce(&mut Causes)) -> Retry {
    let mut causes = Causes::default();
    change(&mut causes);
    Retry { causes, ..retry() }
}

fn standing(retry: &Retry, following: Following) -> Standing<'_> {
    Standing {
        retry,
        attempts_left: 3,
        time_left: MS(60_000),
        retried_here: false,
        following,
        backoff_step: 0,
        jitter: 1.0,
    }
}

fn answered(kind: Kind, status: u16, retry_after: Option<u64>) -> Happened {
    Happened::Answered(Meaning {
        kind,
        status,
        retry_after: retry_after.map(MS),
        reason: kind.reason(),
    })
}

/// One row: what happened, then the verdict with nothing, an equal, and a later tier following.
fn row(happened: &Happened, retry: &Retry, none: Verdict, same: Verdict, later: Verdict) {
    let got = [Following::None, Following::SameTier, Following::LaterTier]
        .map(|following| judge(happened, &standing(retry, following)));
    assert_eq!(got, [none, same, later], "{happened:?}");
}

#[test]
fn no_connection_no_header_no_content() {
    for happened in [
        Happened::Unreachable,
        Happened::Reset,
        Happened::Timeout,
        Happened::NoToken,
        Happened::Truncated,
    ] {
        row(&happened, &retry(), Verdict::Stop, AT_ONCE, AT_ONCE);
    }
}

#[test]
fn each_cause_covers_its_own_and_no_other() {
    let cases: [(Retry, Happened); 6] = [
        (only(|c| c.connect = true), Happened::Unreachable),
        (only(|c| c.reset = true), Happened::Reset),
        (only(|c| c.timeout = true), Happened::Timeout),
        (only(|c| c.stream = true), Happened::Truncated),
        (
            only(|c| c.rate_limited = true),
            answered(Kind::RateLimited, 429, None),
        ),
        (
            only(|c| c.server_error = true),
            answered(Kind::ServerError, 500, None),
        ),
    ];
    for (cause, (retry, _)) in cases.iter().enumerate() {
        for (event, (_, happened)) in cases.iter().enumerate() {
            let verdict = judge(happened, &standing(retry, Following::SameTier));
            let expected = if cause == event {
                AT_ONCE
            } else {
                Verdict::Stop
            };
            assert_eq!(verdict, expected, "{retry:?} {happened:?}");
        }
    }
}

#[test]
fn rate_limits_wait_only_before_a_later_tier() {
    for (kind, status) in [(Kind::RateLimited, 429), (Kind::Overloaded, 529)] {
        let known = answered(kind, status, Some(1500));
        row(&known, &retry(), again(1500), AT_ONCE, again(1500));
        let at_patience = answered(kind, status, Some(2000));
        row(&at_patience, &retry(), again(2000), AT_ONCE, again(2000));
        let too_long = answered(kind, status, Some(2001));
        row(&too_long, &retry(), Verdict::Stop, AT_ONCE, AT_ONCE);
        let unknown = answered(kind, status, None);
        row(&unknown, &retry(), Verdict::Stop, AT_ONCE, AT_ONCE);
    }
}

#[test]
fn a_second_rate_limit_or_failure_goes_on() {
    let retry = retry();
    for happened in [
        answered(Kind::RateLimited, 429, Some(10)),
        answered(Kind::ServerError, 503, None),
    ] {
        let twice = |following| Standing {
            retried_here: true,
            ..standing(&retry, following)
        };
        assert_eq!(judge(&happened, &twice(Following::LaterTier)), AT_ONCE);
        assert_eq!(judge(&happened, &twice(Following::None)), Verdict::Stop);
    }
}

#[test]
fn server_errors_try_once_more_before_a_later_tier() {
    for status in [408, 424, 500, 502, 503, 504] {
        let failed = answered(Kind::ServerError, status, None);
        row(&failed, &retry(), again(250), AT_ONCE, again(250));
    }
    let asked = answered(Kind::ServerError, 503, Some(1200));
    row(&asked, &retry(), again(1200), AT_ONCE, again(1200));
    let asked_too_much = answered(Kind::ServerError, 503, Some(30_000));
    row(&asked_too_much, &retry(), Verdict::Stop, AT_ONCE, AT_ONCE);
}

#[test]
fn backoff_doubles_to_its_ceiling_with_full_jitter() {
    let retry = retry();
    let failed = answered(Kind::ServerError, 500, None);
    let cases = [
        (0, 1.0, 250),
        (1, 1.0, 500),
        (2, 0.5, 500),
        (3, 1.0, 2000),
        (31, 1.0, 2000),
        (32, 1.0, 2000),
        (u32::MAX, 0.25, 500),
        (5, 0.0, 0),
        (0, 7.0, 250),
        (0, -1.0, 0),
        (0, f64::NAN, 0),
    ];
    for (backoff_step, jitter, ms) in cases {
        let standing = Standing {
            backoff_step,
            jitter,
            ..standing(&retry, Following::LaterTier)
        };
        assert_eq!(
            judge(&failed, &standing),
            again(ms),
            "{backoff_step} {jitter}"
        );
    }
}

#[test]
fn our_key_and_our_money_move_on_whatever_the_causes() {
    let narrow = only(|c| c.connect = true);
    for (kind, status) in [
        (Kind::Credentials, 401),
        (Kind::Credentials, 403),
        (Kind::Quota, 402),
        (Kind::Quota, 429),
    ] {
        row(
            &answered(kind, status, None),
            &narrow,
            Verdict::Stop,
            AT_ONCE,
            AT_ONCE,
        );
        let none = only(|_| ());
        row(
            &answered(kind, status, None),
            &none,
            Verdict::Stop,
            Verdict::Stop,
            Verdict::Stop,
        );
    }
}

#[test]
fn too_long_a_context_asks_for_wider_models() {
    let too_long = answered(Kind::ContextLength, 400, None);
    row(&too_long, &retry(), Verdict::Deliver, WIDER, WIDER);
    let none = only(|_| ());
    row(
        &too_long,
        &none,
        Verdict::Deliver,
        Verdict::Deliver,
        Verdict::Deliver,
    );
}

#[test]
fn the_callers_own_errors_are_delivered_unless_named() {
    use Verdict::Deliver;
    let filtered = answered(Kind::ContentFilter, 400, None);
    row(&filtered, &retry(), Deliver, Deliver, Deliver);
    row(
        &filtered,
        &only(|c| c.content_filter = true),
        Deliver,
        AT_ONCE,
        AT_ONCE,
    );
    for status in [400, 403, 404, 409, 413, 422] {
        let rejected = answered(Kind::Rejected, status, None);
        row(&rejected, &retry(), Deliver, Deliver, Deliver);
        row(
            &rejected,
            &only(|c| c.statuses = vec![status]),
            Deliver,
            AT_ONCE,
            AT_ONCE,
        );
        row(
            &rejected,
            &only(|c| c.statuses = vec![418]),
            Deliver,
            Deliver,
            Deliver,
        );
    }
}

#[test]
fn empty_answers_move_on_and_the_last_is_delivered() {
    row(
        &Happened::Empty,
        &retry(),
        Verdict::Deliver,
        AT_ONCE,
        AT_ONCE,
    );
    let without = only(|c| c.server_error = true);
    use Verdict::Deliver;
    row(&Happened::Empty, &without, Deliver, Deliver, Deliver);
    let retry = retry();
    let last = Standing {
        attempts_left: 0,
        ..standing(&retry, Following::SameTier)
    };
    assert_eq!(judge(&Happened::Empty, &last), Verdict::Deliver);
}

#[test]
fn an_overload_belongs_to_its_own_status() {
    let rate = only(|c| c.rate_limited = true);
    let server = only(|c| c.server_error = true);
    let cases = [
        (429, true, false),
        (503, false, true),
        (529, true, true),
        (498, true, true),
    ];
    for (status, by_rate, by_server) in cases {
        let overloaded = answered(Kind::Overloaded, status, None);
        for (retry, covered) in [(&rate, by_rate), (&server, by_server)] {
            let expected = if covered { AT_ONCE } else { Verdict::Stop };
            let verdict = judge(&overloaded, &standing(retry, Following::SameTier));
            assert_eq!(verdict, expected, "{status} {retry:?}");
        }
    }
}

#[test]
fn a_single_status_may_be_named() {
    let only_503 = only(|c| c.statuses = vec![503]);
    row(
        &answered(Kind::ServerError, 503, None),
        &only_503,
        again(250),
        AT_ONCE,
        again(250),
    );
    row(
        &answered(Kind::ServerError, 500, None),
        &only_503,
        Verdict::Stop,
        Verdict::Stop,
        Verdict::Stop,
    );
}

#[test]
fn a_wait_that_outlasts_the_deadline_is_not_begun() {
    let retry = retry();
    let limited = answered(Kind::RateLimited, 429, Some(1000));
    let short = |ms, following| Standing {
        time_left: MS(ms),
        ..standing(&retry, following)
    };
    assert_eq!(judge(&limited, &short(1000, Following::LaterTier)), AT_ONCE);
    assert_eq!(
        judge(&limited, &short(1000, Following::None)),
        Verdict::Stop
    );
    assert_eq!(
        judge(&limited, &short(1001, Following::LaterTier)),
        again(1000)
    );
    assert_eq!(
        judge(&Happened::Reset, &short(0, Following::SameTier)),
        Verdict::Stop
    );
}

#[test]
fn no_causes_means_no_retry_of_any_kind() {
    let none = only(|_| ());
    for happened in everything() {
        for following in [Following::None, Following::SameTier, Following::LaterTier] {
            let verdict = judge(&happened, &standing(&none, following));
            assert!(
                matches!(verdict, Verdict::Deliver | Verdict::Stop),
                "{happened:?}"
            );
        }
    }
}

fn everything() -> Vec<Happened> {
    let mut all = vec![
        Happened::Unreachable,
        Happened::Reset,
        Happened::Timeout,
        Happened::NoToken,
        Happened::Empty,
        Happened::Truncated,
    ];
    for (kind, status) in [
        (Kind::RateLimited, 429),
        (Kind::Overloaded, 529),
        (Kind::ServerError, 503),
        (Kind::Credentials, 401),
        (Kind::Quota, 402),
        (Kind::ContextLength, 400),
        (Kind::ContentFilter, 400),
        (Kind::Rejected, 404),
    ] {
        all.extend([None, Some(0), Some(900), Some(90_000)].map(|ra| answered(kind, status, ra)));
    }
    all
}

prop_compose! {
    fn any_retry()(
        flags in any::<[bool; 7]>(),
        statuses in proptest::sample::subsequence(vec![400u16, 404, 429, 503, 529], 0..=5),
        patience in 0u64..5000,
        least in 0u64..3000,
        more in 0u64..3000,
    ) -> Retry {
        let [connect, timeout, reset, rate_limited, server_error, stream, content_filter] = flags;
        Retry {
            causes: Causes {
                connect, timeout, reset, rate_limited, server_error, stream, content_filter,
                statuses,
            },
            attempts: 4,
            patience: MS(patience),
            backoff: (MS(least), MS(least + more)),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_limits_hold(
        happened in proptest::sample::select(everything()),
        retry in any_retry(),
        attempts_left in 0u32..3,
        time_left in 0u64..4000,
        retried_here in any::<bool>(),
        following in proptest::sample::select(
            vec![Following::None, Following::SameTier, Following::LaterTier],
        ),
        backoff_step in any::<u32>(),
        jitter in any::<f64>(),
    ) {
        let time_left = MS(time_left);
        let standing = Standing {
            retry: &retry,
            attempts_left,
            time_left,
            retried_here,
            following,
            backoff_step,
            jitter,
        };
        match judge(&happened, &standing) {
            Verdict::Again { after } => {
                prop_assert!(attempts_left > 0 && after < time_left);
                prop_assert!(!retried_here && following != Following::SameTier);
                prop_assert!(matches!(happened, Happened::Answered(_)));
                prop_assert!(!retry.causes.is_empty());
            }
            Verdict::Next { .. } => {
                prop_assert!(attempts_left > 0 && !time_left.is_zero());
                prop_assert!(following != Following::None);
                prop_assert!(!retry.causes.is_empty());
            }
            Verdict::Deliver => prop_assert!(
                !matches!(happened, Happened::Timeout | Happened::NoToken | Happened::Unreachable)
            ),
            Verdict::Stop => prop_assert!(happened != Happened::Empty),
        }
    }
}
