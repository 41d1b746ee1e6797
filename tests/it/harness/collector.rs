//! A collector of traces, and what it was told.

use super::provider::{Act, Provider, Seen};
use super::{Config, Value, json_reply, ms, until};
use std::time::Duration;

pub struct Collector {
    pub server: Provider,
}

impl Collector {
    /// Takes whatever it is told.
    pub async fn start() -> Collector {
        Collector::first(Vec::new()).await
    }

    /// Does each once, then takes whatever it is told.
    pub async fn first(acts: Vec<Vec<Act>>) -> Collector {
        Collector::doing(move |n, _| acts.get(n).cloned().unwrap_or_else(taken)).await
    }

    pub async fn doing(script: impl FnMut(usize, &Seen) -> Vec<Act> + Send + 'static) -> Collector {
        Collector {
            server: Provider::start(script).await,
        }
    }

    /// Every span that it was told of, in whatever request.
    pub fn spans(&self) -> Vec<Span> {
        let seen = self.server.seen();
        let told = seen.iter().map(Seen::json);
        told.flat_map(|body| {
            let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
            spans.as_array().expect("spans").clone()
        })
        .map(Span)
        .collect()
    }

    /// Waits for the spans of a number of requests.
    pub async fn requests(&self, count: usize) -> Vec<Told> {
        let roots = || {
            let spans = self.spans();
            spans.into_iter().filter(|span| span.0["kind"] == 2)
        };
        until("the requests are told of", ms(15_000), || {
            roots().count() >= count
        })
        .await;
        let spans = self.spans();
        roots()
            .map(|root| Told {
                attempts: spans
                    .iter()
                    .filter(|span| span.0["kind"] == 3 && span.parent() == Some(root.id()))
                    .cloned()
                    .collect(),
                root,
            })
            .collect()
    }

    /// The one request there was.
    pub async fn only(&self) -> Told {
        let mut requests = self.requests(1).await;
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

/// What a collector says when all is well.
pub fn taken() -> Vec<Act> {
    vec![json_reply(200, "{}")]
}

impl Config {
    /// Requests are told of at this collector; `fields` besides.
    pub fn traced(self, collector: &Collector, fields: &str) -> Config {
        let address = collector.server.address;
        self.top(&format!("traces: {{ otlp: \"http://{address}\"{fields} }}"))
    }
}

/// A request's span, and those of its attempts.
#[derive(Debug)]
pub struct Told {
    pub root: Span,
    pub attempts: Vec<Span>,
}

#[derive(Debug, Clone)]
pub struct Span(pub Value);

impl Span {
    pub fn text(&self, field: &str) -> String {
        let text = self.0[field].as_str();
        text.unwrap_or_else(|| panic!("no {field}: {}", self.0))
            .to_owned()
    }

    pub fn id(&self) -> String {
        self.text("spanId")
    }

    pub fn parent(&self) -> Option<String> {
        self.0["parentSpanId"].as_str().map(str::to_owned)
    }

    /// The value of an attribute, whatever its type. Given twice, it is wrong.
    pub fn get(&self, key: &str) -> Option<Value> {
        let attributes = self.0["attributes"].as_array().expect("attributes");
        let mut found = attributes.iter().filter(|one| one["key"] == key);
        let value = found.next()?["value"].as_object().expect("a value");
        assert!(found.next().is_none(), "{key} twice: {}", self.0);
        assert_eq!(value.len(), 1, "{key}: {}", self.0);
        value.values().next().cloned()
    }

    #[track_caller]
    pub fn has(&self, expected: &[(&str, &str)]) {
        for (key, value) in expected {
            let found = self.get(key);
            let found = found.as_ref().and_then(Value::as_str);
            assert_eq!(found, Some(*value), "{key} of {}", self.0);
        }
    }

    /// Since the epoch.
    pub fn began(&self) -> Duration {
        nanos(&self.0["startTimeUnixNano"])
    }

    pub fn ended(&self) -> Duration {
        nanos(&self.0["endTimeUnixNano"])
    }

    /// When the event of this name was, if there was one.
    pub fn event(&self, name: &str) -> Option<Duration> {
        let events = self.0["events"].as_array()?;
        let found = events.iter().find(|event| event["name"] == name)?;
        Some(nanos(&found["timeUnixNano"]))
    }

    pub fn failed(&self) -> bool {
        self.0["status"]["code"] == 2
    }
}

fn nanos(value: &Value) -> Duration {
    let text = value.as_str().expect("nanoseconds as a string");
    Duration::from_nanos(text.parse().expect("a number"))
}
