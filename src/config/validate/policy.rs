//! What `defaults` says for all routes, and a route over it, field by field.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{
    Balance, Bound, By, Causes, ResponseModel, Resume, Retry, Rules, StickyBy, Streaming, Timeouts,
};
use crate::config::units::TimeRange;
use crate::config::validate::balance::{balance, sticky};
use crate::config::validate::facts::quantizations;
use crate::config::validate::names::{header_name, is_name, name, number, out_of_range, time};
use crate::config::validate::rules::{self, Known};
use crate::config::validate::stream::{streaming, timeouts};
use crate::config::words::Cause;
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub struct Policy {
    pub retry: Retry,
    pub timeouts: Timeouts,
    pub stream: Streaming,
    pub forward: Vec<HeaderName>,
    /// With the places they were written at.
    pub fallback_models: Vec<(Place, Arc<str>)>,
    pub response_model: ResponseModel,
    pub balance: Balance,
    pub sticky: Vec<StickyBy>,
    pub rules: Rules,
    pub prefer: Vec<Arc<str>>,
    pub require: Vec<Bound>,
    pub order: Vec<By>,
}

pub fn defaults(
    report: &mut Report,
    place: &Place,
    file: file::Policy,
    known: Known<'_>,
) -> Policy {
    let seconds = Duration::from_secs;
    let built_in = Policy {
        retry: Retry {
            causes: Causes {
                connect: true,
                timeout: true,
                reset: true,
                rate_limited: true,
                server_error: true,
                stream: true,
                content_filter: false,
                statuses: vec![],
            },
            attempts: 4,
            patience: seconds(2),
            backoff: (Duration::from_millis(250), seconds(2)),
        },
        timeouts: Timeouts {
            connect: seconds(2),
            first_byte: seconds(60),
            first_token: seconds(60),
            idle: seconds(30),
            stall: seconds(120),
            response: seconds(600),
            deadline: seconds(900),
        },
        stream: Streaming {
            ping: Some(seconds(15)),
            ping_before_commit: false,
            resume: Resume::Prefill,
        },
        forward: vec![],
        fallback_models: vec![],
        response_model: ResponseModel::Canonical,
        balance: Balance::Weighted,
        sticky: vec![StickyBy::Session, StickyBy::Message],
        rules: Rules::default(),
        prefer: vec![],
        require: vec![],
        order: vec![],
    };
    overlay(report, place, file, &built_in, known)
}

/// What the file leaves out is as in `base`.
pub fn overlay(
    report: &mut Report,
    place: &Place,
    file: file::Policy,
    base: &Policy,
    known: Known<'_>,
) -> Policy {
    Policy {
        rules: hard_rules(report, place, &file, &base.rules, known),
        prefer: match &file.prefer {
            Some(list) => rules::providers(report, &place.key("prefer"), list, known.accounts),
            None => base.prefer.clone(),
        },
        require: match &file.require {
            Some(list) => rules::require(report, &place.key("require"), list),
            None => base.require.clone(),
        },
        order: match &file.order {
            Some(list) => rules::order(report, &place.key("order"), list),
            None => base.order.clone(),
        },
        retry: retry(report, &place.key("retry"), &file.retry, &base.retry),
        timeouts: timeouts(
            report,
            &place.key("timeouts"),
            &file.timeouts,
            &base.timeouts,
        ),
        stream: streaming(
            report,
            &place.key("stream"),
            &file.stream.unwrap_or_default(),
            base.stream,
        ),
        forward: match &file.forward {
            Some(headers) => forward(report, &place.key("forward"), headers),
            None => base.forward.clone(),
        },
        fallback_models: match &file.fallback_models {
            Some(models) => fallback_models(report, &place.key("fallback_models"), models),
            None => base.fallback_models.clone(),
        },
        response_model: match file.response_model {
            Some(file::ResponseModel::Canonical) => ResponseModel::Canonical,
            Some(file::ResponseModel::Upstream) => ResponseModel::Upstream,
            None => base.response_model,
        },
        balance: balance(file.balance, base.balance),
        sticky: match &file.sticky {
            Some(list) => sticky(report, &place.key("sticky"), list),
            None => base.sticky.clone(),
        },
    }
}

fn hard_rules(
    report: &mut Report,
    place: &Place,
    file: &file::Policy,
    base: &Rules,
    known: Known<'_>,
) -> Rules {
    Rules {
        max_price: match &file.max_price {
            Some(cap) => rules::cap(report, &place.key("max_price"), cap, known),
            None => base.max_price,
        },
        regions: match &file.regions {
            Some(list) => rules::regions(report, &place.key("regions"), list),
            None => base.regions.clone(),
        },
        data: file.data.map_or(base.data, rules::data),
        quantizations: match &file.quantizations {
            Some(list) => quantizations(report, &place.key("quantizations"), list),
            None => base.quantizations.clone(),
        },
        // A route names whom it asks in its targets.
        only: vec![],
        ignore: vec![],
    }
}

fn retry(report: &mut Report, place: &Place, file: &file::Retry, base: &Retry) -> Retry {
    let backoff = match file.backoff {
        Some(TimeRange(low, high)) => {
            if high > HOUR {
                out_of_range(report, &place.key("backoff"), "0ms..0ms", "1h..1h");
            }
            (low, high)
        }
        None => base.backoff,
    };
    Retry {
        causes: file
            .causes
            .as_ref()
            .map_or_else(|| base.causes.clone(), causes),
        attempts: number(
            report,
            &place.key("attempts"),
            file.attempts,
            base.attempts,
            1..=100,
        ),
        patience: time(
            report,
            &place.key("patience"),
            file.patience,
            base.patience,
            Duration::ZERO..=HOUR,
        ),
        backoff,
    }
}

fn causes(words: &List<Cause>) -> Causes {
    let mut causes = Causes::default();
    for cause in words.iter().flatten() {
        match *cause {
            Cause::Connect => causes.connect = true,
            Cause::Timeout => causes.timeout = true,
            Cause::Reset => causes.reset = true,
            Cause::RateLimited => causes.rate_limited = true,
            Cause::ServerError => causes.server_error = true,
            Cause::Stream => causes.stream = true,
            Cause::ContentFilter => causes.content_filter = true,
            Cause::Status(status) => {
                if !causes.statuses.contains(&status) {
                    causes.statuses.push(status);
                }
            }
        }
    }
    causes
}

/// Never let through, whatever a route says: credentials, what belongs to one connection, ours.
const NEVER_FORWARDED: [&str; 20] = [
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
    "x-real-ip",
];

fn forward(report: &mut Report, place: &Place, headers: &List<String>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for (place, text) in elements(headers, place) {
        let Some(header) = header_name(report, &place, text) else {
            continue;
        };
        let word = header.as_str();
        let ours = word.starts_with("x-overspill-") || word.starts_with("x-forwarded-");
        if ours || NEVER_FORWARDED.contains(&word) {
            let message = format!("{} never goes upstream; remove it", report.quote(&place));
            report.error(&place, message);
        } else if !names.contains(&header) {
            names.push(header);
        }
    }
    names
}

fn fallback_models(
    report: &mut Report,
    place: &Place,
    models: &List<String>,
) -> Vec<(Place, Arc<str>)> {
    let mut ids: Vec<(Place, Arc<str>)> = Vec::new();
    for (place, id) in elements(models, place) {
        if !is_name(id) {
            name(report, &place, id);
        } else if ids.iter().any(|(_, known)| **known == **id) {
            report.error(&place, "is named twice");
        } else {
            ids.push((place, id.as_str().into()));
        }
    }
    ids
}
