//! Names, patterns and amounts, checked the same way wherever they stand.

use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::Pattern;
use crate::config::units::{Time, show_time};
use http::HeaderName;
use std::ops::RangeInclusive;
use std::time::Duration;

const LONGEST: usize = 256;

/// What may be written in a header and a log line as it is: names of ours and canonical ids.
pub fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'`,;*".contains(&byte))
}

/// A provider's own name for a model: anything on one line.
pub fn is_foreign_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Reports a name that cannot stand, and whether it can.
pub fn name(report: &mut Report, place: &Place, name: &str) -> bool {
    let valid = is_name(name);
    if !valid {
        let message = "is not a name: up to 256 letters, digits and signs, \
                       without spaces, quotes, commas or `*`";
        let message = format!("{} {message}", report.quote(place));
        report.error(place, message);
    }
    valid
}

pub fn foreign_name(report: &mut Report, place: &Place, name: &str) {
    if !is_foreign_name(name) {
        let message = "is not a model name: up to 256 characters on one line";
        let message = format!("{} {message}", report.quote(place));
        report.error(place, message);
    }
}

/// A literal, or one with a single `*`.
pub fn pattern(report: &mut Report, place: &Place, text: &str) -> Option<Pattern> {
    let wrong = match text.matches('*').count() {
        _ if text.is_empty() => "is empty; leave it out to match anything",
        _ if text.chars().any(char::is_control) => "has a control character",
        0 | 1 => return Some(Pattern::parse(text)),
        _ => "has more than one `*`",
    };
    let message = format!("{} {wrong}", report.quote(place));
    report.error(place, message);
    None
}

pub fn patterns(report: &mut Report, place: &Place, list: &List<String>) -> Vec<Pattern> {
    let texts = elements(list, place);
    texts
        .into_iter()
        .filter_map(|(place, text)| pattern(report, &place, text))
        .collect()
}

pub fn header_name(report: &mut Report, place: &Place, name: &str) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        let message = format!("{} is not a header name", report.quote(place));
        report.error(place, message);
    }
    parsed
}

/// A time within limits, or the default.
pub fn time(
    report: &mut Report,
    place: &Place,
    given: Option<Time>,
    default: Duration,
    limits: RangeInclusive<Duration>,
) -> Duration {
    let Some(Time(time)) = given else {
        return default;
    };
    if !limits.contains(&time) {
        let (least, most) = (show_time(*limits.start()), show_time(*limits.end()));
        out_of_range(report, place, &least, &most);
    }
    time
}

/// A number within limits, or the default.
pub fn number(
    report: &mut Report,
    place: &Place,
    given: Option<u64>,
    default: u32,
    limits: RangeInclusive<u32>,
) -> u32 {
    let Some(number) = given else { return default };
    match u32::try_from(number) {
        Ok(number) if limits.contains(&number) => number,
        _ => {
            let (least, most) = (limits.start().to_string(), limits.end().to_string());
            out_of_range(report, place, &least, &most);
            default
        }
    }
}

pub fn out_of_range(report: &mut Report, place: &Place, least: &str, most: &str) {
    let message = format!("{} is not between {least} and {most}", report.quote(place));
    report.error(place, message);
}
