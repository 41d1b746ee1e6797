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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is fine, what goes to stdout, and what to stderr.
    fn run_on(name: &str, text: &str) -> (bool, String, String) {
        let file = format!("overspill-check-{}-{name}.yaml", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let fine = check(&path, &|_| None, &mut out, &mut errors).unwrap();
        std::fs::remove_file(&path).unwrap();
        let said = |bytes| {
            String::from_utf8(bytes)
                .unwrap()
                .replace(&path.display().to_string(), "F")
        };
        (fine, said(out), said(errors))
    }

    #[test]
    fn says_what_it_found() {
        let routes = "routes: [{ targets: [{ provider: deepseek }] }]\n";
        let good = format!("providers: {{ deepseek: {{ api_key: k }} }}\n{routes}");
        let fine = "F: ok: 1 provider, 1 route, 4 models\n";
        assert_eq!(
            run_on("good", &good),
            (true, fine.to_owned(), String::new())
        );
        let odd = format!("server: {{ buffers: 1MiB }}\n{good}");
        let warning = "warning: F:1: server.buffers: is smaller than `max_body`: \
                       bodies between the two are always refused\n";
        assert_eq!(
            run_on("odd", &odd),
            (true, fine.to_owned(), warning.to_owned())
        );
        let errors = "F:1: providers.deepseek: is empty; give it a value or leave it out\n\
                      F:2: x: unknown field `x`; \
                      known here: server, providers, routes, defaults, keys, auth, log, traces, currencies, store\n";
        let bad = format!("providers: {{ deepseek: ~ }}\nx: 1\n{routes}");
        assert_eq!(
            run_on("bad", &bad),
            (false, String::new(), errors.to_owned())
        );
    }
}
