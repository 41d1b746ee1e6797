//! From YAML's events to the marked tree: anchors followed, references replaced, all bounded.

use crate::config::document::{Content, Entry, Mark, Node, Scalar};
use crate::config::place::Place;
use crate::config::problem::{Problem, shortened};
use crate::config::reference::{Surroundings, resolve};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub const MAX_BYTES: usize = 4 << 20;
/// Aliases counted as often as they are used.
const MAX_NODES: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// A tree, and what was wrong in it without spoiling the rest; or the one thing that spoiled it.
pub fn parse(
    text: &str,
    file: &str,
    around: Surroundings<'_>,
) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    tree(text, file, Some(around))
}

/// The same of a file that is not ours: what looks like a reference is text.
pub fn parse_foreign(text: &str, file: &str) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    tree(text, file, None)
}

fn tree(
    text: &str,
    file: &str,
    around: Option<Surroundings<'_>>,
) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    let mut tree = Tree::new(file, around);
    let spoiled = |mark, message: String| Box::new(problem(file, mark, &Place::root(), message));
    let start = Mark { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        return Err(spoiled(start, "the file is larger than 4MiB".to_owned()));
    }
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| spoiled(mark(error.marker()), syntax(text, &error)))?;
        let at = mark(&span.start);
        tree.take(event, at)
            .map_err(|message| spoiled(at, message.to_owned()))?;
    }
    let filled = tree.root.filter(|root| !root.is_null());
    match filled {
        Some(root) => Ok((root, tree.problems)),
        None if around.is_none() => Err(spoiled(start, "the file is empty".to_owned())),
        None => Err(spoiled(start, EMPTY.to_owned())),
    }
}

const EMPTY: &str = "the file is empty; it needs at least `providers` and `routes`";

fn mark(marker: &Marker) -> Mark {
    Mark {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn problem(file: &str, mark: Mark, place: &Place, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        line: mark.line,
        column: mark.column,
        path: place.to_string(),
        message,
        suggestion: None,
    }
}

fn syntax(text: &str, error: &saphyr_parser::ScanError) -> String {
    let line = text
        .lines()
        .nth(error.marker().line().saturating_sub(1))
        .unwrap_or_default();
    let mut message = format!("not valid YAML: {}", error.info());
    if line.contains("${") && line.contains('{') {
        message.push_str("; inside `{ }` a reference needs quotes: `\"${NAME}\"`");
    } else if line.contains('\t') {
        message.push_str("; indent with spaces, not with tabs");
    }
    message
}

struct Tree<'a> {
    file: &'a str,
    around: Option<Surroundings<'a>>,
    open: Vec<Open>,
    root: Option<Node>,
    /// Finished nodes by anchor, with the number of nodes in them.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    problems: Vec<Problem>,
}

/// A list or mapping that has begun.
struct Open {
    mark: Mark,
    anchor: usize,
    nodes_before: usize,
    inside: Inside,
}

enum Inside {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        seen: HashSet<Arc<str>>,
        key: Key,
    },
}

enum Key {
    /// The next node is a key.
    Awaited,
    /// The next node is its value.
    Read(Arc<str>, Mark),
    /// The next node is the value of a key that cannot stand.
    Refused,
}

impl<'a> Tree<'a> {
    fn new(file: &'a str, around: Option<Surroundings<'a>>) -> Tree<'a> {
        Tree {
            file,
            around,
            open: vec![],
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            documents: 0,
            problems: vec![],
        }
    }

    fn take(&mut self, event: Event<'_>, mark: Mark) -> Result<(), &'static str> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document begins here; one file is one document");
                }
                Ok(())
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                Err("tags such as `!!str` are not read; quotes make a value a string")
            }
            Event::Scalar(text, style, anchor, None) => {
                let nodes_before = self.nodes;
                self.spend(1)?;
                let content = self.scalar(&text, style == ScalarStyle::Plain, mark);
                self.finished(content, anchor, nodes_before)
            }
            Event::SequenceStart(anchor, None) => {
                self.begin(mark, anchor, Inside::Sequence(vec![]))
            }
            Event::MappingStart(anchor, None) => {
                let inside = Inside::Mapping {
                    entries: vec![],
                    seen: HashSet::new(),
                    key: Key::Awaited,
                };
                self.begin(mark, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, count)) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias cannot stand inside what it repeats");
                };
                self.spend(count)?;
                self.add(node)
            }
        }
    }

    fn begin(&mut self, mark: Mark, anchor: usize, inside: Inside) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err("lists and mappings stand in each other more than 64 deep");
        }
        let nodes_before = self.nodes;
        self.spend(1)?;
        self.open.push(Open {
            mark,
            anchor,
            nodes_before,
            inside,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let content = match open.inside {
            Inside::Sequence(items) => Content::Sequence(items),
            Inside::Mapping { entries, .. } => Content::Mapping(entries),
        };
        let node = Node {
            mark: open.mark,
            pruned: false,
            content,
        };
        self.finished(node, open.anchor, open.nodes_before)
    }

    /// Keeps what an anchor names. The copy counts too, so that anchors nested in anchors stay
    /// bounded like everything else.
    fn finished(
        &mut self,
        node: Node,
        anchor: usize,
        nodes_before: usize,
    ) -> Result<(), &'static str> {
        if anchor != 0 {
            let count = self.nodes - nodes_before;
            self.spend(count)?;
            self.anchors.insert(anchor, (node.clone(), count));
        }
        self.add(node)
    }

    fn spend(&mut self, nodes: usize) -> Result<(), &'static str> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err("the file has more than 100000 values, counting aliases as often as used");
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool, mark: Mark) -> Node {
        let as_is = |text: &str| Scalar {
            text: text.into(),
            plain,
            references: None,
        };
        if self.key_comes_next() {
            return Node {
                mark,
                pruned: false,
                content: Content::Scalar(as_is(text)),
            };
        }
        let Some(around) = self.around else {
            return Node {
                mark,
                pruned: false,
                content: Content::Scalar(as_is(text)),
            };
        };
        let (scalar, pruned) = match resolve(text, around) {
            Ok(resolved) => {
                let references = (!resolved.references.is_empty())
                    .then(|| format!("`{}`", resolved.references.join("` and `")).into());
                (
                    Scalar {
                        text: resolved.text.into(),
                        plain,
                        references,
                    },
                    false,
                )
            }
            Err(message) => {
                self.report(mark, message);
                (as_is(""), true)
            }
        };
        Node {
            mark,
            pruned,
            content: Content::Scalar(scalar),
        }
    }

    fn key_comes_next(&self) -> bool {
        matches!(
            self.open.last().map(|open| &open.inside),
            Some(Inside::Mapping {
                key: Key::Awaited,
                ..
            })
        )
    }

    fn add(&mut self, node: Node) -> Result<(), &'static str> {
        // Where the node stands, should it be a key that cannot.
        let trouble = match self.open.last_mut().map(|open| &mut open.inside) {
            None => {
                self.root = Some(node);
                None
            }
            Some(Inside::Sequence(items)) => {
                items.push(node);
                None
            }
            Some(Inside::Mapping { entries, seen, key }) => {
                match std::mem::replace(key, Key::Awaited) {
                    Key::Awaited => {
                        let (next, trouble) = as_key(node, seen);
                        *key = next;
                        trouble
                    }
                    Key::Read(key, mark) => {
                        entries.push(Entry {
                            key,
                            mark,
                            value: node,
                        });
                        None
                    }
                    Key::Refused => None,
                }
            }
        };
        if let Some((mark, message)) = trouble {
            self.report(mark, message);
        }
        Ok(())
    }

    fn report(&mut self, mark: Mark, message: String) {
        let place = self.place();
        self.problems
            .push(problem(self.file, mark, &place, message));
    }

    /// Of the node that comes next.
    fn place(&self) -> Place {
        self.open
            .iter()
            .fold(Place::root(), |place, open| match &open.inside {
                Inside::Sequence(items) => place.index(items.len()),
                Inside::Mapping {
                    key: Key::Read(key, _),
                    ..
                } => place.key(key.clone()),
                Inside::Mapping { .. } => place,
            })
    }
}

/// The key, or what is wrong with it.
fn as_key(node: Node, seen: &mut HashSet<Arc<str>>) -> (Key, Option<(Mark, String)>) {
    let refused = |message: String| (Key::Refused, Some((node.mark, message)));
    let Content::Scalar(scalar) = &node.content else {
        return refused("a key must be a single word".to_owned());
    };
    if scalar.references.is_some() || scalar.text.contains("${") {
        return refused("a reference cannot stand in a key".to_owned());
    }
    if !seen.insert(scalar.text.clone()) {
        let shown = shortened(&scalar.text);
        return refused(format!("`{shown}` is given twice; the first one stands"));
    }
    (Key::Read(scalar.text.clone(), node.mark), None)
}
