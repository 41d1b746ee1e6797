//! Certificates and keys: files that must be there when the configuration is read.

use crate::config::place::Place;
use crate::config::problem::Report;
use std::path::{Path, PathBuf};

/// What belongs into a field of this name: how it begins, and what it is.
fn expected(field: &str) -> (&'static str, &'static str) {
    match field {
        "key" => ("PRIVATE KEY-----", "private key"),
        _ => ("-----BEGIN CERTIFICATE-----", "certificate"),
    }
}

/// The path of a PEM file that can be read and holds what is asked for.
pub fn required(
    report: &mut Report,
    parent: &Place,
    field: &str,
    path: Option<&str>,
    directory: &Path,
) -> PathBuf {
    let Some(path) = path else {
        let (_, what) = expected(field);
        let message = format!("missing: the path of a PEM file with the {what}");
        report.missing(parent, field, &message);
        return PathBuf::new();
    };
    checked(report, parent, field, path, directory)
}

/// The same for a path that was written.
pub fn checked(
    report: &mut Report,
    parent: &Place,
    field: &str,
    path: &str,
    directory: &Path,
) -> PathBuf {
    let (begin, what) = expected(field);
    let place = parent.key(field);
    let path = directory.join(path);
    let wrong = match read_regular(&path) {
        Ok(bytes)
            if bytes
                .windows(begin.len())
                .any(|part| part == begin.as_bytes()) =>
        {
            None
        }
        Ok(_) => Some(format!("holds no {what} in PEM form")),
        Err(error) => Some(format!("cannot be read: {error}")),
    };
    if let Some(wrong) = wrong {
        let message = format!("{} {wrong}", report.quote(&place));
        report.error(&place, message);
    }
    path
}

/// Anything else, such as a pipe, could keep us waiting for ever.
fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    std::fs::read(path)
}
