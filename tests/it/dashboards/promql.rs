//! The names in an expression of PromQL: of series, and of labels.

use std::collections::BTreeSet;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub names: BTreeSet<String>,
    pub labels: BTreeSet<String>,
}

/// After these a list of labels stands in brackets.
const LISTING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const WORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

pub fn asked(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    let mut listing = false;
    let mut inside = None;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = after_text(rest);
        } else if first == '[' {
            // A range.
            rest = rest.split_once(']').map_or("", |(_, rest)| rest);
        } else if first.is_ascii_digit() {
            let number = |c: char| !c.is_alphanumeric() && c != '.';
            rest = &rest[rest.find(number).unwrap_or(rest.len())..];
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            // `sum (…)`, `sum by (…) (…)`
            let next = after.trim_start();
            let calls = ["(", "by ", "without "]
                .iter()
                .any(|way| next.starts_with(way));
            if inside.is_some() {
                asked.labels.insert(word.into());
            } else if LISTING.contains(&word) {
                listing = true;
            } else if !calls && !WORDS.contains(&word) {
                asked.names.insert(word.into());
            }
        } else {
            match first {
                '{' => inside = Some('}'),
                '(' if listing => inside = Some(')'),
                _ if inside == Some(first) => inside = None,
                _ => {}
            }
            if first == '(' {
                listing = false;
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    asked
}

fn after_text(text: &str) -> &str {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return &text[at + 1..],
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    ""
}

#[test]
fn names_are_found_in_all_their_places() {
    let found = asked(
        "histogram_quantile(0.9, sum by (le, one) (rate(a_bucket{b=~\"x|\\\"y{z}\",c!=\"\"}[5m]))) \
         / on (two) group_left (three) d:e > 1e-3 and bool_f offset 5m",
    );
    let set = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
    assert_eq!(found.names, set(&["a_bucket", "d:e", "bool_f"]));
    assert_eq!(found.labels, set(&["le", "one", "b", "c", "two", "three"]));
}
