//! `providers.*.breaker`: when a target that fails is taken out.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::Breaker;
use crate::config::units::Percent;
use crate::config::validate::names::{number, time};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);
/// Every target remembers its outcomes one by one.
const MOST: u32 = 1000;

pub fn breaker(
    report: &mut Report,
    place: &Place,
    file: Option<&file::Breaker>,
) -> Option<Breaker> {
    let file::Breaker::On {
        failures,
        window,
        last,
        minimum,
        interval,
    } = *file.unwrap_or(&DEFAULTS)
    else {
        return None;
    };
    let seconds = Duration::from_secs;
    let failures = failures.map_or(0.5, Percent::share);
    if failures <= 0.0 {
        let message = "is reached without a failure; \
                       write a percentage above it, or `breaker: off` for none";
        let place = place.key("failures");
        let message = format!("{} {message}", report.quote(&place));
        report.error(&place, message);
    }
    let last = number(report, &place.key("last"), last, 20, 1..=MOST);
    let minimum_place = place.key("minimum");
    let written = minimum;
    let minimum = number(report, &minimum_place, written, last.min(10), 1..=MOST);
    if minimum > last && !report.was_refused(&place.key("last")) {
        let message = format!(
            "{} is more than `last` ({last}): the breaker could never open",
            report.quote(&minimum_place)
        );
        report.error(&minimum_place, message);
    }
    Some(Breaker {
        failures,
        window: time(report, &place.key("window"), window, seconds(30), MS..=DAY),
        last: usize::try_from(last).unwrap_or(usize::MAX),
        minimum,
        interval: time(
            report,
            &place.key("interval"),
            interval,
            seconds(5),
            MS..=DAY,
        ),
    })
}

const DEFAULTS: file::Breaker = file::Breaker::On {
    failures: None,
    window: None,
    last: None,
    minimum: None,
    interval: None,
};
