//! `limits` of a provider or a target.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::Limits;
use crate::config::validate::names::out_of_range;

/// More than any provider sells.
const MOST: u64 = 1_000_000_000_000;

pub fn limits(report: &mut Report, place: &Place, file: &file::Limits) -> Limits {
    let mut limit = |field: &str, given: Option<u64>, most: u64| {
        let place = place.key(field);
        let given = given?;
        if given == 0 {
            let message = "`0` would let nothing through; leave it out for no limit, \
                           or take the provider out of the route";
            report.error(&place, message);
        } else if given > most {
            out_of_range(report, &place, "1", &most.to_string());
        }
        Some(given)
    };
    let concurrency = limit("concurrency", file.concurrency, u64::from(u32::MAX));
    Limits {
        concurrency: concurrency.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        rpm: limit("rpm", file.rpm, MOST),
        tpm: limit("tpm", file.tpm, MOST),
    }
}
