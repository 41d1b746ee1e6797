//! The layers of the house. Imports go only downward: this reads the paths that every file in
//! `src/` names and refuses one that points up, and clocks, sockets and Pingora where they have
//! no business.

mod paths;
mod samples;
mod tokens;

use paths::{Named, Scan};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A room may name its own layer and every one below it. A room within a room
/// (`proxy::reply`) has a floor of its own.
const LAYERS: [&[&str]; 10] = [
    &["error"],
    &["config", "catalog"],
    &[
        "body", "sse", "dialect", "routing", "failover", "pricing", "import",
    ],
    &["access", "limits", "health", "measure"],
    &["store", "telemetry", "decide", "explain"],
    &["proxy::reply"],
    &["upstream", "relay"],
    &["proxy", "admin", "jobs", "simulate", "mock"],
    &["app"],
    &["cli", "main"],
];

/// What points upward all the same, and why.
const EXCEPTIONS: [Exception; 1] = [Exception {
    file: "src/config/snapshot.rs",
    path: "routing::balance::Schedule",
    why: "a snapshot is built with its round laid out, so that the hot path never looks one up",
}];

/// No I/O, no clock, no Pingora: what they need comes in as an argument.
const PURE: [&str; 7] = [
    "body", "sse", "dialect", "routing", "failover", "pricing", "import",
];
/// Live state takes `now` as an argument, and so does the part of the relay that can be driven
/// without sockets.
const CLOCKLESS: [&str; 10] = [
    "access",
    "limits",
    "health",
    "measure",
    "decide",
    "explain",
    "relay::commit",
    "relay::patience",
    "relay::pump",
    "relay::resume",
];
const PINGORALESS: [&str; 5] = [
    "relay::commit",
    "relay::patience",
    "relay::pump",
    "relay::resume",
    "simulate",
];

const IO: [&str; 5] = [
    "tokio",
    "hickory_resolver",
    "std::net",
    "std::fs",
    "std::process",
];
const CLOCKS: [&str; 3] = ["Instant::now", "SystemTime::now", paths::ELAPSED];

struct Exception {
    file: &'static str,
    path: &'static str,
    why: &'static str,
}

impl Exception {
    fn allows(&self, file: &str, path: &str) -> bool {
        self.file == file && self.path == path
    }
}

#[test]
fn imports_go_only_downward() {
    let sources = sources();
    assert!(
        sources.iter().any(|(file, _)| file == "src/lib.rs"),
        "found no source to read"
    );
    let tests: Vec<String> = sources
        .iter()
        .flat_map(|(file, text)| scan(file, text).tests)
        .collect();
    let mut violations = Vec::new();
    let mut checked = 0;
    for (file, text) in &sources {
        let module = paths::module_of(file).join("::");
        if tests.iter().any(|test| within(&module, test)) {
            continue;
        }
        checked += scan(file, text).named.len();
        violations.extend(check(file, text));
    }
    assert!(checked > 0, "found no path to check");
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let sources = sources();
    for exception in EXCEPTIONS {
        let used = sources
            .iter()
            .filter(|(file, _)| file == exception.file)
            .any(|(file, text)| {
                scan(file, text).named.iter().any(|named| {
                    named
                        .local()
                        .is_some_and(|path| exception.allows(file, &path))
                })
            });
        let Exception { file, path, why } = exception;
        assert!(
            used,
            "{file} no longer names {path} ({why}): take the exception out"
        );
    }
}

/// Every rule that this file breaks, one line each.
fn check(file: &str, text: &str) -> Vec<String> {
    let module = paths::module_of(file).join("::");
    let mut violations = Vec::new();
    let Some(floor) = floor_of(&module).or(module.is_empty().then_some(LAYERS.len())) else {
        return vec![format!(
            "{file}:1: no layer for this file: give its room a place in LAYERS"
        )];
    };
    for named in scan(file, text).named {
        let broken = match named.local() {
            Some(path) => upward(file, &module, floor, &path),
            None => foreign(&module, &named),
        };
        if let Some(rule) = broken {
            violations.push(format!("{file}:{}: `{}`: {rule}", named.line, named.text()));
        }
    }
    violations
}

fn upward(file: &str, module: &str, floor: usize, path: &str) -> Option<String> {
    if EXCEPTIONS
        .iter()
        .any(|exception| exception.allows(file, path))
    {
        return None;
    }
    match floor_of(path) {
        None => Some("no layer for this path: give its room a place in LAYERS".to_owned()),
        Some(target) if target > floor => {
            let (here, there) = (room_of(module), room_of(path));
            Some(format!(
                "{here} must not name {there}, imports go only downward"
            ))
        }
        Some(_) => None,
    }
}

fn foreign(module: &str, named: &Named) -> Option<String> {
    let text = named.text();
    let listed = |rooms: &[&str]| rooms.iter().any(|room| within(module, room));
    let pingora = text
        .split("::")
        .next()
        .is_some_and(|name| name.starts_with("pingora"));
    let clock = CLOCKS
        .iter()
        .any(|clock| text == *clock || text.ends_with(&format!("::{clock}")));
    let io = IO.iter().any(|io| within(&text, io));
    if pingora && (listed(&PURE) || listed(&PINGORALESS)) {
        Some(format!("{module} must know no Pingora"))
    } else if clock && (listed(&PURE) || listed(&CLOCKLESS)) {
        Some(format!("{module} must read no clock, `now` is an argument"))
    } else if io && listed(&PURE) {
        Some(format!("{module} is pure, it must do no I/O"))
    } else {
        None
    }
}

/// The layer of a room, counted from the ground.
fn floor_of(path: &str) -> Option<usize> {
    let holds = |layer: &[&str]| layer.iter().any(|room| *room == room_of(path));
    LAYERS.iter().position(|layer| holds(layer))
}

fn room_of(path: &str) -> &str {
    if within(path, "proxy::reply") {
        return "proxy::reply";
    }
    path.split("::").next().unwrap_or(path)
}

fn within(path: &str, room: &str) -> bool {
    path.strip_prefix(room)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn scan(file: &str, text: &str) -> Scan {
    Scan::of(&paths::module_of(file), text)
}

/// Every file below `src/`, by its path from the root of the project, with its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder in src") {
            let path: PathBuf = entry.expect("an entry in src").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below the root");
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}
