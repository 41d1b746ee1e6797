//! Credentials of the input: none is written out, each becomes a reference to the environment.

use crate::config::place::Place;
use crate::import::syntax::is_variable;

pub struct Secrets {
    /// All of the input: no name is given that stands in it for something else.
    text: String,
    known: Vec<Known>,
}

struct Known {
    name: String,
    /// Nothing where the input itself refers to the environment.
    literal: Option<String>,
    place: String,
}

impl Secrets {
    pub fn of(text: &str) -> Secrets {
        Secrets {
            text: text.to_owned(),
            known: vec![],
        }
    }

    /// `${NAME}` for this value. `wanted` names it if the input does not.
    pub fn reference(&mut self, value: &str, wanted: &str, place: &Place) -> String {
        let found = match referred(value) {
            Some(name) => self.known.iter().find(|known| known.name == name),
            None => {
                let same = |known: &&Known| known.literal.as_deref() == Some(value);
                self.known.iter().find(same)
            }
        };
        if let Some(known) = found {
            return format!("${{{}}}", known.name);
        }
        let (name, literal) = match referred(value) {
            Some(name) => (name.to_owned(), None),
            None => (self.free(wanted), Some(value.to_owned())),
        };
        let reference = format!("${{{name}}}");
        self.known.push(Known {
            name,
            literal,
            place: place.to_string(),
        });
        reference
    }

    /// Whether the value stood in the input itself.
    pub fn is_literal(value: &str) -> bool {
        referred(value).is_none()
    }

    /// What must be set, and the place in the input it stands for.
    pub fn variables(&self) -> Vec<(String, String)> {
        let known = self.known.iter();
        known
            .map(|known| (known.name.clone(), known.place.clone()))
            .collect()
    }

    fn free(&self, wanted: &str) -> String {
        let base = variable(wanted);
        let mut name = base.clone();
        let mut count = 1;
        while self.text.contains(&name) || self.known.iter().any(|known| known.name == name) {
            count += 1;
            name = format!("{base}_{count}");
        }
        name
    }
}

/// The environment variable a value names, in any of the ways these gateways have.
fn referred(value: &str) -> Option<&str> {
    let value = value.trim();
    let braced = |open: &str, close: &str| {
        let inside = value.strip_prefix(open)?.strip_suffix(close)?;
        Some(inside.split(":=").next().unwrap_or(inside).trim())
    };
    let prefixed = ["os.environ/", "$env://", "$ENV://"]
        .into_iter()
        .find_map(|prefix| value.strip_prefix(prefix));
    let name = prefixed
        .or_else(|| braced("${{", "}}"))
        .or_else(|| braced("${", "}"))
        .or_else(|| value.strip_prefix('$'))?;
    is_variable(name).then_some(name)
}

/// `my-provider` → `MY_PROVIDER_API_KEY`.
fn variable(wanted: &str) -> String {
    const LONGEST: usize = 60;
    let word = |letter: char| match letter.to_ascii_uppercase() {
        upper if upper.is_ascii_alphanumeric() => upper,
        _ => '_',
    };
    let name: String = wanted.chars().take(LONGEST).map(word).collect();
    match name.chars().next() {
        Some(first) if !first.is_ascii_digit() => name,
        _ => format!("KEY_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_keeps_its_name() {
        for (value, name) in [
            ("os.environ/OPENAI_API_KEY", "OPENAI_API_KEY"),
            ("$env://KEY", "KEY"),
            ("${{KEY:=none}}", "KEY"),
            ("${KEY}", "KEY"),
            ("$KEY", "KEY"),
        ] {
            assert_eq!(referred(value), Some(name), "{value}");
        }
        for literal in [
            "sk-1",
            "$",
            "${file:/etc/passwd}",
            "$secret://vault/1/a/b",
            "$a b",
        ] {
            assert_eq!(referred(literal), None, "{literal}");
        }
    }

    #[test]
    fn a_literal_gets_a_name_of_its_own() {
        let place = Place::root();
        let mut secrets = Secrets::of("a: sk-1\nb: ${A_API_KEY}\n");
        let mut name = |value: &str, wanted: &str| secrets.reference(value, wanted, &place);
        assert_eq!(name("sk-1", "a_api_key"), "${A_API_KEY_2}");
        assert_eq!(name("${A_API_KEY}", "x"), "${A_API_KEY}");
        assert_eq!(name("sk-1", "b"), "${A_API_KEY_2}");
        assert_eq!(name("sk-2", "b"), "${B}");
        assert_eq!(name("sk-3", "b"), "${B_2}");
        assert_eq!(name("sk-4", "4o/mini"), "${KEY_4O_MINI}");
        assert_eq!(secrets.variables().len(), 5);
    }
}
