//! The gateway's own log, on standard error.

use crate::config::snapshot::{Log, LogFormat};
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

/// Installs the log. A second call (tests that start several gateways) changes nothing.
pub fn install(log: &Log) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = if is_json(log) {
        builder.json().try_init()
    } else {
        builder.with_target(false).try_init()
    };
}

/// Text on a terminal, else JSON, unless the configuration says.
pub fn is_json(log: &Log) -> bool {
    match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stdout().is_terminal(),
    }
}
