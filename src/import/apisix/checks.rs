//! `checks.active` as a provider's `health`.

use crate::config::units::show_time;
use crate::import::draft::{Field, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use std::time::Duration;

const MOST: u64 = 3600;

pub fn read(mut checks: Fields, notes: &mut Notes) -> Option<Field> {
    checks.lose("passive", notes, "every request is judged by `breaker`");
    let active = checks.take_fields("active", notes);
    checks.finish(notes);
    let mut active = active?;
    let number = |item: Option<Item>, usual: u64, most: u64, notes: &mut Notes| {
        item.map_or(Some(usual), |item| item.whole(notes, most))
            .map(|number| number.max(1))
    };
    let kind = active.take("type");
    let kind = kind.map_or(Some("http"), |kind| kind.text(notes))?;
    let tcp = kind == "tcp";
    if !["http", "https", "tcp"].contains(&kind) {
        let place = active.place.key("type");
        notes.error(&place, "is none of http, https and tcp");
    }
    let path_item = active.take("http_path");
    let path = path_item
        .as_ref()
        .map_or(Some("/"), |path| path.text(notes))?;
    let plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if let Some(item) = path_item.filter(|_| !path.starts_with('/') || !plain) {
        notes.error(&item.place, "is not a path such as `/health`");
    }
    let timeout = active.take("timeout");
    let timeout = timeout.map_or(Some(1.0), |item| item.number(notes, 3600.0))?;
    let mut healthy = active.take_fields("healthy", notes);
    let mut unhealthy = active.take_fields("unhealthy", notes);
    let interval = number(of(&mut healthy, "interval"), 1, MOST, notes)?;
    let healthy_after = number(of(&mut healthy, "successes"), 2, 100, notes)?;
    let statuses = of(&mut healthy, "http_statuses");
    let failures = if tcp { "tcp_failures" } else { "http_failures" };
    let usual = if tcp { 2 } else { 5 };
    let unhealthy_after = number(of(&mut unhealthy, failures), usual, 100, notes)?;
    let mut expect = vec![];
    match statuses {
        Some(statuses) => {
            for status in statuses.list(notes) {
                expect.extend(status.whole(notes, 599));
            }
        }
        None => expect.extend([200, 302]),
    }
    for fields in [healthy, unhealthy].into_iter().flatten() {
        fields.finish(notes);
    }
    active.finish(notes);
    // A check that takes longer than its interval would overtake the next.
    let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
    let timeout = timeout.max(Duration::from_millis(1));
    let interval = Duration::from_secs(interval).max(timeout);
    let mut fields = match tcp {
        true => vec![("tcp", Value::word(true))],
        false => vec![
            ("path", Value::text(path)),
            ("expect", Value::words(expect)),
        ],
    };
    fields.extend([
        ("interval", Value::word(show_time(interval))),
        ("timeout", Value::word(show_time(timeout))),
        ("unhealthy_after", Value::word(unhealthy_after)),
        ("healthy_after", Value::word(healthy_after)),
    ]);
    let why = "`checks.active`, with APISIX's own values where it says none; any other status \
               counts as a failure";
    Some(Field::new("health", Value::map(fields)).because(why))
}

fn of<'a>(fields: &mut Option<Fields<'a>>, name: &str) -> Option<Item<'a>> {
    fields.as_mut()?.take(name)
}
