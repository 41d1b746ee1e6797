//! Which paths a Rust file names: in `use` trees and in the code itself. Comments, strings and
//! what stands under `#[cfg(test)]` do not count.

use super::tokens::{Token, tokens};

/// What `.elapsed()` is reported as: it reads the clock without naming one.
pub const ELAPSED: &str = ".elapsed()";

/// A path as it is named, with `crate`, `self` and `super` resolved.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    segments: Vec<String>,
}

impl Named {
    pub fn text(&self) -> String {
        self.segments.join("::")
    }

    /// The path below the crate's root, if it is one of this crate's and names something.
    pub fn local(&self) -> Option<String> {
        let (first, rest) = self.segments.split_first()?;
        (first == "crate" && !rest.is_empty()).then(|| rest.join("::"))
    }
}

#[derive(Debug, Default)]
pub struct Scan {
    pub named: Vec<Named>,
    /// Modules that exist only in tests and stand in files of their own: `config::load::tests`.
    pub tests: Vec<String>,
}

impl Scan {
    pub fn of(module: &[String], text: &str) -> Scan {
        let tokens = tokens(text);
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
            found: Scan::default(),
        };
        reader.read(&mut module.to_vec());
        assert_eq!(
            reader.at,
            tokens.len(),
            "{}: brackets do not pair",
            module.join("::")
        );
        reader.found
    }
}

/// `src/relay/run.rs` is `relay::run`, `src/relay/mod.rs` is `relay`, `src/lib.rs` the root.
pub fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

struct Reader<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    found: Scan,
}

impl Reader<'_> {
    /// Reads to the end of the block that it stands in.
    fn read(&mut self, module: &mut Vec<String>) {
        while let Some(token) = self.token(0).cloned() {
            match token {
                Token::Mark('#') if self.is_test_attribute() => self.skip_test(module),
                Token::Mark('{') => {
                    self.at += 1;
                    self.read(module);
                }
                Token::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Token::Mark('.') if self.spells(1, &["elapsed", "("]) => {
                    self.at += 2;
                    self.name(vec![ELAPSED.to_owned()], module);
                }
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.tree(&[], module);
                }
                Token::Word(word) if word == "mod" && self.spells(2, &["{"]) => {
                    if let Some(Token::Word(name)) = self.token(1).cloned() {
                        self.at += 3;
                        module.push(name);
                        self.read(module);
                        module.pop();
                    }
                }
                Token::Word(_) => {
                    let path = self.path();
                    self.name(path, module);
                }
                Token::Joint | Token::Mark(_) => self.at += 1,
            }
        }
    }

    /// One `use` tree: a path, and where it branches, each branch with what leads to it.
    fn tree(&mut self, stem: &[String], module: &[String]) {
        if self.token(0) == Some(&Token::Joint) {
            self.at += 1;
        }
        let mut path = stem.to_vec();
        path.extend(self.path());
        match self.token(0) {
            Some(Token::Mark('{')) => {
                self.at += 1;
                while !matches!(self.token(0), None | Some(Token::Mark('}'))) {
                    self.tree(&path, module);
                    if self.token(0) == Some(&Token::Mark(',')) {
                        self.at += 1;
                    }
                }
                self.at += 1;
            }
            Some(Token::Mark('*')) => {
                self.at += 1;
                path.push("*".to_owned());
                self.name(path, module);
            }
            _ => {
                if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
                    path.pop();
                }
                self.name(path, module);
                if self.spells(0, &["as"]) {
                    self.at += 2;
                }
            }
        }
        // Whatever cannot be part of a tree must not hold the reader up.
        if !matches!(self.token(0), None | Some(Token::Mark(',' | '}' | ';'))) {
            self.at += 1;
        }
    }

    /// The words from here on that are joined by `::`, a last joint included.
    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while let Some(Token::Word(word)) = self.token(0).cloned() {
            path.push(word);
            self.at += 1;
            if self.token(0) != Some(&Token::Joint) {
                break;
            }
            self.at += 1;
        }
        path
    }

    /// Notes a path of several words; a single one is a local name.
    fn name(&mut self, path: Vec<String>, module: &[String]) {
        let line = self
            .tokens
            .get(self.at.saturating_sub(1))
            .map_or(0, |(_, line)| *line);
        let single = path.len() < 2 && path.first().is_none_or(|word| word != ELAPSED);
        let root = path
            .first()
            .is_some_and(|word| word.starts_with("pingora") || word == "tokio");
        if single && !root {
            return;
        }
        self.found.named.push(Named {
            line,
            segments: resolve(path, module),
        });
    }

    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn spells(&self, ahead: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(index, word)| match self.token(ahead + index) {
                Some(Token::Word(found)) => found == word,
                Some(Token::Mark(found)) => word.chars().eq([*found]),
                _ => false,
            })
    }

    fn is_test_attribute(&self) -> bool {
        self.spells(1, &["[", "cfg", "(", "test", ")", "]"])
            || self.spells(1, &["[", "cfg", "(", "all", "(", "test"])
    }

    /// Steps over the attributes here and the item that they stand before.
    fn skip_test(&mut self, module: &[String]) {
        let mut depth = 0;
        while let Some(token) = self.token(0).cloned() {
            if depth == 0
                && token == Token::Word("mod".to_owned())
                && self.spells(2, &[";"])
                && let Some(Token::Word(name)) = self.token(1)
            {
                let test = [module, std::slice::from_ref(name)].concat();
                self.found.tests.push(test.join("::"));
            }
            if token == Token::Mark('}') && depth == 0 {
                return;
            }
            self.at += 1;
            match token {
                Token::Mark('(' | '[' | '{') => depth += 1,
                Token::Mark('}') if depth == 1 => return,
                Token::Mark(')' | ']' | '}') => depth -= 1,
                Token::Mark(';') if depth == 0 => return,
                _ => {}
            }
        }
    }
}

fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let mut words = path.into_iter().peekable();
    let mut here = module.to_vec();
    match words.peek().map(String::as_str) {
        Some("crate" | "overspill") => here.clear(),
        Some("self") => {}
        Some("super") => {
            while words.next_if(|word| word == "super").is_some() {
                here.pop();
            }
            return ["crate".to_owned()]
                .into_iter()
                .chain(here)
                .chain(words)
                .collect();
        }
        _ => return words.collect(),
    }
    words.next();
    ["crate".to_owned()]
        .into_iter()
        .chain(here)
        .chain(words)
        .collect()
}
