//! A configuration as it may be shown: as written, without a secret anywhere.

use crate::config::document::{Content, Meaning, Node, Scalar};
use crate::config::place::Segment;
use crate::config::problem::{collect_secrets, is_secret, is_secret_below};
use serde_json::Value;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Words at `auth` that name a way and hold nothing.
const WAYS: [&str; 3] = ["none", "bearer", "off"];

pub fn shown(root: &Node) -> Value {
    let mut secrets = Vec::new();
    collect_secrets(root, false, &mut secrets);
    let shower = Shower { secrets };
    shower.node(root, None, false)
}

struct Shower {
    /// For where one stands a second time, at a place nobody would look for one.
    secrets: Vec<String>,
}

impl Shower {
    /// Below the key `above`, where it stands at one.
    fn node(&self, node: &Node, above: Option<&Segment>, hidden: bool) -> Value {
        match &node.content {
            Content::Scalar(scalar) => self.scalar(scalar, hidden),
            Content::Sequence(items) => items
                .iter()
                .map(|item| self.node(item, None, hidden))
                .collect(),
            Content::Mapping(entries) => entries
                .iter()
                .map(|entry| {
                    let key = Segment::Key(entry.key.clone());
                    let hidden = hidden
                        || is_secret(&key)
                        || above.is_some_and(|above| is_secret_below(above, &key));
                    let is_way = &*entry.key == "auth"
                        && (entry.value.scalar()).is_some_and(|way| WAYS.contains(&&*way.text));
                    let value = self.node(&entry.value, Some(&key), hidden && !is_way);
                    (self.without_secrets(&entry.key), value)
                })
                .collect(),
        }
    }

    /// What came by a reference is not looked at: the reference is shown.
    fn scalar(&self, scalar: &Scalar, hidden: bool) -> Value {
        if let Some(references) = &scalar.references {
            return references.replace('`', "").into();
        }
        if hidden {
            return HIDDEN.into();
        }
        match scalar.meaning() {
            Meaning::Null => Value::Null,
            Meaning::Bool(value) => value.into(),
            Meaning::Signed(number) => number.into(),
            Meaning::Unsigned(number) => number.into(),
            Meaning::Float(number) => number.into(),
            Meaning::Text => without_user(&self.without_secrets(&scalar.text)).into(),
        }
    }

    fn without_secrets(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), HIDDEN)
        })
    }
}

/// A URL may carry name and password before its host.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::load_str;
    use serde_json::json;

    #[test]
    fn shows_what_is_written_and_no_secret() {
        let text = "
server: { listen: '127.0.0.1:0', admin: { address: '127.0.0.1:1', token: sk-admin-secret } }
providers:
  one:
    base_url: 'http://${HOST}/v1'
    auth: { header: { api-key: '${KEY}' } }
    models: { a: { name: sk-admin-secret, context: 10 } }
  two: { base_url: 'http://two.test/v1', auth: none, models: { a: { name: a } } }
routes: [{ name: all, targets: [{ provider: one }, { provider: two }] }]
keys: [{ name: app, secret: short }]
";
        let env = |name: &str| match name {
            "HOST" => Some("hidden.test".to_owned()),
            "KEY" => Some("sk-from-the-environment".to_owned()),
            _ => None,
        };
        let shown = load_str(text, "o.yaml", &env).unwrap().shown;
        let one = json!({
            "base_url": "${HOST}",
            "auth": { "header": { "api-key": "${KEY}" } },
            "models": { "a": { "name": "***", "context": 10 } },
        });
        assert_eq!(shown["providers"]["one"], one);
        assert_eq!(shown["providers"]["two"]["auth"], "none");
        assert_eq!(shown["server"]["admin"]["token"], "***");
        assert_eq!(shown["keys"][0], json!({ "name": "app", "secret": "***" }));
    }

    #[test]
    fn a_url_loses_its_password() {
        for (url, shown) in [
            ("redis://:pw@10.0.0.1:6379/0", "redis://***@10.0.0.1:6379/0"),
            ("postgres://a:b@c@db/x?y=@", "postgres://***@db/x?y=@"),
            ("http://host/a@b", "http://host/a@b"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(super::without_user(url), shown);
        }
    }
}
