//! `overspill serve`

use crate::app::{self, Start};
use crate::config::load::{self, Loaded};
use crate::telemetry::diagnostics;
use std::path::Path;
use std::process::ExitCode;

pub fn run(path: &Path, upgrade: bool) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    match load::load(path, &environment) {
        Ok(loaded) => start(loaded, Some(path), upgrade),
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Serves a configuration that has been found good; warnings go to the log.
pub fn start(loaded: Loaded, file: Option<&Path>, upgrade: bool) -> ExitCode {
    let level = diagnostics::install(&loaded.snapshot.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let start = Start {
        loaded,
        file: file.map(Path::to_owned),
        upgrade,
        level,
    };
    match app::serve(start) {
        Ok(never) => match never {},
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
