//! Where a request stands in a distributed trace, as W3C Trace Context tells it from one process to
//! the next.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};
use std::fmt;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The only flag that has a meaning here.
const SAMPLED: u8 = 1;

/// Never zero, which stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// Never zero, which stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub id: TraceId,
    /// The caller's span that this request is a part of.
    pub parent: Option<SpanId>,
    /// The request's own. None: nobody is told of traces here, and the caller's headers go through.
    pub span: Option<SpanId>,
    pub sampled: bool,
}

impl TraceContext {
    /// The trace that the caller is in, or else, where a share of requests is to be sampled, a new
    /// one. Whoever began a trace has decided whether it is sampled.
    pub fn of(
        caller: &HeaderMap,
        sample: Option<f64>,
        draw: impl FnOnce() -> (u128, u64),
    ) -> Option<TraceContext> {
        let begun = of_caller(caller);
        let Some(share) = sample else {
            return begun;
        };
        let (id, span) = draw();
        let context = begun.unwrap_or_else(|| TraceContext {
            id: TraceId(id.max(1)),
            parent: None,
            span: None,
            sampled: is_within(share, id),
        });
        Some(TraceContext {
            span: Some(SpanId(span.max(1))),
            ..context
        })
    }

    /// The span of the request's attempt with this number, from 0. It follows from the request's
    /// own, so that nobody has to carry it about.
    pub fn attempt(&self, number: usize) -> Option<SpanId> {
        self.span.map(|span| descendant(span, number))
    }

    /// What this attempt's provider is told. None: what the caller said.
    pub fn traceparent(&self, number: usize) -> Option<HeaderValue> {
        let span = self.attempt(number)?;
        let flags = if self.sampled { SAMPLED } else { 0 };
        HeaderValue::try_from(format!("00-{}-{span}-{flags:02x}", self.id)).ok()
    }

    /// It is to be told of.
    pub fn is_told(&self) -> bool {
        self.sampled && self.span.is_some()
    }
}

/// One well-formed `traceparent`, or nothing.
fn of_caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    parse(value.to_str().ok()?)
}

fn parse(text: &str) -> Option<TraceContext> {
    let mut parts = text.splitn(5, '-');
    let version = hex(parts.next()?, 2)?;
    let id = hex(parts.next()?, 32).filter(|id| *id != 0)?;
    let parent = hex(parts.next()?, 16).filter(|id| *id != 0)?;
    let flags = hex(parts.next()?, 2)?;
    // A later version may go on after these; the first does not, and the last is none.
    if version == 0xff || (version == 0 && parts.next().is_some()) {
        return None;
    }
    Some(TraceContext {
        id: TraceId(id),
        parent: Some(SpanId(u64::try_from(parent).ok()?)),
        span: None,
        sampled: flags & u128::from(SAMPLED) != 0,
    })
}

/// So many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_hex) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// Decided by the id, so that whoever sees the same trace with the same share decides alike.
fn is_within(share: f64, id: u128) -> bool {
    const BITS: u32 = 52;
    let place = (id & ((1 << BITS) - 1)) as f64 / (1_u64 << BITS) as f64;
    place < share
}

/// A bijection for each number, so that those of one request are all different, and none can be
/// told from a random one.
fn descendant(span: SpanId, number: usize) -> SpanId {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let turn = (number as u64).wrapping_add(1).wrapping_mul(STEP);
    let mut mixed = span.0.wrapping_add(turn);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    SpanId((mixed ^ (mixed >> 31)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn of(values: &[&str], sample: Option<f64>) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        TraceContext::of(&headers, sample, || (7 << 64, 9))
    }

    #[test]
    fn the_callers_trace_goes_on() {
        for (flags, sampled) in [("01", true), ("00", false), ("03", true), ("fe", false)] {
            let told = format!("00-{TRACE}-{PARENT}-{flags}");
            for sample in [0.0, 1.0] {
                let context = of(&[&told], Some(sample)).unwrap();
                assert_eq!(context.id.to_string(), TRACE);
                assert_eq!(context.parent.unwrap().to_string(), PARENT);
                assert_eq!(context.span, Some(SpanId(9)));
                assert_eq!(context.sampled, sampled, "{told}");
            }
            // Known for the log, and nothing is changed.
            let context = of(&[&told], None).unwrap();
            assert_eq!((context.span, context.traceparent(0)), (None, None));
            assert!(!context.is_told());
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let told = format!("cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like");
        assert_eq!(of(&[&told], None).unwrap().id.to_string(), TRACE);
        assert!(of(&[&format!("01-{TRACE}-{PARENT}-01")], None).is_some());
    }

    #[test]
    fn what_is_malformed_is_as_if_nothing_was_said() {
        let told = |text: &str| text.replace('T', TRACE).replace('P', PARENT);
        for wrong in [
            "",
            "00",
            "00-T",
            "00-T-P",
            "00-T-P-",
            "00-T-P-1",
            "00-T-P-001",
            "00-T-P-01-",
            "00-T-P-01-x",
            "00-T-P-0x",
            "00-T-P-+1",
            "00-T-P-0A",
            "ff-T-P-01",
            "0-T-P-01",
            "000-T-P-01",
            "00_T_P_01",
            " 00-T-P-01",
            "00-00000000000000000000000000000000-P-01",
            "00-T-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-P-01",
            "00-T-00F067AA0BA902B7-01",
            "00-Ta-P-01",
            "00-P-T-01",
            "cc-T-P-01x",
        ] {
            let wrong = told(wrong);
            assert_eq!(of(&[&wrong], None), None, "{wrong}");
            let begun = of(&[&wrong], Some(1.0)).unwrap();
            assert_eq!(
                (begun.id, begun.parent),
                (TraceId(7 << 64), None),
                "{wrong}"
            );
        }
        let twice = told("00-T-P-01");
        assert_eq!(of(&[&twice, &twice], None), None);
    }

    #[test]
    fn no_id_is_zero() {
        let context = TraceContext::of(&HeaderMap::new(), Some(1.0), || (0, 0)).unwrap();
        assert_eq!((context.id, context.span), (TraceId(1), Some(SpanId(1))));
    }

    #[test]
    fn attempts_have_spans_of_their_own_and_their_providers_are_told() {
        let context = of(&[], Some(1.0)).unwrap();
        let spans: Vec<SpanId> = (0..64).filter_map(|n| context.attempt(n)).collect();
        for (number, span) in spans.iter().enumerate() {
            assert_ne!(Some(*span), context.span);
            assert!(!spans[..number].contains(span));
            let told = context.traceparent(number).unwrap();
            let told = parse(told.to_str().unwrap()).unwrap();
            assert_eq!((told.id, told.parent), (context.id, Some(*span)));
            assert!(told.sampled);
        }
        let unsampled = of(&[], Some(0.0)).unwrap();
        let told = unsampled.traceparent(0).unwrap();
        assert!(told.to_str().unwrap().ends_with("-00"), "{told:?}");
        assert!(!unsampled.is_told());
    }

    #[test]
    fn the_share_is_kept() {
        let ids =
            (0..10_000_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let sampled = ids.filter(|id| is_within(0.1, *id)).count();
        assert!((900..1100).contains(&sampled), "{sampled}");
        assert!(is_within(1.0, u128::MAX) && !is_within(0.0, 1 << 64));
    }
}
