//! The gateway's own log, on standard error.

use crate::config::snapshot::{AccessTo, Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Pingora's proxy reports each broken request as an error of its own; what ends a request is told
/// by the access line instead. What concerns the process (no more file descriptors) is kept.
fn filter(log: &Log) -> EnvFilter {
    let level = log.level;
    let framework = level.min(tracing::Level::WARN);
    EnvFilter::new(format!(
        "{level},pingora_core={framework},pingora_proxy=off,hickory_resolver={framework},\
         hickory_net={framework},h2={framework},rustls={framework}"
    ))
}

/// Changes the level of a log that is installed.
pub struct Level(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Level {
    pub fn follow(&self, log: &Log) {
        (self.0)(filter(log));
    }
}

/// Installs the log. A second call (tests that start several gateways) changes nothing.
pub fn install(log: &Log) -> Level {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if is_json(log, std::io::stderr().is_terminal()) {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Level(Box::new(move |filter| report(handle.reload(filter))))
    } else {
        let builder = builder.with_target(false).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Level(Box::new(move |filter| report(handle.reload(filter))))
    }
}

fn report(changed: Result<(), tracing_subscriber::reload::Error>) {
    if let Err(error) = changed {
        tracing::warn!("the log keeps its level: {error}");
    }
}

/// Whether the lines of requests are JSON.
pub fn is_access_json(log: &Log) -> bool {
    let read_by_people = log.access == AccessTo::Stdout && std::io::stdout().is_terminal();
    is_json(log, read_by_people)
}

/// Text on a terminal, else JSON, unless the configuration says.
fn is_json(log: &Log, on_terminal: bool) -> bool {
    match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !on_terminal,
    }
}
