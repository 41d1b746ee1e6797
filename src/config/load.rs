//! Reads a configuration whole: every error at once, or a snapshot.

use crate::config::date::Date;
use crate::config::decode::decode;
use crate::config::file;
use crate::config::parse::{MAX_BYTES, parse};
use crate::config::problem::{Problem, Report};
use crate::config::reference::Surroundings;
use crate::config::shown::shown;
use crate::config::snapshot::Snapshot;
use crate::config::standing;
use crate::config::validate::{Context, validate};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use crate::config::reference::Environment;

#[derive(Debug)]
pub struct Loaded {
    pub snapshot: Snapshot,
    pub warnings: Vec<Problem>,
    /// The file as JSON that anyone may see.
    pub shown: serde_json::Value,
}

/// Beyond this many errors the rest is not looked for.
const MAX_ERRORS: usize = 100;

/// Relative paths inside the file begin at the file's own directory.
pub fn load(path: &Path, env: Environment<'_>) -> Result<Loaded, Vec<Problem>> {
    load_beside(path, env, None)
}

/// For a gateway that runs: what it cannot change keeps its value, with a warning.
pub fn reload(
    path: &Path,
    env: Environment<'_>,
    running: &Snapshot,
) -> Result<Loaded, Vec<Problem>> {
    load_beside(path, env, Some(running))
}

/// The file itself, and those that its references name.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    let text = read_bounded(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let named = text.split("${file:").skip(1);
    files.extend(
        named
            .filter_map(|rest| rest.split_once('}'))
            .map(|(named, _)| directory(path).join(named)),
    );
    files
}

fn load_beside(
    path: &Path,
    env: Environment<'_>,
    running: Option<&Snapshot>,
) -> Result<Loaded, Vec<Problem>> {
    let text = text_of(path)?;
    let name = path.display().to_string();
    let directory = directory(path);
    let around = Surroundings { env, directory };
    read_beside(&text, &name, around, Date::of(SystemTime::now()), running)
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// For a configuration that is no file. Relative paths begin at the working directory.
pub fn load_str(text: &str, file_name: &str, env: Environment<'_>) -> Result<Loaded, Vec<Problem>> {
    let around = Surroundings {
        env,
        directory: Path::new(""),
    };
    read(text, file_name, around, Date::of(SystemTime::now()))
}

/// With the day named: what is old depends on it.
pub fn read(
    text: &str,
    file_name: &str,
    around: Surroundings<'_>,
    today: Date,
) -> Result<Loaded, Vec<Problem>> {
    read_beside(text, file_name, around, today, None)
}

fn read_beside(
    text: &str,
    file_name: &str,
    around: Surroundings<'_>,
    today: Date,
    running: Option<&Snapshot>,
) -> Result<Loaded, Vec<Problem>> {
    let (root, problems) = parse(text, file_name, around).map_err(|problem| vec![*problem])?;
    let mut report = Report::new(file_name, root, problems);
    let Some(file) = decode_all::<file::File>(&mut report) else {
        return Err(report.finish().err().unwrap_or_default());
    };
    let context = Context {
        directory: around.directory,
        today,
    };
    let mut snapshot = validate(file, &mut report, context);
    if let Some(running) = running {
        standing::keep(&mut report, &mut snapshot, running);
    }
    let shown = shown(&report.root);
    report.finish().map(|warnings| Loaded {
        snapshot,
        warnings,
        shown,
    })
}

/// A file whole, as far as it is text of a size that is read at all.
pub fn text_of(path: &Path) -> Result<String, Vec<Problem>> {
    let name = path.display().to_string();
    let read = read_bounded(path)
        .map_err(|error| whole_file(&name, 1, format!("cannot be read: {error}")));
    let text = String::from_utf8(read.map_err(|problem| vec![problem])?);
    text.map_err(|error| vec![not_text(&name, &error)])
}

/// A byte more than is allowed is enough to know.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Serde stops at its first error: that one is reported and taken out, and it begins again.
pub(super) fn decode_all<T: DeserializeOwned>(report: &mut Report) -> Option<T> {
    loop {
        let fault = match decode::<T>(&report.root) {
            Ok(file) => return Some(file),
            Err(fault) => fault,
        };
        let taken = report.fault(fault);
        if !taken || report.count() >= MAX_ERRORS {
            return None;
        }
    }
}

fn not_text(file: &str, error: &std::string::FromUtf8Error) -> Problem {
    let valid = error.utf8_error().valid_up_to();
    let before = error.as_bytes().get(..valid).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    whole_file(file, line, "not valid UTF-8".to_owned())
}

fn whole_file(file: &str, line: usize, message: String) -> Problem {
    let (path, suggestion) = (String::new(), None);
    Problem {
        file: file.to_owned(),
        line,
        column: 1,
        path,
        message,
        suggestion,
    }
}
