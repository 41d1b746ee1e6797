//! The draft as YAML, each value under the reason for it.

use crate::import::Lost;
use crate::import::draft::{Draft, Field, Value};

pub fn yaml(
    draft: &Draft,
    variables: &[(String, String)],
    warnings: &[String],
    lost: &[Lost],
) -> String {
    let mut page = Page::default();
    page.comment(0, &draft.title);
    page.comment(0, "Read it over, then `overspill check` it.");
    if !variables.is_empty() {
        page.blank();
        page.comment(0, "Wants in its environment:");
        for (name, place) in variables {
            page.comment(0, &format!("  {name}  ({place})"));
        }
    }
    if !draft.server.is_empty() {
        page.section("server:");
        page.fields(1, &draft.server);
    }
    page.section("providers:");
    for provider in &draft.providers {
        page.comments(1, &provider.why);
        page.line(1, &format!("{}:", scalar(&provider.name)));
        page.fields(2, &provider.fields);
        if !provider.models.is_empty() {
            page.line(2, "models:");
            for (id, model) in &provider.models {
                page.line(3, &format!("{}: {}", scalar(id), flow(model)));
            }
        }
    }
    page.section("routes:");
    for (index, route) in draft.routes.iter().enumerate() {
        if index > 0 {
            page.blank();
        }
        page.comments(1, &route.why);
        page.line(1, &format!("- name: {}", scalar(&route.name)));
        page.line(2, &format!("match: {}", mapping(&route.matches)));
        page.line(2, "targets:");
        for target in &route.targets {
            page.comments(3, &target.why);
            page.line(3, &format!("- {}", mapping(&target.fields)));
        }
        page.fields(2, &route.fields);
    }
    if !draft.keys.is_empty() {
        page.section("keys:");
        for key in &draft.keys {
            page.comments(1, &key.why);
            let name = scalar(&key.name);
            page.line(
                1,
                &format!("- {{ name: {name}, secret: \"{}\" }}", key.secret),
            );
        }
    }
    page.ending("Works otherwise than before:", warnings.iter().cloned());
    let lost = lost
        .iter()
        .map(|Lost { path, why }| format!("{path}: {why}"));
    page.ending("Has no counterpart here:", lost);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn section(&mut self, head: &str) {
        self.blank();
        self.line(0, head);
    }

    fn comment(&mut self, depth: usize, text: &str) {
        self.line(depth, &format!("# {}", one_line(text)));
    }

    fn comments(&mut self, depth: usize, why: &[String]) {
        for line in why {
            self.comment(depth, line);
        }
    }

    fn fields(&mut self, depth: usize, fields: &[Field]) {
        for field in fields {
            self.comments(depth, &field.why);
            self.line(depth, &format!("{}: {}", field.name, flow(&field.value)));
        }
    }

    fn ending(&mut self, head: &str, lines: impl Iterator<Item = String>) {
        let mut lines = lines.peekable();
        if lines.peek().is_some() {
            self.blank();
            self.comment(0, head);
            for line in lines {
                self.comment(0, &format!("  {line}"));
            }
        }
    }
}

/// Text of the input must not end its comment.
pub fn one_line(text: &str) -> String {
    let plain = |letter: char| match letter {
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => ' ',
        control if control.is_control() => ' ',
        other => other,
    };
    text.chars()
        .map(plain)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

fn flow(value: &Value) -> String {
    match value {
        Value::Word(word) => word.clone(),
        Value::Text(text) => scalar(text),
        Value::Reference(reference) => format!("\"{reference}\""),
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(flow).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Map(fields) => mapping(fields),
    }
}

fn mapping(fields: &[(String, Value)]) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    let pairs = fields.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}: {}", scalar(name), flow(value)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// Plain where nobody could take it for anything else.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || "/._-".contains(sign))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            // `$${` is how a plain `${` is written.
            '$' if signs.peek() == Some(&'{') => quoted.push_str("$$"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(sign),
            _ if sign.is_alphanumeric() => quoted.push(sign),
            _ => quoted.push_str(&format!("\\U{:08X}", u32::from(sign))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Content;
    use crate::config::parse::parse;
    use crate::config::reference::Surroundings;
    use proptest::prelude::*;
    use std::path::Path;

    /// As our own reader takes it, references and all.
    fn read_back(text: &str) -> String {
        let env = |_: &str| Some("from the environment".to_owned());
        let around = Surroundings {
            env: &env,
            directory: Path::new(""),
        };
        let page = format!("k: {{ a: {0}, {0}: b }}", scalar(text));
        let (root, problems) = parse(&page, "f", around).unwrap();
        assert!(
            problems.iter().all(|problem| {
                ["in a key", "given twice"]
                    .iter()
                    .any(|why| problem.message.contains(why))
            }),
            "{problems:?}"
        );
        let Content::Mapping(entries) = &root.content else {
            panic!("{page}")
        };
        let Content::Mapping(entries) = &entries[0].value.content else {
            panic!("{page}")
        };
        let scalar = entries[0].value.scalar().unwrap();
        assert_eq!(scalar.references, None);
        assert!(!scalar.plain || scalar.meaning() == crate::config::document::Meaning::Text);
        scalar.text.to_string()
    }

    #[test]
    fn text_of_the_input_stays_text() {
        for text in [
            "",
            "a",
            "a b",
            "-",
            "1",
            "1e3",
            "true",
            "off",
            "~",
            "null",
            "a: b",
            "a #b",
            "\"",
            "\\",
            "${HOME}",
            "$${HOME}",
            "$$${HOME}",
            "${file:/etc/passwd}",
            "a\nb",
            "\t",
            "\u{0}",
            "\u{2028}",
            "\u{feff}",
            "\u{7f}",
            "😀",
            "中",
            "{}",
            "[a]",
            "*",
            "&a",
            "!b",
            "%",
            "@",
            "`",
            "'",
            "a,b",
            "k:",
            "/*",
        ] {
            assert_eq!(read_back(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_stays_text(text in "\\PC*|[${}:#a\\n\\\\\"' ]*") {
            prop_assert_eq!(read_back(&text), text);
        }

        #[test]
        fn a_comment_is_one_line(text in any::<String>()) {
            prop_assert_eq!(one_line(&text).lines().count() <= 1, true);
        }
    }
}
