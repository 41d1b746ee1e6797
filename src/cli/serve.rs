//! `overspill serve`

use crate::app;
use crate::config::load::{self, Loaded};
use crate::telemetry::diagnostics;
use std::path::Path;
use std::process::ExitCode;

pub fn run(path: &Path) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    match load::load(path, &environment) {
        Ok(loaded) => start(loaded),
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Serves a configuration that has been found good; warnings go to the log.
pub fn start(loaded: Loaded) -> ExitCode {
    diagnostics::install(&loaded.snapshot.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match app::serve(loaded.snapshot) {
        Ok(never) => match never {},
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
