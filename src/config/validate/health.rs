//! `providers.*.health`: how its addresses are asked whether they are well.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Health, Probe};
use crate::config::units::show_time;
use crate::config::validate::names::{number, out_of_range, time};
use http::uri::PathAndQuery;
use std::time::Duration;

/// Beyond these a check is either a load of its own or none at all.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3600);

pub fn health(report: &mut Report, place: &Place, file: &file::Health) -> Health {
    let seconds = Duration::from_secs;
    let interval_place = place.key("interval");
    let interval = time(
        report,
        &interval_place,
        file.interval,
        seconds(5),
        SHORTEST..=LONGEST,
    );
    let timeout_place = place.key("timeout");
    let default = interval.min(seconds(1));
    let least = Duration::from_millis(1);
    let timeout = time(
        report,
        &timeout_place,
        file.timeout,
        default,
        least..=LONGEST,
    );
    if timeout > interval && !report.was_refused(&interval_place) {
        let message = format!(
            "{} is longer than `interval` ({}), and checks would overtake each other",
            report.quote(&timeout_place),
            show_time(interval)
        );
        report.error(&timeout_place, message);
    }
    let mut threshold =
        |field: &str, given, default| number(report, &place.key(field), given, default, 1..=100);
    let unhealthy_after = threshold("unhealthy_after", file.unhealthy_after, 3);
    let healthy_after = threshold("healthy_after", file.healthy_after, 2);
    Health {
        probe: probe(report, place, file),
        interval,
        timeout,
        unhealthy_after,
        healthy_after,
    }
}

fn probe(report: &mut Report, place: &Place, file: &file::Health) -> Probe {
    let [path_place, expect_place] = ["path", "expect"].map(|field| place.key(field));
    if file.tcp == Some(true) {
        for (place, written) in [
            (&path_place, file.path.is_some()),
            (&expect_place, file.expect.is_some()),
        ] {
            if written {
                let message = "is never asked for with `tcp: true`; remove one of the two";
                report.error(place, message);
            }
        }
        return Probe::Tcp;
    }
    let expect = match &file.expect {
        Some(statuses) => expect(report, &expect_place, statuses),
        None => vec![200],
    };
    match file.path.as_deref() {
        Some(path) => {
            if !is_path(path) {
                let message = format!(
                    "{} is not a path; write one from the root of the host, such as `/health`",
                    report.quote(&path_place)
                );
                report.error(&path_place, message);
            }
            Probe::Http {
                path: path.to_owned(),
                expect,
            }
        }
        None => {
            if file.tcp.is_some() || !report.was_written(&place.key("tcp")) {
                let message = "missing: a path such as `/health`, \
                               or `tcp: true` where a connection is enough";
                report.missing(place, "path", message);
            }
            Probe::Tcp
        }
    }
}

fn is_path(path: &str) -> bool {
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic());
    path.starts_with('/') && visible && !path.contains('#') && path.parse::<PathAndQuery>().is_ok()
}

fn expect(report: &mut Report, place: &Place, statuses: &List<u64>) -> Vec<u16> {
    let mut expected = Vec::new();
    for (place, status) in elements(statuses, place) {
        match u16::try_from(*status) {
            Ok(status @ 200..=599) if !expected.contains(&status) => expected.push(status),
            Ok(200..=599) => report.error(&place, "is named twice"),
            _ => out_of_range(report, &place, "200", "599"),
        }
    }
    if statuses.is_empty() {
        report.error(place, "is empty; leave it out for 200");
    }
    expected
}
