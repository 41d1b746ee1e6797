//! One line a request, written by a thread of its own. A request never waits for it: when the
//! thread falls behind, lines are dropped and counted.

use prometheus::IntCounter;
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// What became of one request.
#[derive(Debug, Default, Serialize)]
pub struct Record {
    /// Milliseconds since the epoch, at the start.
    pub time_ms: u64,
    pub request_id: String,
    pub method: String,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Arc<str>>,
    /// As the caller asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The canonical id of what answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<str>>,
    pub stream: bool,
    /// 0: nothing was answered.
    pub status: u16,
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    pub attempts: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace: String,
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    pub overhead_us: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Json,
    Text,
}

/// Room for this many lines while the writer is busy.
const BACKLOG: usize = 8192;

pub struct AccessLog {
    sender: SyncSender<Record>,
    dropped: IntCounter,
}

impl AccessLog {
    pub fn start(shape: Shape, dropped: IntCounter) -> std::io::Result<AccessLog> {
        let (sender, receiver) = sync_channel(BACKLOG);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&receiver, shape))?;
        Ok(AccessLog { sender, dropped })
    }

    pub fn write(&self, record: Record) {
        if self.sender.try_send(record).is_err() {
            self.dropped.inc();
        }
    }
}

/// Writes until the last sender is gone: whatever is waiting goes out in one write.
fn write_all(receiver: &Receiver<Record>, shape: Shape) {
    let mut lines = Vec::with_capacity(16 * 1024);
    while let Ok(record) = receiver.recv() {
        lines.clear();
        render(&record, shape, &mut lines);
        while lines.len() < 64 * 1024 {
            let Ok(record) = receiver.try_recv() else {
                break;
            };
            render(&record, shape, &mut lines);
        }
        // Standard output gone is nobody's reason to stop serving.
        let _ = std::io::stdout().lock().write_all(&lines);
    }
}

fn render(record: &Record, shape: Shape, lines: &mut Vec<u8>) {
    match shape {
        Shape::Json => {
            // Writing into a vector cannot fail.
            let _ = serde_json::to_writer(&mut *lines, record);
            lines.push(b'\n');
        }
        Shape::Text => {
            let _ = writeln!(
                lines,
                "{} {} {} {} {} model={} served={} provider={} attempts={} {}ms {}",
                record.status,
                record.method,
                record.path,
                record.reason,
                record.request_id,
                record.model.as_deref().map_or("-".into(), printable),
                record.served.as_deref().unwrap_or("-"),
                record.provider.as_deref().unwrap_or("-"),
                record.attempts,
                record.duration_ms,
                record.trace,
            );
        }
    }
}

/// What a caller sent, without the control characters that would forge a line.
fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string().into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_cannot_forge_a_line() {
        let record = Record {
            model: Some("x\n200 GET /forged".to_owned()),
            ..Record::default()
        };
        for shape in [Shape::Json, Shape::Text] {
            let mut lines = Vec::new();
            render(&record, shape, &mut lines);
            assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 1);
        }
    }
}
