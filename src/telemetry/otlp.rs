//! The shapes of OTLP/JSON that spans are told in.

use crate::config::money::Micros;
use crate::telemetry::trace_context::{SpanId, TraceId};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The body of a request to `/v1/traces`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traces<'a> {
    pub resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpans<'a> {
    pub resource: Resource<'a>,
    pub scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
pub struct Resource<'a> {
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
pub struct ScopeSpans<'a> {
    pub scope: Scope,
    pub spans: Vec<Span<'a>>,
}

#[derive(Serialize)]
pub struct Scope {
    pub name: &'static str,
    pub version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span<'a> {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    pub flags: u32,
    pub name: String,
    pub kind: u8,
    pub start_time_unix_nano: Nanos,
    pub end_time_unix_nano: Nanos,
    pub attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    pub status: Status,
}

/// Kinds of spans.
pub const SERVER: u8 = 2;
pub const CLIENT: u8 = 3;

/// Flags of a span beside those of its trace.
pub const PARENT_IS_KNOWN: u32 = 0x100;
pub const PARENT_IS_ELSEWHERE: u32 = 0x200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub time_unix_nano: Nanos,
    pub name: &'static str,
}

#[derive(Serialize, Default)]
pub struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
}

/// Code of a span that failed.
pub const ERROR: u8 = 2;

#[derive(Serialize)]
pub struct Attribute<'a> {
    pub key: &'static str,
    pub value: Value<'a>,
}

#[derive(Serialize)]
pub enum Value<'a> {
    #[serde(rename = "stringValue")]
    Text(Cow<'a, str>),
    #[serde(rename = "intValue")]
    Whole(Decimal),
    #[serde(rename = "doubleValue")]
    Real(f64),
    #[serde(rename = "boolValue")]
    Flag(bool),
}

/// Numbers of 64 bits are written as strings.
pub struct Decimal(u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Since the epoch.
#[derive(Clone, Copy)]
pub struct Nanos(u64);

impl Nanos {
    pub fn of(time: SystemTime) -> Nanos {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    pub fn after(self, duration: Duration) -> Nanos {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Nanos(self.0.saturating_add(nanos))
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Attributes in the making.
#[derive(Default)]
pub struct Attributes<'a>(pub Vec<Attribute<'a>>);

impl<'a> Attributes<'a> {
    pub fn text(&mut self, key: &'static str, text: impl Into<Cow<'a, str>>) {
        let value = Value::Text(text.into());
        self.0.push(Attribute { key, value });
    }

    /// Nothing where there is none.
    pub fn text_if(&mut self, key: &'static str, text: Option<impl Into<Cow<'a, str>>>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    pub fn number(&mut self, key: &'static str, number: impl Into<u64>) {
        let value = Value::Whole(Decimal(number.into()));
        self.0.push(Attribute { key, value });
    }

    pub fn number_if(&mut self, key: &'static str, number: Option<impl Into<u64>>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    pub fn seconds(&mut self, key: &'static str, duration: Duration) {
        let value = Value::Real(duration.as_secs_f64());
        self.0.push(Attribute { key, value });
    }

    /// Nothing where it is not known.
    pub fn dollars(&mut self, key: &'static str, cost: Option<Micros>) {
        if let Some(cost) = cost {
            let value = Value::Real(cost.get() as f64 / 1e6);
            self.0.push(Attribute { key, value });
        }
    }

    /// Nothing where it is not so.
    pub fn mark(&mut self, key: &'static str, so: bool) {
        if so {
            let value = Value::Flag(true);
            self.0.push(Attribute { key, value });
        }
    }
}
