//! A provider that quotes our credential back must not hand it to the caller.

use crate::config::secret::Secret;
use memchr::memmem;
use std::borrow::Cow;

/// Shorter values protect nothing, and striking them out would garble ordinary words.
const SHORTEST: usize = 4;
const STARS: &[u8] = b"***";

/// Every credential in `body` replaced by `***`, however it is written: bare, with or without the
/// scheme before it, escaped as JSON does, or percent-encoded as in a quoted URL.
pub fn redact<'a, 's>(
    body: &'a [u8],
    secrets: impl IntoIterator<Item = &'s Secret>,
) -> Cow<'a, [u8]> {
    let mut spellings: Vec<Vec<u8>> = secrets.into_iter().flat_map(spellings).collect();
    // One credential may begin another: the longer goes first, so that no tail is left standing.
    spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    let mut clean = Cow::Borrowed(body);
    for spelling in &spellings {
        if let Some(struck) = strike(&clean, spelling) {
            clean = Cow::Owned(struck);
        }
    }
    clean
}

fn spellings(secret: &Secret) -> Vec<Vec<u8>> {
    let bare = without_scheme(secret.expose().trim());
    if bare.len() < SHORTEST {
        return Vec::new();
    }
    let quoted = serde_json::Value::from(bare).to_string();
    let escaped = quoted.strip_prefix('"').unwrap_or(&quoted);
    let escaped = escaped.strip_suffix('"').unwrap_or(escaped);
    let mut all = vec![
        bare.as_bytes().to_vec(),
        escaped.as_bytes().to_vec(),
        escaped.replace('/', "\\/").into_bytes(),
        percent_encoded(bare).into_bytes(),
    ];
    all.dedup();
    all
}

fn without_scheme(value: &str) -> &str {
    match value.split_once(' ') {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic") =>
        {
            token.trim_start()
        }
        _ => value,
    }
}

fn percent_encoded(value: &str) -> String {
    value
        .bytes()
        .fold(String::with_capacity(value.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
            encoded
        })
}

/// `None`: it does not occur.
fn strike(text: &[u8], spelling: &[u8]) -> Option<Vec<u8>> {
    let mut struck = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(text, spelling) {
        struck.extend_from_slice(text.get(from..at)?);
        struck.extend_from_slice(STARS);
        from = at + spelling.len();
    }
    if from == 0 {
        return None;
    }
    struck.extend_from_slice(text.get(from..)?);
    Some(struck)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn none_is_left_in_any_surroundings(
            secret in "[a-z\"/ +é]{0,3}[a-z]{4}[a-z\"/ +é]{0,3}",
            parts in proptest::collection::vec("[a-z\"/ +é]{0,8}", 1..6),
        ) {
            let bare = secret.trim();
            let body = parts.join(bare);
            let clean = clean(&body, &[&secret]);
            prop_assert!(!clean.contains(bare), "{clean}");
            prop_assert!(clean.matches("***").count() >= parts.len() - 1);
        }
    }

    fn clean(body: &str, secrets: &[&str]) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        String::from_utf8(redact(body.as_bytes(), &secrets).into_owned()).unwrap()
    }

    #[test]
    fn every_occurrence_goes() {
        assert_eq!(clean("sk-abcdef", &["sk-abcdef"]), "***");
        assert_eq!(
            clean(
                r#"{"a":"sk-abcdef","b":"Bearer sk-abcdef!"}"#,
                &["sk-abcdef"]
            ),
            r#"{"a":"***","b":"Bearer ***!"}"#
        );
        assert_eq!(clean("key-one key-two", &["key-two", "key-one"]), "*** ***");
    }

    #[test]
    fn the_scheme_does_not_hide_it() {
        assert_eq!(
            clean("bad key sk-abcdef", &["Bearer sk-abcdef"]),
            "bad key ***"
        );
        assert_eq!(
            clean("bad key sk-abcdef", &["bearer  sk-abcdef"]),
            "bad key ***"
        );
        assert_eq!(
            clean("Bearer sk-abcdef", &["Bearer sk-abcdef"]),
            "Bearer ***"
        );
        assert_eq!(clean("dXNlcjpwdw==", &["Basic dXNlcjpwdw=="]), "***");
    }

    #[test]
    fn escapes_do_not_hide_it() {
        assert_eq!(clean(r#""a\"b\\c/d""#, &[r#"a"b\c/d"#]), r#""***""#);
        assert_eq!(clean(r#""abc\/def+""#, &["abc/def+"]), r#""***""#);
        assert_eq!(
            clean("/v1?key=abc%2Fdef%2B&x", &["abc/def+"]),
            "/v1?key=***&x"
        );
        assert_eq!(clean(r#""ends\"""#, &["ends\""]), r#""***""#);
    }

    #[test]
    fn the_longer_of_two_goes_whole() {
        assert_eq!(clean("sk-abc-long", &["sk-abc", "sk-abc-long"]), "***");
    }

    #[test]
    fn what_holds_none_is_not_copied() {
        let secrets = [
            Secret::new("sk-abcdef"),
            Secret::new("abc"),
            Secret::new(""),
        ];
        let body = b"abc sk-abcde";
        assert!(matches!(redact(body, &secrets), Cow::Borrowed(same) if same == body));
        assert!(matches!(redact(b"", &secrets), Cow::Borrowed(b"")));
    }
}
