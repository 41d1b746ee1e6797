//! A record as one line.
//!
//! Written by the request itself, so by hand: by serde, field for field, it would take as long as
//! all that is counted of a request.

use crate::error::Reason;
use crate::pricing::Micros;
use crate::store::record::Record;
use crate::telemetry::tale::{Attempt, trace, write_trace};
use std::borrow::Cow;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

/// Most lines are shorter.
pub const LENGTH: usize = 1024;

/// An object whose members are written in this order. What is unknown, nothing or not so is left
/// out.
pub fn json(record: &Record, line: &mut Vec<u8>) {
    let (usage, estimated) = record.usage();
    let cost = record.cost();
    let attempts = &*record.attempts;
    let mut line = Members(line);
    // Milliseconds since the epoch, at the start.
    let began = record.began.duration_since(UNIX_EPOCH).map_or(0, millis);
    line.number(r#"{"time_ms":"#, began);
    line.text(r#","request_id":"#, &record.request_id);
    if let Some(context) = record.context {
        line.shown(r#","trace_id":"#, context.id);
    }
    line.text(r#","method":"#, &record.method);
    line.text(r#","path":"#, &record.path);
    line.text_if(r#","key":"#, record.key.as_deref());
    line.text_if(r#","route":"#, record.route.as_deref());
    line.text_if(r#","model":"#, record.asked.as_deref());
    line.text_if(r#","served":"#, record.served.as_deref());
    line.text_if(r#","provider":"#, record.provider.as_deref());
    line.word(
        r#","stream":"#,
        if record.stream { "true" } else { "false" },
    );
    // The first key is not named.
    let key = Some(record.provider_key()).filter(|key| *key > 0);
    line.number_if(r#","provider_key":"#, key.map(|key| key as u64));
    line.number(r#","status":"#, record.status.into());
    line.text(r#","reason":"#, record.end());
    line.text_if(r#","cause":"#, record.cause.as_deref());
    line.number(r#","attempts":"#, attempts.len() as u64);
    line.trace(attempts);
    line.reasons(attempts);
    line.number(r#","duration_ms":"#, millis(record.duration));
    line.number_if(r#","first_byte_ms":"#, record.first_byte.map(millis));
    // Since the start, whoever sent it.
    line.number_if(r#","first_token_ms":"#, record.first_token().map(millis));
    let overhead = u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX);
    line.number(r#","overhead_us":"#, overhead);
    line.number(r#","bytes_in":"#, record.bytes_in);
    line.number(r#","bytes_out":"#, record.bytes_out);
    line.number_if(r#","tokens_in":"#, usage.input);
    line.number_if(r#","tokens_out":"#, usage.output);
    line.number_if(r#","tokens_cached":"#, usage.cached);
    line.number_if(r#","tokens_reasoning":"#, usage.reasoning);
    line.number_if(r#","tokens_cache_written":"#, usage.written);
    line.flag(r#","estimated":true"#, estimated);
    line.flag(r#","usage_doubtful":true"#, usage.doubtful);
    if let Some(cost) = cost.whole().filter(|_| !attempts.is_empty()) {
        line.dollars(r#","cost_usd":"#, cost);
    }
    // Where the whole is unknown: what is known of it.
    if cost.is_partial && cost.known > Micros::ZERO {
        line.dollars(r#","cost_known_usd":"#, cost.known);
    }
    // Some attempt was billed more than the price cap allows.
    let is_over_cap = attempts.iter().any(|attempt| attempt.over_cap);
    line.flag(r#","over_cap":true"#, is_over_cap);
    line.flag(r#","gap":true"#, record.gap);
    line.0.extend_from_slice(b"}\n");
}

/// Each is told with what stands before its value: comma, name and colon. That is copied in place,
/// not by a call, where its length is known: hence no call to what copies it either.
struct Members<'l>(&'l mut Vec<u8>);

impl Members<'_> {
    /// What needs no quotes, or no escapes.
    #[inline(always)]
    fn word(&mut self, name: &str, word: &str) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(word.as_bytes());
    }

    #[inline(always)]
    fn number(&mut self, name: &str, number: u64) {
        self.word(name, itoa::Buffer::new().format(number));
    }

    #[inline(always)]
    fn number_if(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    fn flag(&mut self, member: &str, is_so: bool) {
        if is_so {
            self.0.extend_from_slice(member.as_bytes());
        }
    }

    #[inline(always)]
    fn text(&mut self, name: &str, text: &str) {
        self.0.extend_from_slice(name.as_bytes());
        if is_plain(text) {
            self.quoted(text);
        } else {
            // Writing into a vector cannot fail.
            let _ = serde_json::to_writer(&mut *self.0, text);
        }
    }

    #[inline(always)]
    fn text_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn quoted(&mut self, plain: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(plain.as_bytes());
        self.0.push(b'"');
    }

    fn trace(&mut self, attempts: &[Attempt]) {
        const NAME: &str = r#","trace":"#;
        if attempts.is_empty() {
            return;
        }
        if attempts.iter().any(|attempt| !is_plain(&attempt.provider)) {
            return self.text(NAME, &trace(attempts));
        }
        self.word(NAME, "\"");
        write_trace(attempts, self.0);
        self.0.push(b'"');
    }

    fn shown(&mut self, name: &str, id: impl std::fmt::Display) {
        let _ = write!(self.0, "{name}\"{id}\"");
    }

    /// A number with all its six digits, which no floating point could promise.
    fn dollars(&mut self, name: &str, cost: Micros) {
        self.0.extend_from_slice(name.as_bytes());
        cost.write(&mut *self.0);
    }

    /// What became of each attempt; of one alone `reason` says it.
    fn reasons(&mut self, attempts: &[Attempt]) {
        if attempts.len() < 2 {
            return;
        }
        let mut before: &[u8] = br#","reasons":["#;
        for attempt in attempts {
            self.0.extend_from_slice(before);
            self.quoted(attempt.reason.map_or("ok", Reason::label));
            before = b",";
        }
        self.0.push(b']');
    }
}

/// Nothing in it is to be escaped. Looked through to its end: that goes many bytes at a time.
fn is_plain(text: &str) -> bool {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    !text
        .bytes()
        .fold(false, |found, byte| found | is_special(byte))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// For a terminal.
pub fn text(record: &Record, line: &mut Vec<u8>) {
    let (usage, _) = record.usage();
    // Writing into a vector cannot fail.
    let _ = writeln!(
        line,
        "{} {} {} {} {} key={} model={} served={} provider={} tokens={}/{} attempts={} {}ms {}",
        record.status,
        printable(&record.method),
        printable(&record.path),
        record.end(),
        printable(&record.request_id),
        record.key.as_deref().unwrap_or("-"),
        record.asked.as_deref().map_or("-".into(), printable),
        record.served.as_deref().map_or("-".into(), printable),
        record.provider.as_deref().unwrap_or("-"),
        number(usage.input),
        number(usage.output),
        record.attempts.len(),
        record.duration.as_millis(),
        trace(&record.attempts),
    );
}

fn number(number: Option<u64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

/// What a caller sent, quoted where it could forge a line or a field.
fn printable(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '"') {
        format!("{text:?}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::usage::Usage;
    use crate::telemetry::trace_context::{TRACEPARENT, TraceContext};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(record: &Record) -> Value {
        let mut line = Vec::new();
        super::json(record, &mut line);
        let line = String::from_utf8(line).unwrap();
        let line = line.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'));
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a_line_has_every_member_that_there_is_something_to_say_for() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = [(TRACEPARENT, parent.try_into().unwrap())];
        let millis = Duration::from_millis;
        let record = Record {
            began: UNIX_EPOCH + millis(1_700_000_000_123),
            request_id: "id".to_owned(),
            context: TraceContext::of(&headers.into_iter().collect(), None, || (1, 1)),
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            key: Some("mobile".into()),
            route: Some("main".into()),
            asked: Some("acme/\"chat\"\n".to_owned()),
            served: Some("acme/chat".to_owned()),
            label: Some("acme/chat".into()),
            provider: Some("b".into()),
            stream: true,
            status: 200,
            reason: Some(Reason::ProviderTruncated),
            cause: Some("torn".to_owned()),
            attempts: vec![
                Attempt {
                    provider: "a".into(),
                    status: Some(429),
                    reason: Some(Reason::ProviderRateLimited),
                    took: millis(31),
                    ..Attempt::default()
                },
                Attempt {
                    provider: "b".into(),
                    status: Some(200),
                    began: millis(31),
                    took: millis(40),
                    first_token: Some(millis(9)),
                    key: 2,
                    usage: Usage {
                        input: Some(u64::MAX),
                        output: Some(5),
                        cached: Some(6),
                        written: Some(7),
                        reasoning: Some(8),
                        cost: None,
                        doubtful: true,
                    },
                    estimated: true,
                    cost: Some(Micros::new(1_000_020)),
                    over_cap: true,
                    ..Attempt::default()
                },
            ],
            duration: millis(1234),
            first_byte: Some(millis(41)),
            overhead: Duration::from_nanos(56_999),
            bytes_in: 10,
            bytes_out: 0,
            gap: true,
        };
        let told = json!({
            "time_ms": 1_700_000_000_123_u64,
            "request_id": "id",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "method": "POST",
            "path": "/v1/chat/completions",
            "key": "mobile",
            "route": "main",
            "model": "acme/\"chat\"\n",
            "served": "acme/chat",
            "provider": "b",
            "stream": true,
            "provider_key": 2,
            "status": 200,
            "reason": "provider_truncated",
            "cause": "torn",
            "attempts": 2,
            "trace": "a;429;31ms, b;200;40ms",
            "reasons": ["provider_rate_limited", "ok"],
            "duration_ms": 1234,
            "first_byte_ms": 41,
            "first_token_ms": 40,
            "overhead_us": 56,
            "bytes_in": 10,
            "bytes_out": 0,
            "tokens_in": u64::MAX,
            "tokens_out": 5,
            "tokens_cached": 6,
            "tokens_reasoning": 8,
            "tokens_cache_written": 7,
            "estimated": true,
            "usage_doubtful": true,
            "cost_known_usd": 1.00002,
            "over_cap": true,
            "gap": true,
        });
        assert_eq!(read(&record), told);
    }

    #[test]
    fn a_line_is_silent_of_what_there_is_not() {
        let told = json!({
            "time_ms": 0, "request_id": "", "method": "", "path": "", "stream": false,
            "status": 0, "reason": "ok", "attempts": 0, "duration_ms": 0, "overhead_us": 0,
            "bytes_in": 0, "bytes_out": 0,
        });
        assert_eq!(read(&Record::default()), told);
    }

    #[test]
    fn a_cost_has_all_its_digits() {
        for (cost, told) in [
            (0, r#","cost_usd":0.000000}"#),
            (7, r#","cost_usd":0.000007}"#),
            (12_345_678, r#","cost_usd":12.345678}"#),
        ] {
            let record = Record {
                attempts: vec![Attempt {
                    cost: Some(Micros::new(cost)),
                    ..Attempt::default()
                }],
                ..Record::default()
            };
            let mut line = Vec::new();
            super::json(&record, &mut line);
            let line = String::from_utf8(line).unwrap();
            assert!(line.trim_end().ends_with(told), "{line}");
        }
    }

    #[test]
    fn a_caller_cannot_forge_a_line() {
        // A line feed, next line, a control sequence, and a line separator.
        for forged in [
            "x\n200 GET",
            "x\u{85}200",
            "x\u{9b}2J",
            "x\u{2028}200",
            "x served=y",
            "x\",\"status\":200,\"y\":\"",
        ] {
            let said = || forged.to_owned();
            let record = Record {
                method: said(),
                path: said(),
                request_id: said(),
                asked: Some(said()),
                served: Some(said()),
                cause: Some(said()),
                ..Record::default()
            };
            let told = read(&record);
            for name in ["method", "path", "request_id", "model", "served", "cause"] {
                assert_eq!(told[name], forged);
            }
            let mut line = Vec::new();
            text(&record, &mut line);
            let line = String::from_utf8(line).unwrap();
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(!line.contains('\u{2028}'), "{line:?}");
            assert_eq!(line.matches(&format!("{forged:?}")).count(), 5, "{line}");
        }
    }

    #[test]
    fn a_provider_may_have_any_name() {
        let attempt = |provider: &str| Attempt {
            provider: provider.into(),
            ..Attempt::default()
        };
        let record = Record {
            attempts: vec![attempt("plain"), attempt("a \"b\" \\")],
            ..Record::default()
        };
        assert_eq!(read(&record)["trace"], "plain;-;0ms, a \"b\" \\;-;0ms");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read_as_it_was(said in ".*", number: u64) {
            let record = Record {
                path: said.clone(),
                bytes_in: number,
                ..Record::default()
            };
            let told = read(&record);
            prop_assert_eq!(told["path"].as_str(), Some(&*said));
            prop_assert_eq!(told["bytes_in"].as_u64(), Some(number));
        }
    }
}
