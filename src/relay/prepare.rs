//! What a target is sent: the caller's own bytes, with the few changes this target needs.

use crate::body::splice::{self, Pieces};
use crate::body::stream_options::ask_for_usage;
use crate::catalog::catalog;
use crate::config::snapshot::{Auth, Endpoint, Provider, ResponseModel, Rules};
use crate::decide;
use crate::failover::Happened;
use crate::relay::Wires;
use crate::relay::exchange::Request;
use crate::relay::pump::Form;
use crate::relay::run::Job;
use crate::routing::plan::Step;
use crate::routing::preferences::Preferences;
use crate::routing::preferences::forward::{Forward, forward};
use crate::telemetry::tale::Tale;
use crate::upstream::outline::Outline;
use bytes::Bytes;
use pingora::protocols::http::ServerSession;
use std::borrow::Cow;
use std::time::Instant;

/// The vendor that chooses among others, and understands what a caller says of them.
const ROUTES_FOR_ITSELF: &str = "openrouter";
const PROVIDER: &str = "provider";

/// How a request differs from the first one that its caller makes.
pub struct Variant {
    /// Of the call's attempts, from 0.
    pub number: usize,
    /// Of the provider's keys, by its place in the list.
    pub key: usize,
    /// What asks to continue an answer, which may have a path of its own. None: the caller's own
    /// question.
    pub continuing: Option<Pieces>,
    /// The usage is not asked for: the target may not know how that is asked.
    pub without_usage: bool,
}

/// What a provider is told that routes for itself.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The caller's own `provider` object, as it was written.
    pub provider_field: Option<&'a [u8]>,
    /// Of the caller's key.
    pub key: Option<&'a Rules>,
    pub preferences: &'a Preferences,
}

/// The request, and whether the usage was asked for in the caller's stead.
pub fn request<'a>(
    wires: &Wires,
    session: &ServerSession,
    job: &Job<'a>,
    step: &Step<'a>,
    tale: &Tale,
    variant: Variant,
    deadline: Instant,
) -> (Request<'a>, bool) {
    let provider = &step.candidate.target.provider;
    let asks = !variant.without_usage && asks_in_callers_stead(wires, job, step);
    let base_path = base_path(provider, variant.continuing.is_some());
    let body = variant
        .continuing
        .unwrap_or_else(|| body(job, step, asks, tale));
    let timeouts = &job.route.timeouts;
    // Without a head there is no content either.
    let (head, no_head) = if !job.scan.stream {
        (timeouts.response, Happened::Timeout)
    } else if timeouts.first_token < timeouts.first_byte {
        (timeouts.first_token, Happened::NoToken)
    } else {
        (timeouts.first_byte, Happened::Timeout)
    };
    let request = Request {
        provider,
        endpoint: job.endpoint,
        sticky: job.sticky,
        outline: Outline::new(
            provider,
            provider.keys.get(variant.key).unwrap_or(&Auth::None),
            base_path,
            job.below,
            job.query,
            &session.req_header().headers,
            &job.route.forward,
        )
        .traced(job.context.as_ref(), variant.number),
        body,
        connect: timeouts.connect,
        write: timeouts.idle,
        head,
        no_head,
        first_token: if job.scan.stream {
            timeouts.first_token
        } else {
            timeouts.response
        },
        whole: timeouts.response,
        deadline,
    };
    (request, asks)
}

fn base_path(provider: &Provider, continues: bool) -> &str {
    match &provider.prefill_path {
        Some(path) if continues => path,
        _ => &provider.base_path,
    }
}

/// Streams tell their usage only when asked to.
pub fn asks_in_callers_stead(wires: &Wires, job: &Job<'_>, step: &Step<'_>) -> bool {
    let target = &step.candidate.target;
    job.scan.stream
        && matches!(job.endpoint, Endpoint::Chat | Endpoint::Completions)
        && target.provider.inject_usage
        && !target
            .options
            .iter()
            .any(|(name, _)| name == "stream_options")
        && !job.asks_usage
        && wires.habits.takes_stream_options(&target.provider.name)
}

/// Every attempt starts from the caller's own bytes.
pub fn body(job: &Job<'_>, step: &Step<'_>, asks_usage: bool, tale: &Tale) -> Pieces {
    let candidate = step.candidate;
    let set = set_fields(job, step, tale);
    let edits = if asks_usage {
        ask_for_usage(&job.body, job.scan)
    } else {
        Vec::new()
    };
    splice::set_fields(&job.body, job.scan, &candidate.upstream_json, &set, edits)
}

/// What is set whatever the caller wrote: the target's options, and for a provider that routes for
/// itself, whom it may ask and for how much.
fn set_fields<'s>(job: &Job<'_>, step: &Step<'s>, tale: &Tale) -> Cow<'s, [(String, String)]> {
    let target = &step.candidate.target;
    if &*target.provider.vendor != ROUTES_FOR_ITSELF {
        return Cow::Borrowed(&target.options);
    }
    let of_target = target.options.iter().find(|(name, _)| name == PROVIDER);
    let given = of_target.map(|(_, value)| value.as_bytes());
    let max_price = decide::max_price(step.rules, job.wish.key, job.wish.preferences);
    let failed: Vec<&str> = tale
        .attempts
        .iter()
        .filter(|attempt| attempt.reason.is_some() && attempt.provider != target.provider.name)
        .filter_map(|attempt| {
            let mut providers = job.providers.iter();
            let provider = providers.find(|one| one.name == attempt.provider)?;
            // What an operator calls a provider of their own is nobody else's business.
            let is_public = catalog().get(&provider.vendor).is_some();
            is_public.then_some(&*provider.vendor)
        })
        .collect();
    let forwarded = Forward {
        own: &[&target.provider.name, &target.provider.vendor],
        max_price,
        failed: &failed,
    };
    match forward(given.or(job.wish.provider_field), &forwarded) {
        None => Cow::Borrowed(&target.options),
        Some(value) => {
            let others = target.options.iter().filter(|(name, _)| name != PROVIDER);
            let own = std::iter::once((PROVIDER.to_owned(), value));
            Cow::Owned(own.chain(others.cloned()).collect())
        }
    }
}

/// The name that callers know, as a JSON string. None: the provider's own stays.
pub fn shown_model(job: &Job<'_>, step: &Step<'_>) -> Option<Bytes> {
    match job.route.response_model {
        ResponseModel::Upstream => None,
        ResponseModel::Canonical => step
            .model_json
            .cloned()
            .or_else(|| serde_json::to_vec(step.model).ok().map(Bytes::from)),
    }
}

/// How a stream of this target is to look to the caller.
pub fn form(job: &Job<'_>, step: &Step<'_>, keep: bool) -> Form {
    Form {
        endpoint: job.endpoint,
        model: shown_model(job, step),
        strip_usage: !job.asks_usage,
        several: job.scan.several,
        keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load_str;

    #[test]
    fn only_what_continues_an_answer_takes_the_path_for_that() {
        let text = "
providers: { deepseek: { api_key: k }, mistral: { api_key: k } }
routes: [{ targets: [{ provider: deepseek }, { provider: mistral, model: m }] }]";
        let snapshot = load_str(text, "test", &|_| None).unwrap().snapshot;
        let paths = |provider: &Provider| {
            [false, true].map(|continues| base_path(provider, continues).to_owned())
        };
        assert_eq!(paths(&snapshot.providers[0]), ["", "/beta"]);
        assert_eq!(paths(&snapshot.providers[1]), ["/v1", "/v1"]);
    }
}
