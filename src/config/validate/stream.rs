//! `timeouts` and `stream`: how long an answer may take, and what its silences mean.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::{Resume, Streaming, Timeouts};
use crate::config::units::{Time, show_time};
use crate::config::validate::names::time;
use crate::config::words::Pause;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

/// What the file leaves out is as in `base`.
pub fn timeouts(
    report: &mut Report,
    place: &Place,
    file: &file::Timeouts,
    base: &Timeouts,
) -> Timeouts {
    let mut limit =
        |field: &str, given, base| time(report, &place.key(field), given, base, MS..=DAY);
    let timeouts = Timeouts {
        connect: limit("connect", file.connect, base.connect),
        first_byte: limit("first_byte", file.first_byte, base.first_byte),
        first_token: limit("first_token", file.first_token, base.first_token),
        idle: limit("idle", file.idle, base.idle),
        stall: limit("stall", file.stall, base.stall),
        response: limit("response", file.response, base.response),
        deadline: limit("deadline", file.deadline, base.deadline),
    };
    // Only where it was written: a short deadline over the usual first token means no harm.
    if file.first_token.is_some() && timeouts.first_token > timeouts.deadline {
        let deadline = show_time(timeouts.deadline);
        let message = format!("is longer than `deadline` ({deadline}), which ends the wait first");
        report.warn(&place.key("first_token"), message);
    }
    timeouts
}

/// What the file leaves out is as in `base`.
pub fn streaming(
    report: &mut Report,
    place: &Place,
    file: &file::Streaming,
    base: Streaming,
) -> Streaming {
    let ping = match file.ping {
        None => base.ping,
        Some(Pause::Off) => None,
        Some(Pause::Every(given)) => Some(pause(report, &place.key("ping"), given)),
    };
    let ping_before_commit = file.ping_before_commit.unwrap_or(base.ping_before_commit);
    if ping_before_commit && ping.is_none() {
        warn_of_no_pings(report, place, file);
    }
    Streaming {
        ping,
        ping_before_commit,
        resume: match file.resume {
            None => base.resume,
            Some(file::Resume::Prefill) => Resume::Prefill,
            Some(file::Resume::Auto) => Resume::Auto,
            Some(file::Resume::Off) => Resume::Off,
        },
    }
}

fn pause(report: &mut Report, place: &Place, given: Time) -> Duration {
    if given.0.is_zero() {
        let message = format!(
            "{} would ping without a pause; write `off` for no pings",
            report.quote(place)
        );
        report.error(place, message);
        return given.0;
    }
    time(report, place, Some(given), given.0, MS..=DAY)
}

/// Not again in every route, where `defaults` alone wrote it.
fn warn_of_no_pings(report: &mut Report, place: &Place, file: &file::Streaming) {
    let field = match (file.ping_before_commit, file.ping) {
        (Some(_), _) => "ping_before_commit",
        (None, Some(_)) => "ping",
        (None, None) => return,
    };
    let message = "`ping_before_commit: true` has no effect with `ping: off`";
    report.warn(&place.key(field), message);
}
