//! `overspill serve`

use crate::app::{self, Start};
use crate::cli::unconfigured;
use crate::config::load::{self, Loaded};
use crate::config::problem::Problem;
use crate::telemetry::diagnostics;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Without a path the usual places are looked at, then the environment.
pub fn run(path: Option<PathBuf>, upgrade: bool) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let file = path.or_else(|| unconfigured::file(&unconfigured::PLACES.map(Path::new)));
    if let Some(file) = file {
        return match load::load(&file, &environment) {
            Ok(loaded) => start(loaded, Some(&file), upgrade),
            Err(problems) => refuse(&problems),
        };
    }
    let text = match unconfigured::compose(&environment) {
        Ok(text) => text,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    match load::load_str(&text, "made from the environment", &environment) {
        Ok(loaded) => {
            // Whoever does not read it is served all the same.
            let _ = writeln!(io::stdout(), "{text}");
            start(loaded, None, upgrade)
        }
        Err(problems) => refuse(&problems),
    }
}

fn refuse(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::FAILURE
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
