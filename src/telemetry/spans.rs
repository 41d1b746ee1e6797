//! What became of a request, as spans: one of the request, and below it one of each attempt. Names
//! are those of OpenTelemetry's conventions for HTTP and for generative AI, and our own.

use crate::config::snapshot::{Endpoint, Provider, Traces};
use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::store::record::Record;
use crate::telemetry::otlp::{
    self, Attributes, CLIENT, ERROR, Event, Nanos, PARENT_IS_ELSEWHERE, PARENT_IS_KNOWN, Resource,
    ResourceSpans, SERVER, Scope, ScopeSpans, Span, Status,
};
use crate::telemetry::tale::Attempt;
use crate::telemetry::trace_context::{SpanId, TraceContext};
use std::sync::Arc;

/// A caller's path is told up to here.
const LONGEST: usize = 256;
const FIRST_TOKEN: &str = "gen_ai.first_token";
const FIRST_BYTE: &str = "overspill.first_byte";
const COST: &str = "overspill.cost_usd";

/// The records' spans, as a collector takes them.
pub fn render(records: &[Arc<Record>], traces: &Traces, providers: &[Arc<Provider>]) -> Vec<u8> {
    let mut about = Attributes::default();
    about.text("service.name", &*traces.service);
    about.text("service.version", env!("CARGO_PKG_VERSION"));
    let mut spans = Vec::new();
    for record in records {
        tell(record, providers, &mut spans);
    }
    let body = otlp::Traces {
        resource_spans: [ResourceSpans {
            resource: Resource {
                attributes: about.0,
            },
            scope_spans: [ScopeSpans {
                scope: Scope {
                    name: "overspill",
                    version: env!("CARGO_PKG_VERSION"),
                },
                spans,
            }],
        }],
    };
    // Nothing in it can fail to be written.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn tell<'a>(record: &'a Record, providers: &'a [Arc<Provider>], spans: &mut Vec<Span<'a>>) {
    let Some((context, span)) = record
        .context
        .and_then(|context| Some((context, context.span?)))
    else {
        return;
    };
    let telling = Telling {
        record,
        providers,
        context,
        began: Nanos::of(record.began),
        operation: operation(record),
    };
    spans.push(telling.request(span));
    for (number, attempt) in record.attempts.iter().enumerate() {
        if let Some(child) = context.attempt(number) {
            spans.push(telling.attempt(span, child, number, attempt));
        }
    }
}

struct Telling<'a> {
    record: &'a Record,
    providers: &'a [Arc<Provider>],
    context: TraceContext,
    began: Nanos,
    /// None: it was about no model.
    operation: Option<&'static str>,
}

impl<'a> Telling<'a> {
    fn request(&self, span: SpanId) -> Span<'a> {
        let record = self.record;
        let mut attributes = Attributes::default();
        attributes.text("http.request.method", method(&record.method));
        attributes.text("url.path", shortened(&record.path));
        if record.status > 0 {
            attributes.number("http.response.status_code", record.status);
        }
        if let Some(reason) = record.reason {
            attributes.text("error.type", reason.label());
        }
        attributes.text_if("gen_ai.operation.name", self.operation);
        attributes.text_if("gen_ai.request.model", record.asked.as_deref());
        attributes.text_if("gen_ai.response.model", record.served.as_deref());
        if let Some(provider) = &record.provider {
            self.tell_provider(&mut attributes, provider);
        }
        let (usage, estimated) = record.usage();
        tell_usage(&mut attributes, &usage, estimated);
        let cost = record.cost().whole();
        attributes.dollars(COST, cost.filter(|_| !record.attempts.is_empty()));
        attributes.text("overspill.request_id", &*record.request_id);
        attributes.text_if("overspill.route", record.route.as_deref());
        attributes.text_if("overspill.key", record.key.as_deref());
        attributes.number("overspill.attempts", record.attempts.len() as u64);
        attributes.mark("overspill.stream", record.stream);
        attributes.mark("overspill.gap", record.gap);
        if !record.overhead.is_zero() {
            attributes.seconds("overspill.overhead", record.overhead);
        }
        let remote = match self.context.parent {
            Some(_) => PARENT_IS_ELSEWHERE,
            None => 0,
        };
        let first_byte = record.first_byte.map(|after| Event {
            time_unix_nano: self.began.after(after),
            name: FIRST_BYTE,
        });
        Span {
            trace_id: self.context.id,
            span_id: span,
            parent_span_id: self.context.parent,
            flags: self.flags() | remote,
            name: self.request_name(),
            kind: SERVER,
            start_time_unix_nano: self.began,
            end_time_unix_nano: self.began.after(record.duration),
            attributes: attributes.0,
            events: first_byte.into_iter().collect(),
            status: status(record.reason.filter(|reason| !is_callers(*reason))),
        }
    }

    fn attempt(
        &self,
        parent: SpanId,
        span: SpanId,
        number: usize,
        attempt: &'a Attempt,
    ) -> Span<'a> {
        let mut attributes = Attributes::default();
        attributes.text("http.request.method", method(&self.record.method));
        attributes.number_if("http.response.status_code", attempt.status);
        if number > 0 {
            attributes.number("http.request.resend_count", number as u64);
        }
        if let Some(reason) = attempt.reason {
            attributes.text("error.type", reason.label());
        }
        attributes.text_if("gen_ai.operation.name", self.operation);
        let model = Some(&*attempt.model).filter(|model| !model.is_empty());
        attributes.text_if("gen_ai.request.model", model);
        self.tell_provider(&mut attributes, &attempt.provider);
        if let Some(provider) = self.provider(&attempt.provider) {
            attributes.text("server.address", &*provider.host);
            attributes.number("server.port", provider.port);
        }
        tell_usage(&mut attributes, &attempt.usage, attempt.estimated);
        attributes.dollars(COST, attempt.cost);
        attributes.number("overspill.attempt", number as u64 + 1);
        attributes.number("overspill.provider_key", attempt.key as u64);
        let began = self.began.after(attempt.began);
        let mut events = Vec::new();
        if let Some(after) = attempt.first_token {
            attributes.seconds("gen_ai.server.time_to_first_token", after);
            events.push(Event {
                time_unix_nano: began.after(after),
                name: FIRST_TOKEN,
            });
        }
        Span {
            trace_id: self.context.id,
            span_id: span,
            parent_span_id: Some(parent),
            flags: self.flags(),
            name: match (self.operation, model) {
                (Some(operation), Some(model)) => format!("{operation} {model}"),
                _ => method(&self.record.method).to_owned(),
            },
            kind: CLIENT,
            start_time_unix_nano: began,
            end_time_unix_nano: began.after(attempt.lasted.max(attempt.took)),
            attributes: attributes.0,
            events,
            status: status(
                attempt
                    .reason
                    .filter(|reason| *reason != Reason::CallerCancelled),
            ),
        }
    }

    /// Of few different values, whatever callers send: names of models are those configured.
    fn request_name(&self) -> String {
        let record = self.record;
        let method = method(&record.method);
        match (self.operation, &record.label, &record.route) {
            (Some(operation), Some(model), _) => format!("{operation} {model}"),
            (Some(operation), None, _) => operation.to_owned(),
            (None, _, Some(route)) => format!("{method} {route}"),
            (None, _, None) => method.to_owned(),
        }
    }

    fn flags(&self) -> u32 {
        PARENT_IS_KNOWN | u32::from(self.context.sampled)
    }

    fn provider(&self, name: &str) -> Option<&'a Provider> {
        let found = self.providers.iter().find(|one| &*one.name == name);
        found.map(|provider| &**provider)
    }

    /// Both names that the conventions have had for it.
    fn tell_provider(&self, attributes: &mut Attributes<'a>, name: &'a str) {
        let vendor = self.provider(name).map_or(name, |one| &*one.vendor);
        let known = well_known(vendor);
        attributes.text("gen_ai.provider.name", known);
        attributes.text("gen_ai.system", known);
        attributes.text("overspill.provider", name);
    }
}

fn tell_usage(attributes: &mut Attributes<'_>, usage: &Usage, estimated: bool) {
    attributes.number_if("gen_ai.usage.input_tokens", usage.input);
    attributes.number_if("gen_ai.usage.output_tokens", usage.output);
    attributes.number_if("gen_ai.usage.cache_read.input_tokens", usage.cached);
    attributes.number_if("gen_ai.usage.reasoning.output_tokens", usage.reasoning);
    attributes.mark("overspill.usage.estimated", estimated);
}

/// A path of one's own speaks the chat dialect.
fn operation(record: &Record) -> Option<&'static str> {
    match Endpoint::at(&record.path) {
        Some(Endpoint::Chat | Endpoint::Responses | Endpoint::Messages) => Some("chat"),
        Some(Endpoint::Completions) => Some("text_completion"),
        Some(endpoint) => Some(endpoint.name()),
        None => record.served.is_some().then_some("chat"),
    }
}

/// The conventions' names for vendors that they and the catalogue call differently.
fn well_known(vendor: &str) -> &str {
    match vendor {
        "azure-foundry" => "azure.ai.inference",
        "azure-openai" => "azure.ai.openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "moonshot" => "moonshot_ai",
        "vertex" => "gcp.vertex_ai",
        "xai" => "x_ai",
        other => other,
    }
}

/// A caller may make up any.
fn method(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.unwrap_or("_OTHER")
}

fn status(reason: Option<Reason>) -> Status {
    Status {
        code: reason.map(|_| ERROR),
        message: reason.map(Reason::label),
    }
}

/// Of a server's span, what the caller did wrong is no error.
fn is_callers(reason: Reason) -> bool {
    let label = reason.label();
    label.starts_with("caller_") || label.starts_with("policy_")
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}
