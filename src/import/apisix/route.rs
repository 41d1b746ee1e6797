//! One route of APISIX: a route of ours for each of its paths.

use super::limits::{self, Limits};
use super::targets::targets;
use super::{Context, Form, Found, Placed};
use crate::import::draft::{Field, Route, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use std::cmp::Reverse;

pub fn read(context: &mut Context, found: Found, index: usize) -> Vec<Placed> {
    let Found {
        mut fields,
        form,
        hosts,
    } = found;
    let place = fields.place.clone();
    let notes = &mut *context.notes;
    let id = fields.take("id").and_then(|item| item.name(notes));
    let called = fields.take_text("name", notes);
    let name = id
        .or(called)
        .map_or(format!("route-{}", index + 1), str::to_owned);
    let mut why = vec![];
    if let (Some(_), Some(called)) = (id, called) {
        why.push(called.to_owned());
    }
    why.extend(
        ["desc", "description"]
            .iter()
            .filter_map(|field| fields.take_text(field, notes).map(str::to_owned)),
    );
    let off = fields.take("status").and_then(|item| item.whole(notes, 1)) == Some(0);
    let plugins = fields.take_fields("plugins", notes);
    let Some(mut plugins) = plugins.filter(|_| !off) else {
        let why = if off {
            "is switched off"
        } else {
            "has no `plugins`"
        };
        notes.lost(&place, format!("left out: it {why}"));
        return vec![];
    };
    let plugin = ["ai-proxy-multi", "ai-proxy"]
        .iter()
        .find_map(|name| enabled(&mut plugins, name, notes));
    let Some(mut plugin) = plugin else {
        notes.lost(
            &place,
            "left out: it has neither `ai-proxy` nor `ai-proxy-multi`",
        );
        return vec![];
    };
    let paths = paths(&mut fields, form, notes);
    let conditions = conditions(&mut fields, &hosts, notes);
    let Some(conditions) = conditions.filter(|_| !paths.is_empty()) else {
        return vec![];
    };
    let rank = fields
        .take("priority")
        .and_then(|item| item.signed(notes))
        .unwrap_or(0);
    match enabled(&mut plugins, "key-auth", notes) {
        Some(fields) => {
            context.guarded.push(fields.place.clone());
            fields.finish(notes);
        }
        None => context.unguarded += 1,
    }
    let limits = plugins.take("ai-rate-limiting");
    let limits = limits.map_or_else(Limits::default, |item| limits::read(&item, notes));
    plugins.finish(notes);
    fields.lose(
        "service_id",
        notes,
        "services have no counterpart; give the route's own hosts",
    );
    fields.lose(
        "upstream",
        notes,
        "the plugin goes to the provider, not to an upstream",
    );
    fields.lose(
        "upstream_id",
        notes,
        "the plugin goes to the provider, not to an upstream",
    );
    fields.finish(notes);
    let Some((targets, mut settings)) = targets(context, &mut plugin, form, &limits) else {
        return vec![];
    };
    plugin.finish(context.notes);
    let resume = Field::new("stream", Value::map([("resume", Value::word("off"))]));
    settings.push(resume.because("APISIX carries no broken stream on elsewhere; `prefill` would"));
    let mut placed = Vec::new();
    for path in paths {
        let mut matches = vec![("path".to_owned(), Value::text(path))];
        matches.extend(conditions.iter().cloned());
        let hosts = conditions.iter().find(|(name, _)| name == "host");
        let host_rank = match hosts {
            Some((_, hosts)) if has_wildcard(hosts) => 1,
            Some(_) => 0,
            None => 2,
        };
        let wild = path.ends_with('*');
        let length = if wild { path.len() } else { usize::MAX };
        let route = Route {
            name: name.clone(),
            why: why.clone(),
            matches,
            targets: targets.clone(),
            fields: settings.clone(),
        };
        placed.push(Placed {
            place: place.clone(),
            rank: (host_rank, wild, Reverse(length), Reverse(rank)),
            route,
        });
    }
    placed
}

fn has_wildcard(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains('*'),
        Value::List(values) => values.iter().any(has_wildcard),
        _ => false,
    }
}

/// A plugin that is there and not switched off.
fn enabled<'a>(plugins: &mut Fields<'a>, name: &str, notes: &mut Notes) -> Option<Fields<'a>> {
    let mut plugin = plugins.take_fields(name, notes)?;
    if let Some(mut meta) = plugin.take_fields("_meta", notes) {
        let off = meta.take("disable").and_then(|item| item.flag(notes));
        if off == Some(true) {
            notes.lost(&plugin.place, "is switched off");
            return None;
        }
        meta.finish(notes);
    }
    Some(plugin)
}

/// The paths that can be matched here.
fn paths<'a>(fields: &mut Fields<'a>, form: Form, notes: &mut Notes) -> Vec<&'a str> {
    let mut paths = Vec::new();
    for name in ["uri", "uris", "paths"] {
        let items = fields
            .take(name)
            .map_or(vec![], |item| item.one_or_many(notes));
        for item in items {
            let Some(path) = item.text(notes) else {
                continue;
            };
            let middle = path.strip_suffix('*').unwrap_or(path);
            let plain = path.starts_with('/') && !middle.contains(['*', ':', '?', '#', '{']);
            if plain && !paths.contains(&path) {
                paths.push(path);
            } else if !plain {
                let why = "only a path, or its beginning with `*` after it, can be matched; \
                           left out";
                notes.lost(&item.place, why);
            }
        }
    }
    if paths.is_empty() && !notes.failed() {
        let expected = match form {
            Form::Apisix => "`uri` or `uris`",
            Form::Api7 => "`paths`",
        };
        notes.lost(
            &fields.place,
            format!("left out: no path of it, {expected}, can be matched"),
        );
    }
    paths
}

/// Host and headers; None where the route serves nothing that could come to a model.
fn conditions(
    fields: &mut Fields,
    service: &[&str],
    notes: &mut Notes,
) -> Option<Vec<(String, Value)>> {
    let mut conditions = Vec::new();
    if let Some(methods) = fields.take("methods") {
        let words = methods.texts(notes);
        if !words.contains(&"POST") {
            notes.lost(
                &methods.place,
                "left out with its route: models are asked by POST alone",
            );
            return None;
        }
        if words.len() > 1 {
            notes.lost(&methods.place, "models are asked by POST alone");
        }
    }
    let mut hosts = Vec::new();
    for name in ["host", "hosts"] {
        let items = fields
            .take(name)
            .map_or(vec![], |item| item.one_or_many(notes));
        for item in items {
            let Some(host) = item.text(notes) else {
                continue;
            };
            let plain = |sign: char| sign.is_ascii_graphic() && !"/:".contains(sign);
            if host.is_empty() || !host.chars().all(plain) || host.matches('*').count() > 1 {
                notes.error(
                    &item.place,
                    "is not a host such as `example.com` or `*.example.com`",
                );
            }
            hosts.push(host);
        }
    }
    if hosts.is_empty() {
        hosts.extend(service);
    }
    match hosts.as_slice() {
        [] => {}
        [one] => conditions.push(("host".to_owned(), Value::text(*one))),
        many => conditions.push(("host".to_owned(), Value::texts(many.iter().copied()))),
    }
    let mut headers = Vec::new();
    for item in fields.take("vars").map_or(vec![], |item| item.list(notes)) {
        match header(&item, notes) {
            Some(pair) => headers.push(pair),
            None => widened(&item, notes),
        }
    }
    if !headers.is_empty() {
        conditions.push(("headers".to_owned(), Value::Map(headers)));
    }
    for name in ["remote_addr", "remote_addrs", "filter_func"] {
        if let Some(item) = fields.take(name) {
            widened(&item, notes);
        }
    }
    Some(conditions)
}

fn widened(item: &Item, notes: &mut Notes) {
    let why = "this condition cannot be asked here: the route serves what it did not serve before";
    notes.lost(&item.place, why);
    notes.warn(format!("{}: {why}", item.place));
}

/// `["http_x_team", "==", "blue"]`.
fn header(item: &Item, notes: &mut Notes) -> Option<(String, Value)> {
    let parts = item.is_list().then(|| item.list(notes))?;
    let [name, is, value] = parts.as_slice() else {
        return None;
    };
    let text = |item: &Item| item.node.scalar().map(|scalar| scalar.text.to_string());
    let header = text(name)?.strip_prefix("http_")?.replace('_', "-");
    let value = text(value)?;
    let plain = !value.is_empty() && !value.contains(|sign: char| sign == '*' || sign.is_control());
    let valid = http::HeaderName::from_bytes(header.as_bytes()).is_ok() && plain;
    (valid && text(is)? == "==").then(|| (header, Value::text(value)))
}
