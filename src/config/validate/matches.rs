//! `match`: what a request must be for a route to serve it, and whether an earlier route takes all
//! of it.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::elements;
use crate::config::snapshot::{Endpoint, Match, Pattern, Route};
use crate::config::suggest::closest;
use crate::config::validate::access::KeyNames;
use crate::config::validate::names::{name, pattern, patterns};

pub fn matches(report: &mut Report, place: &Place, file: &file::Match, keys: &KeyNames) -> Match {
    let path_place = place.key("path");
    let path = file
        .path
        .as_ref()
        .and_then(|path| path_pattern(report, &path_place, path));
    let host_place = place.key("host");
    let hosts = file
        .host
        .iter()
        .flat_map(|hosts| hosts.elements(&host_place));
    let hosts = hosts
        .filter_map(|(place, host)| host_pattern(report, &place, host))
        .collect();
    let mut headers = Vec::new();
    for (name, value) in &file.headers.0 {
        let place = place.key("headers").key(name.as_str());
        let value = pattern(report, &place, value);
        match name.parse() {
            Ok(name) => headers.extend(value.map(|value| (name, value))),
            Err(_) => report.error(&place, "stands under a name that is no header name"),
        }
    }
    let mut names = Vec::new();
    for (place, name) in elements(&file.keys, &place.key("keys")) {
        if !keys.has(name) {
            let message = format!("unknown key {}", report.quote(&place));
            report.error_meaning(&place, message, closest(name, keys.iter()));
        }
        names.push(name.as_str().into());
    }
    let mut tags: Vec<std::sync::Arc<str>> = Vec::new();
    for (place, tag) in elements(&file.tags, &place.key("tags")) {
        if name(report, &place, tag) {
            tags.push(tag.as_str().into());
        }
    }
    Match {
        models: patterns(report, &place.key("models"), &file.models),
        path,
        hosts,
        headers,
        keys: names,
        tags,
    }
}

fn path_pattern(report: &mut Report, place: &Place, path: &str) -> Option<Pattern> {
    let wrong = if !path.is_empty() && !path.starts_with('/') {
        "does not begin with `/`"
    } else if path.contains(['?', '#']) {
        "has a query, which is not part of a path"
    } else {
        return pattern(report, place, path);
    };
    let message = format!("{} {wrong}", report.quote(place));
    report.error(place, message);
    None
}

fn host_pattern(report: &mut Report, place: &Place, host: &str) -> Option<Pattern> {
    if host.contains(['/', ' ']) || host.rsplit_once(':').is_some_and(|(_, port)| is_port(port)) {
        let quoted = report.quote(place);
        let message = format!("{quoted} is not a host; write it without scheme, port and path");
        report.error(place, message);
        return None;
    }
    pattern(report, place, &host.to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'*')
}

/// Whatever the later route would serve, the earlier one takes.
pub fn hides(earlier: &Route, later: &Route) -> bool {
    let (before, after) = (&earlier.matches, &later.matches);
    takes_path(earlier, later)
        && all_covered(&before.models, &after.models)
        && all_covered(&before.hosts, &after.hosts)
        && before.headers.iter().all(|(name, pattern)| {
            after
                .headers
                .iter()
                .any(|(same, other)| same == name && pattern.covers(other))
        })
        && (before.tags.is_empty()
            || (!after.tags.is_empty() && after.tags.iter().all(|tag| before.tags.contains(tag))))
        && (before.keys.is_empty()
            || (!after.keys.is_empty() && after.keys.iter().all(|key| before.keys.contains(key))))
}

/// Each of the later patterns lies within one of the earlier; none at all means anything.
fn all_covered(before: &[Pattern], after: &[Pattern]) -> bool {
    before.is_empty()
        || (!after.is_empty()
            && after
                .iter()
                .all(|other| before.iter().any(|pattern| pattern.covers(other))))
}

/// A route without a path of its own serves the paths of the endpoints and no others.
fn takes_path(earlier: &Route, later: &Route) -> bool {
    match (&earlier.matches.path, &later.matches.path) {
        (Some(pattern), Some(other)) => pattern.covers(other),
        (Some(pattern), None) => Endpoint::ALL
            .iter()
            .all(|endpoint| pattern.matches(&format!("/v1{}", endpoint.path()))),
        (None, Some(path)) => path.after.is_none() && Endpoint::at(&path.before).is_some(),
        (None, None) => true,
    }
}
