//! What is wrong with a configuration, where, and what to write instead.

use crate::config::document::{Content, Mark, Node};
use crate::config::fault::{Fault, What};
use crate::config::place::{Place, Segment};
use crate::config::suggest::closest;
use std::collections::HashSet;
use std::fmt;

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// `routes[0].targets[2].provider`; empty where it is the whole file.
    pub path: String,
    pub message: String,
    /// A word that was perhaps meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(word) => write!(f, "; did you mean `{word}`?"),
            None => Ok(()),
        }
    }
}

/// Values at or below these keys are never shown.
const SECRET_KEYS: [&str; 7] = [
    "api_key", "api_keys", "auth", "proxy", "secret", "sha256", "token",
];

/// A secret shorter than this is not searched for in messages: it would be found everywhere.
const SHORTEST_SECRET: usize = 8;

/// Collects problems against one tree, and says what may be said about it.
pub struct Report {
    pub root: Node,
    file: String,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Fields that something else reported explains: their absence is not reported again.
    excused: HashSet<String>,
}

impl Report {
    pub fn new(file: &str, root: Node, errors: Vec<Problem>) -> Report {
        Report {
            root,
            file: file.to_owned(),
            errors,
            warnings: vec![],
            excused: HashSet::new(),
        }
    }

    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.error_meaning(place, message, None);
    }

    /// With the word that was perhaps meant.
    pub fn error_meaning(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        let problem = self.problem(place, message.into(), suggestion);
        self.errors.push(problem);
    }

    pub fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.warn_meaning(place, message, None);
    }

    pub fn warn_meaning(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        let problem = self.problem(place, message.into(), suggestion);
        self.warnings.push(problem);
    }

    /// A field that should be there. Silent if it was, and was reported as wrong.
    pub fn missing(&mut self, parent: &Place, field: &str, message: &str) {
        let place = parent.key(field);
        if !self.was_written(&place) {
            self.error(&place, message);
        }
    }

    /// Something stands there, or something reported already was meant to.
    pub fn was_written(&self, place: &Place) -> bool {
        self.root.find(place).is_some() || self.excused.contains(&place.to_string())
    }

    /// Something stood there, or was meant to, and was reported as wrong.
    pub fn was_refused(&self, place: &Place) -> bool {
        let pruned = self.root.find(place).is_some_and(|node| node.pruned);
        pruned || self.excused.contains(&place.to_string())
    }

    /// Something at this place or in it was reported as wrong when it was read.
    pub fn is_damaged(&self, place: &Place) -> bool {
        self.was_refused(place) || self.root.find(place).is_some_and(Node::is_damaged)
    }

    /// The scalar at this place, as far as it may be shown.
    pub fn quote(&self, place: &Place) -> String {
        let segments = place.segments();
        let secret = segments.iter().any(|segment| is_secret(segment))
            || segments
                .windows(2)
                .any(|pair| matches!(pair, [above, below] if is_secret_below(above, below)));
        match self.root.find(place).and_then(Node::scalar) {
            Some(_) if secret => "the value".to_owned(),
            Some(scalar) => match &scalar.references {
                Some(references) => format!("the value of {references}"),
                None => format!("`{}`", shortened(&scalar.text)),
            },
            None => "the value".to_owned(),
        }
    }

    /// Takes what deserialising stopped at out of the tree. False if there is nothing left to take.
    pub fn fault(&mut self, fault: Fault) -> bool {
        let place = &fault.place;
        match fault.what {
            What::Empty => self.error(place, "is empty; give it a value or leave it out"),
            What::Shape { expected, found } => {
                self.error(place, format!("expected {expected}, found {found}"));
            }
            What::Refused(message) => {
                let message = format!("{} {message}", self.quote(place));
                self.error(place, message);
            }
            What::UnknownWord { known } => {
                let meant = self.root.find(place).and_then(Node::scalar);
                let meant = meant.and_then(|scalar| closest(&scalar.text, known.iter().copied()));
                let message = format!("{} {}", self.quote(place), not_known(known));
                self.error_meaning(place, message, meant);
            }
            What::UnknownField { field, known } => self.unknown_field(place, &field, known),
        }
        self.root.prune(place)
    }

    /// Errors in the order of the file, or else the warnings.
    pub fn finish(self) -> Result<Vec<Problem>, Vec<Problem>> {
        let mut secrets = Vec::new();
        collect_secrets(&self.root, false, &mut secrets);
        if self.errors.is_empty() {
            Ok(in_order(self.warnings, &secrets))
        } else {
            Err(in_order(self.errors, &secrets))
        }
    }

    pub fn count(&self) -> usize {
        self.errors.len()
    }

    fn unknown_field(&mut self, place: &Place, field: &str, known: &[&str]) {
        let segments = place.segments();
        if let [.., Segment::Key(list), Segment::Index(_), Segment::Key(key)] = segments.as_slice()
            && &**list == "targets"
            && &**key == "priority"
        {
            let message = "systems disagree about the direction of `priority`; \
                           write `tier`: the smaller is tried first";
            return self.error(place, message);
        }
        let shown = shortened(field);
        match closest(field, known.iter().copied()) {
            Some(meant) => {
                self.excused.insert(sibling(&segments, &meant).to_string());
                self.error_meaning(place, format!("unknown field `{shown}`"), Some(meant));
            }
            None => {
                let known = known.join(", ");
                self.error(
                    place,
                    format!("unknown field `{shown}`; known here: {known}"),
                );
            }
        }
    }

    fn problem(&self, place: &Place, message: String, suggestion: Option<String>) -> Problem {
        let Mark { line, column } = self.root.position(place);
        Problem {
            file: self.file.clone(),
            line,
            column,
            path: place.to_string(),
            message,
            suggestion,
        }
    }
}

pub fn is_secret(segment: &Segment) -> bool {
    matches!(segment, Segment::Key(key) if SECRET_KEYS.contains(&&**key))
}

/// Headers for a collector are credentials; those that a route matches are not.
pub fn is_secret_below(above: &Segment, below: &Segment) -> bool {
    let is = |segment: &Segment, name| matches!(segment, Segment::Key(key) if &**key == name);
    is(above, "traces") && is(below, "headers")
}

/// Goes on from the word that is not known.
pub fn not_known(known: &[&str]) -> String {
    match known {
        [only] => format!("is not known here; write `{only}`"),
        _ => format!("is not known here; write one of `{}`", known.join("`, `")),
    }
}

/// The last segment replaced.
fn sibling(segments: &[&Segment], name: &str) -> Place {
    let parent = segments.split_last().map_or(&[][..], |(_, parent)| parent);
    let parent = parent
        .iter()
        .fold(Place::root(), |place, segment| match segment {
            Segment::Key(key) => place.key(key.clone()),
            Segment::Index(index) => place.index(*index),
        });
    parent.key(name)
}

/// On one line, and not too much of it.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .filter(|c| *c != '`')
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

pub fn collect_secrets(node: &Node, below: bool, secrets: &mut Vec<String>) {
    match &node.content {
        Content::Scalar(scalar) if below && scalar.text.len() >= SHORTEST_SECRET => {
            secrets.push(scalar.text.to_string());
        }
        Content::Scalar(_) => {}
        Content::Sequence(items) => {
            items
                .iter()
                .for_each(|item| collect_secrets(item, below, secrets));
        }
        Content::Mapping(entries) => {
            for entry in entries {
                let key = Segment::Key(entry.key.clone());
                let below = below || is_secret(&key);
                collect_secrets(&entry.value, below, secrets);
                if let Content::Mapping(inner) = &entry.value.content {
                    let inner = inner.iter();
                    inner
                        .filter(|inner| is_secret_below(&key, &Segment::Key(inner.key.clone())))
                        .for_each(|inner| collect_secrets(&inner.value, true, secrets));
                }
            }
        }
    }
}

/// The messages are made so as to show no secret. This is the net below: a secret that stands a
/// second time, where nobody would look for one.
fn in_order(mut problems: Vec<Problem>, secrets: &[String]) -> Vec<Problem> {
    for problem in &mut problems {
        for secret in secrets {
            for text in [&mut problem.message, &mut problem.path] {
                if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), "***");
                }
            }
        }
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    problems
}
