//! `${NAME}`, `${NAME:-default}` and `${file:/path}` inside a string; `$${` writes a plain `${`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

const MAX_FILE: u64 = 64 * 1024;

/// What references are resolved against.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub env: Environment<'a>,
    /// Relative paths begin here.
    pub directory: &'a Path,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    pub text: String,
    /// Every reference as written, without its default: `${HOST}` and `${PORT}`.
    pub references: Vec<String>,
}

/// Replaces all references. What a reference brings is not searched for further ones.
pub fn resolve(text: &str, around: Surroundings<'_>) -> Result<Resolved, String> {
    let mut resolved = Resolved {
        text: String::with_capacity(text.len()),
        references: vec![],
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(kept) = before.strip_suffix('$') {
            resolved.text.push_str(kept);
            resolved.text.push_str("${");
            rest = after;
            continue;
        }
        resolved.text.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            return Err("`${` has no closing `}`; write `$${` for a plain `${`".to_owned());
        };
        let (shown, value) = look_up(inside, around)?;
        resolved.text.push_str(&value);
        if !resolved.references.contains(&shown) {
            resolved.references.push(shown);
        }
        rest = after;
    }
    resolved.text.push_str(rest);
    Ok(resolved)
}

/// The reference as it may be shown, and its value.
fn look_up(inside: &str, around: Surroundings<'_>) -> Result<(String, String), String> {
    if inside.contains("${") {
        return Err("a reference cannot stand inside another one".to_owned());
    }
    if let Some(path) = inside.strip_prefix("file:") {
        let shown = format!("${{file:{path}}}");
        return match read(&around.directory.join(path)) {
            Ok(value) => Ok((shown, value)),
            Err(error) => Err(format!("`{shown}` cannot be read: {error}")),
        };
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err("`${…}` takes `NAME`, `NAME:-default` or `file:/path`; \
                    write `$${` for a plain `${`"
            .to_owned());
    }
    let shown = format!("${{{name}}}");
    match ((around.env)(name), default) {
        (Some(value), None) => Ok((shown, value)),
        (Some(value), Some(_)) if !value.is_empty() => Ok((shown, value)),
        (_, Some(default)) => Ok((shown, default.to_owned())),
        (None, None) => Err(format!(
            "the environment variable `{name}` is not set; set it, or write `${{{name}:-default}}`"
        )),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut value = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut value)?;
    if value.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 64KiB"));
    }
    value.truncate(value.trim_end_matches(['\r', '\n']).len());
    Ok(value)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Resolved, String> {
        let env = |name: &str| match name {
            "HOST" => Some("example.net".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${HOST}".to_owned()),
            _ => None,
        };
        resolve(
            text,
            Surroundings {
                env: &env,
                directory: Path::new(""),
            },
        )
    }

    #[test]
    fn stands_anywhere_in_a_string() {
        let both = run("https://${HOST}:${PORT:-443}/v1").unwrap();
        assert_eq!(both.text, "https://example.net:443/v1");
        assert_eq!(both.references, ["${HOST}", "${PORT}"]);
        for (text, value) in [
            ("plain", "plain"),
            ("a $ b $x", "a $ b $x"),
            ("$${HOST}", "${HOST}"),
            ("${TRICK}", "${HOST}"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
        ] {
            assert_eq!(run(text).unwrap().text, value, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_it() {
        assert!(run("${NONE}").unwrap_err().contains("`NONE` is not set"));
        assert!(run("${HOST").unwrap_err().contains("no closing"));
        assert!(run("${a b}").unwrap_err().contains("takes `NAME`"));
        assert!(run("${A:-${B}}").unwrap_err().contains("inside another"));
        assert!(
            run("${file:/nowhere/at/all}")
                .unwrap_err()
                .contains("cannot be read")
        );
        assert!(run("${file:/}").unwrap_err().contains("not a regular file"));
    }

    #[test]
    fn reads_a_file_without_its_last_newline() {
        let path = std::env::temp_dir().join(format!("overspill-ref-{}", std::process::id()));
        std::fs::write(&path, "s3cret\r\n").unwrap();
        let text = format!("Bearer ${{file:{}}}", path.display());
        assert_eq!(run(&text).unwrap().text, "Bearer s3cret");
        std::fs::remove_file(&path).unwrap();
    }
}
