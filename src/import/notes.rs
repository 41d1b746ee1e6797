//! The file read, and what is found on the way.

use crate::config::document::Node;
use crate::config::parse::parse_foreign;
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::import::Lost;
use crate::import::syntax::json_as_yaml;
use std::borrow::Cow;

/// Beyond this many lines nobody reads on.
const MOST_LOST: usize = 1000;

/// What is found on the way: errors end the import, the rest goes with its result.
pub struct Notes<'a> {
    file: &'a str,
    root: Node,
    errors: Vec<Problem>,
    findings: Findings,
}

#[derive(Default)]
pub struct Findings {
    pub warnings: Vec<String>,
    pub lost: Vec<Lost>,
}

pub fn read<'f>(text: &str, file: &'f str) -> Result<(Node, Notes<'f>), Vec<Problem>> {
    let json = text.trim_start().starts_with(['{', '[']);
    let text = if json {
        Cow::Owned(json_as_yaml(text))
    } else {
        Cow::Borrowed(text)
    };
    let (root, errors) = parse_foreign(&text, file).map_err(|problem| vec![*problem])?;
    if !errors.is_empty() {
        return Err(errors);
    }
    let notes = Notes {
        file,
        root: root.clone(),
        errors,
        findings: Findings::default(),
    };
    Ok((root, notes))
}

impl<'f> Notes<'f> {
    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        let mark = self.root.position(place);
        self.errors.push(Problem {
            file: self.file.to_owned(),
            line: mark.line,
            column: mark.column,
            path: place.to_string(),
            message: message.into(),
            suggestion: None,
        });
    }

    pub fn warn(&mut self, message: String) {
        if !self.findings.warnings.contains(&message) {
            self.findings.warnings.push(message);
        }
    }

    pub fn lost(&mut self, place: &Place, why: impl Into<String>) {
        let lost = Lost {
            path: place.to_string(),
            why: why.into(),
        };
        let all = &mut self.findings.lost;
        if all.len() < MOST_LOST && !all.contains(&lost) {
            all.push(lost);
        } else if all.len() == MOST_LOST {
            let why =
                format!("more than {MOST_LOST} parts have no counterpart; the rest is left unsaid");
            all.push(Lost {
                path: "…".to_owned(),
                why,
            });
        }
    }

    pub fn finish(mut self) -> Result<Findings, Vec<Problem>> {
        if self.errors.is_empty() {
            return Ok(self.findings);
        }
        self.errors
            .sort_by_key(|problem| (problem.line, problem.column));
        self.errors.dedup();
        Err(self.errors)
    }

    /// What was left out first, should nothing be left.
    pub fn first_lost(&self) -> Option<String> {
        let first = self.findings.lost.first()?;
        Some(format!("{}: {}", first.path, first.why))
    }

    pub fn failed(&self) -> bool {
        !self.errors.is_empty()
    }
}
