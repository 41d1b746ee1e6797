//! Which routes a request may take.

use crate::config::snapshot::{Endpoint, Key, Match, Mode, Pattern, Route, Served};
use http::HeaderMap;
use std::sync::Arc;

/// What is known of a request before its body is read.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub path: &'a str,
    /// Without port, in whatever case.
    pub host: &'a str,
    pub headers: &'a HeaderMap,
    pub key: Option<&'a Key>,
    /// `x-overspill-route`: only this one.
    pub route: Option<&'a str>,
}

/// What the path alone says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Some route, or the data port itself, serves this path.
    Path,
    Nothing,
}

/// Whether anything is served at this path, whoever asks and however.
pub fn knows(routes: &[Arc<Route>], path: &str) -> Known {
    let served = Endpoint::at(path).is_some()
        || routes
            .iter()
            .any(|route| matches_own_path(&route.matches, path) == Some(true));
    if served { Known::Path } else { Known::Nothing }
}

/// The routes whose conditions hold, the model's aside, in the order of the file.
pub fn open_to<'r>(
    routes: &'r [Arc<Route>],
    asked: Asked<'_>,
) -> impl Iterator<Item = &'r Arc<Route>> {
    routes.iter().filter(move |route| {
        asked.route.is_none_or(|name| name == &*route.name) && holds(&route.matches, asked)
    })
}

fn holds(conditions: &Match, asked: Asked<'_>) -> bool {
    let path = match matches_own_path(conditions, asked.path) {
        Some(matches) => matches,
        None => Endpoint::at(asked.path).is_some(),
    };
    path && (conditions.hosts.is_empty()
        || any(&conditions.hosts, &asked.host.to_ascii_lowercase()))
        && conditions.headers.iter().all(|(name, pattern)| {
            asked
                .headers
                .get_all(name)
                .iter()
                .any(|value| value.to_str().is_ok_and(|value| pattern.matches(value)))
        })
        && (conditions.tags.is_empty()
            || tags(asked.headers).any(|tag| conditions.tags.iter().any(|known| **known == *tag)))
        && (conditions.keys.is_empty()
            || asked
                .key
                .is_some_and(|key| conditions.keys.contains(&key.name)))
}

/// `x-overspill-tags: cn, background`
fn tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all("x-overspill-tags").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

fn matches_own_path(conditions: &Match, path: &str) -> Option<bool> {
    conditions.path.as_ref().map(|own| own.matches(path))
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// Who serves `model` (or, where a path says it all, a call without one) in this route.
pub fn serves<'r>(route: &'r Route, model: Option<&str>) -> Option<&'r Arc<Served>> {
    if route.mode == Mode::Stream {
        return None;
    }
    match model {
        Some(model) => {
            if !route.matches.models.is_empty() && !any(&route.matches.models, model) {
                return None;
            }
            route.models.get(model).or(route.any_model.as_ref())
        }
        None if route.matches.path.is_some() => route.any_model.as_ref(),
        None => None,
    }
}

/// A `Host` without its port.
pub fn bare_host(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// `%2F` and its like undone: model ids have slashes, and some clients escape them.
pub fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(digits, after)| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, after))
            });
        let (byte, after) = escaped.unwrap_or((byte, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port() {
        assert_eq!(bare_host("a.example:8080"), "a.example");
        assert_eq!(bare_host("a.example"), "a.example");
        assert_eq!(bare_host("[::1]:80"), "[::1]");
        assert_eq!(bare_host("[::1]"), "[::1]");
    }

    #[test]
    fn escapes_are_undone_where_they_are_whole() {
        assert_eq!(unescaped("a%2Fb%2fc"), "a/b/c");
        assert_eq!(unescaped("a%2"), "a%2");
        assert_eq!(unescaped("%zz%"), "%zz%");
    }
}
