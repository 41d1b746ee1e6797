//! `overspill check FILE`: everything wrong with a configuration, one line each.

use crate::config::load::{Environment, load};
use crate::config::snapshot::Snapshot;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// 0: it can be served. 1: it cannot.
pub fn run(path: &Path) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    match check(path, &env, &mut io::stdout(), &mut io::stderr()) {
        Ok(true) => ExitCode::SUCCESS,
        // Nobody reads any more: then nobody was told that it is fine.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn check(
    path: &Path,
    env: Environment<'_>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<bool> {
    match load(path, env) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                writeln!(errors, "warning: {warning}")?;
            }
            writeln!(out, "{}: ok: {}", path.display(), summary(&loaded.snapshot))?;
            Ok(true)
        }
        Err(problems) => {
            for problem in &problems {
                writeln!(errors, "{problem}")?;
            }
            Ok(false)
        }
    }
}

fn summary(snapshot: &Snapshot) -> String {
    let models: HashSet<&str> = snapshot
        .routes
        .iter()
        .flat_map(|route| route.models.keys().map(|id| &**id))
        .collect();
    format!(
        "{}, {}, {}",
        counted(snapshot.providers.len(), "provider"),
        counted(snapshot.routes.len(), "route"),
        counted(models.len(), "model")
    )
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
