//! The configuration, read again while requests go on.

use crate::config::load::{self, Loaded};
use crate::config::problem::Problem;
use crate::config::snapshot::Snapshot;
use crate::jobs::certificate::Certificate;
use crate::jobs::stamp::Stamps;
use crate::limits::retry_budget;
use crate::measure::configured;
use crate::proxy::shared::Shared;
use crate::telemetry::diagnostics::Level;
use crate::telemetry::metrics::{REFUSED, TAKEN};
use pingora::tls::sign::CertifiedKey;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;

/// Who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    File,
    Signal,
    Api,
}

pub enum Outcome {
    /// In force, with warnings.
    Taken(Vec<Problem>),
    /// The old one stays.
    Refused(Vec<Problem>),
    /// There is no file to read.
    NoFile,
}

/// The last attempt that came to nothing, until one comes to something.
#[derive(Debug, Clone)]
pub struct Failure {
    pub at_ms: u64,
    pub trigger: Trigger,
    pub problems: Vec<Problem>,
}

/// What is in force, and what is not.
#[derive(Debug, Clone)]
pub struct State {
    pub shown: serde_json::Value,
    pub loaded_at_ms: u64,
    pub warnings: Vec<Problem>,
    pub failure: Option<Failure>,
    seen: Stamps,
}

pub struct Reloader {
    file: Option<PathBuf>,
    shared: Arc<Shared>,
    level: Level,
    certificates: Vec<Arc<Certificate>>,
    /// Held while the file is read: one at a time.
    state: Mutex<State>,
}

/// What was read, complete but not in force.
struct Fresh {
    loaded: Loaded,
    certificates: Vec<Arc<CertifiedKey>>,
}

/// The configuration that the gateway started with.
pub struct First {
    pub file: Option<PathBuf>,
    pub shown: serde_json::Value,
    pub warnings: Vec<Problem>,
}

impl Reloader {
    pub fn new(
        first: First,
        shared: Arc<Shared>,
        level: Level,
        certificates: Vec<Arc<Certificate>>,
    ) -> Reloader {
        let at = now_ms();
        shared.metrics.config_loaded.set(seconds(at));
        Reloader {
            state: Mutex::new(State {
                shown: first.shown,
                loaded_at_ms: at,
                warnings: first.warnings,
                failure: None,
                seen: look(first.file.as_deref(), &certificates),
            }),
            file: first.file,
            shared,
            level,
            certificates,
        }
    }

    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub async fn state(&self) -> State {
        self.state.lock().await.clone()
    }

    /// The files as they were when they were last read.
    pub async fn seen(&self) -> Stamps {
        self.state.lock().await.seen.clone()
    }

    pub async fn reload(&self, trigger: Trigger) -> Outcome {
        let Some(file) = self.file.clone() else {
            return Outcome::NoFile;
        };
        let mut state = self.state.lock().await;
        let running = Arc::clone(&self.shared.current.load().snapshot);
        let certificates = self.certificates.clone();
        let reading = move || {
            // Looked at before it is read: what changes meanwhile is then a change.
            let seen = look(Some(&file), &certificates);
            (seen, read(&file, &running, &certificates))
        };
        let read = match tokio::task::spawn_blocking(reading).await {
            Ok((seen, read)) => {
                state.seen = seen;
                read
            }
            Err(error) => Err(vec![self.problem(format!("cannot be read: {error}"))]),
        };
        match read {
            Ok(fresh) => Outcome::Taken(self.take(fresh, &mut state, trigger)),
            Err(problems) => Outcome::Refused(self.refuse(problems, &mut state, trigger)),
        }
    }

    fn take(&self, fresh: Fresh, state: &mut State, trigger: Trigger) -> Vec<Problem> {
        let Loaded {
            snapshot,
            warnings,
            shown,
        } = fresh.loaded;
        for (certificate, fresh) in self.certificates.iter().zip(fresh.certificates) {
            certificate.renew(fresh);
        }
        let shared = &self.shared;
        shared.wires.book.reload(&snapshot.providers);
        let server = &snapshot.server;
        shared.buffers.resize(server.buffers, server.max_body);
        let budget = retry_budget::Settings::of_share(server.retry_budget);
        shared.retry_budget.configure(budget);
        shared.measures.follow(configured::pairs(&snapshot));
        self.level.follow(&snapshot.log);
        let before = shared.current.load();
        let current = before.followed_by(Arc::new(snapshot), Instant::now(), SystemTime::now());
        shared.current.store(Arc::new(current));

        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(?trigger, "the configuration was read again and is in force");
        state.loaded_at_ms = now_ms();
        state.shown = shown;
        state.failure = None;
        state.warnings.clone_from(&warnings);
        let metrics = &shared.metrics;
        metrics.config_reloads.with_label_values(&[TAKEN]).inc();
        metrics.config_stale.set(0);
        metrics.config_loaded.set(seconds(state.loaded_at_ms));
        warnings
    }

    fn refuse(&self, problems: Vec<Problem>, state: &mut State, trigger: Trigger) -> Vec<Problem> {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        tracing::error!(?trigger, "the configuration was refused: the old one stays");
        let metrics = &self.shared.metrics;
        metrics.config_reloads.with_label_values(&[REFUSED]).inc();
        metrics.config_stale.set(1);
        state.failure = Some(Failure {
            at_ms: now_ms(),
            trigger,
            problems: problems.clone(),
        });
        problems
    }

    fn problem(&self, message: String) -> Problem {
        problem(self.file().unwrap_or(Path::new("")), "", message)
    }
}

fn read(
    file: &Path,
    running: &Snapshot,
    certificates: &[Arc<Certificate>],
) -> Result<Fresh, Vec<Problem>> {
    let environment = |name: &str| std::env::var(name).ok();
    let loaded = load::reload(file, &environment, running)?;
    let certificates: Result<Vec<_>, String> = certificates.iter().map(|one| one.read()).collect();
    match certificates {
        Ok(certificates) => Ok(Fresh {
            loaded,
            certificates,
        }),
        Err(message) => Err(vec![problem(file, "server.listen", message)]),
    }
}

fn look(file: Option<&Path>, certificates: &[Arc<Certificate>]) -> Stamps {
    let named = file.map(load::files).unwrap_or_default();
    let shown = certificates
        .iter()
        .flat_map(|one| [one.files().cert.clone(), one.files().key.clone()]);
    Stamps::of(named.into_iter().chain(shown))
}

/// One that stands at no line of its own.
fn problem(file: &Path, path: &str, message: String) -> Problem {
    Problem {
        file: file.display().to_string(),
        line: 1,
        column: 1,
        path: path.to_owned(),
        message,
        suggestion: None,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}
