//! `log`: what the gateway says of itself and of each request.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::{AccessTo, Log, LogFormat};
use std::path::Path;

pub fn log(report: &mut Report, place: &Place, log: &file::Log, directory: &Path) -> Log {
    let format = match log.format {
        None | Some(file::LogFormat::Auto) => LogFormat::Auto,
        Some(file::LogFormat::Text) => LogFormat::Text,
        Some(file::LogFormat::Json) => LogFormat::Json,
    };
    let level = match log.level {
        Some(file::Level::Error) => tracing::Level::ERROR,
        Some(file::Level::Warn) => tracing::Level::WARN,
        None | Some(file::Level::Info) => tracing::Level::INFO,
        Some(file::Level::Debug) => tracing::Level::DEBUG,
        Some(file::Level::Trace) => tracing::Level::TRACE,
    };
    let access = access(
        report,
        &place.key("access"),
        log.access.as_deref(),
        directory,
    );
    Log {
        format,
        level,
        access,
    }
}

fn access(report: &mut Report, place: &Place, given: Option<&str>, directory: &Path) -> AccessTo {
    let wrong = match given {
        None | Some("stdout") => return AccessTo::Stdout,
        Some("") => "is empty; write `stdout` or the path of a file",
        Some("stderr") => {
            "is for diagnostics; write `stdout` or the path of a file, and keep the two apart"
        }
        Some("off" | "none" | "false") => {
            "names no place; for no lines of requests write `level: warn`"
        }
        Some(path) => return AccessTo::File(directory.join(path)),
    };
    report.error(place, wrong);
    AccessTo::Stdout
}
