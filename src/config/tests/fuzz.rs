//! Whatever a file holds, it is read or refused; nothing ends in a panic.

use super::load;
use crate::config::load::load_str;
use proptest::prelude::*;

const GOOD: &str = include_str!("../../../conf/overspill.yaml");

/// Words of the grammar put together at random reach further in than random letters.
const WORDS: [&str; 58] = [
    "server",
    "providers",
    "routes",
    "defaults",
    "keys",
    "auth",
    "log",
    "store",
    "listen",
    "admin",
    "tls",
    "api_key",
    "base_url",
    "models",
    "name",
    "price",
    "match",
    "targets",
    "provider",
    "tier",
    "weight",
    "options",
    "retry",
    "for",
    "timeouts",
    "forward",
    "mode",
    "stream",
    "priority",
    "api_keys",
    "limits",
    "rpm",
    "breaker",
    "failures",
    "addresses",
    "address",
    "health",
    "path",
    "tcp",
    "proxy",
    "balance",
    "sticky",
    ": ",
    ":\n  ",
    "\n- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\"",
    "${KEY}",
    "${",
    "&a ",
    "*a",
    "~",
    "5",
    "*",
];

fn check(text: &str) {
    if let Err(problems) = load(text) {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(!problem.to_string().contains('\n'), "{problem:?}");
            assert!(problem.line > 0 && problem.column > 0, "{problem:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_words(words in proptest::collection::vec(0..WORDS.len(), 0..40)) {
        let text: String = words.into_iter().map(|word| WORDS[word]).collect();
        check(&text);
    }

    #[test]
    fn a_good_file_with_pieces_changed(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..8usize, "\\PC{0,6}"), 1..6)
    ) {
        let mut letters: Vec<char> = GOOD.chars().collect();
        for (at, length, new) in changes {
            let start = at.index(letters.len());
            let end = (start + length).min(letters.len());
            letters.splice(start..end, new.chars());
        }
        check(&letters.into_iter().collect::<String>());
    }

    #[test]
    fn a_good_file_with_one_value_replaced(
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec!["[]", "{}", "~", "5", "-1", "1e999", "\"\"", "a", "[[a]]", "{a: {b: c}}"]),
    ) {
        let lines: Vec<&str> = GOOD.lines().collect();
        let which = at.index(lines.len());
        let changed: Vec<String> = lines.iter().enumerate().map(|(index, line)| {
            match line.split_once(": ") {
                Some((key, _)) if index == which => format!("{key}: {value}"),
                _ => (*line).to_owned(),
            }
        }).collect();
        check(&changed.join("\n"));
    }
}

#[test]
fn every_beginning_of_a_good_file() {
    for (end, _) in GOOD.char_indices() {
        let _ = load_str(&GOOD[..end], "part", &|_| None);
    }
}
