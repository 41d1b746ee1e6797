//! Whatever is in the file: a result that loads, or errors that say where.

use super::{Imported, Priority, apisix, litellm};
use crate::config::load::load_str;
use crate::config::problem::Problem;
use serde_json::{Value, json};

const MULTI: &str = include_str!("../../tests/golden/import/apisix.yaml");
const LITELLM: &str = include_str!("../../tests/golden/import/litellm.yaml");

type Import = fn(&str) -> Result<Imported, Vec<Problem>>;

fn larger(text: &str) -> Result<Imported, Vec<Problem>> {
    apisix(text, "f", Some(Priority::LargerFirst))
}

fn of_litellm(text: &str) -> Result<Imported, Vec<Problem>> {
    litellm(text, "f")
}

fn holds(import: Import, text: &str) -> bool {
    match import(text) {
        Ok(imported) => {
            let env = |name: &str| {
                let known = imported.variables.iter().any(|(known, _)| known == name);
                known.then(|| format!("value-of-{name}"))
            };
            let loaded = load_str(&imported.yaml, "r", &env);
            assert!(loaded.is_ok(), "{loaded:?}\n{}\nof {text}", imported.yaml);
            true
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{text}");
            for problem in problems {
                assert!(problem.line > 0 && !problem.message.is_empty(), "{text}");
                assert_eq!(problem.file, "f", "{problem} in {text}");
            }
            false
        }
    }
}

/// Every way to put `with` in the place of one value.
fn mutated(value: &Value, with: &Value, each: &mut dyn FnMut(Value)) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                mutated(item, with, &mut |changed| {
                    let mut items = items.clone();
                    items[index] = changed;
                    each(Value::Array(items));
                });
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                mutated(field, with, &mut |changed| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), changed);
                    each(Value::Object(fields));
                });
            }
        }
        _ => {}
    }
    each(with.clone());
}

#[test]
fn any_value_may_be_another() {
    for (import, text) in [(larger as Import, MULTI), (of_litellm, LITELLM)] {
        let whole: Value = serde_yaml::from_str(text).unwrap();
        let (mut fine, mut all) = (0, 0);
        for with in [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(2.5),
            json!(u64::MAX),
            json!(1e308),
            json!(""),
            json!("x"),
            json!("*"),
            json!("a b\n# ${HOME} \u{2028}'\""),
            json!("http://[::1]:70000/v1"),
            json!([]),
            json!({}),
            json!([[{}]]),
            json!({"a": {"b": [1]}}),
        ] {
            mutated(&whole, &with, &mut |changed| {
                all += 1;
                fine += usize::from(holds(import, &changed.to_string()));
            });
        }
        assert!(fine > all / 10 && fine < all, "{fine} of {all}");
    }
}

#[test]
fn a_field_nobody_knows_is_listed_wherever_it_stands() {
    for (import, text) in [(larger as Import, MULTI), (of_litellm, LITELLM)] {
        let whole: Value = serde_yaml::from_str(text).unwrap();
        let plain = import(text).unwrap().lost.len();
        let mut objects = 0;
        strange(&whole, &mut |changed, place| {
            let Ok(imported) = import(&changed.to_string()) else {
                return;
            };
            objects += 1;
            let below: Vec<&str> = imported
                .lost
                .iter()
                .map(|lost| lost.path.as_str())
                .collect();
            let said = below.iter().any(|path| path.ends_with("strange_one"))
                || below.iter().any(|path| place.starts_with(path))
                || imported.yaml.contains("strange_one:");
            assert!(said, "{place}: {below:?}");
            assert!(imported.lost.len() + 3 >= plain, "{place}");
        });
        assert!(objects > 20, "{objects}");
    }
}

/// Every way to put a strange field into one object, and the path of that object.
fn strange(value: &Value, each: &mut dyn FnMut(Value, String)) {
    fn go(value: &Value, place: &str, each: &mut dyn FnMut(Value, String)) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    go(item, &format!("{place}[{index}]"), &mut |changed, place| {
                        let mut items = items.clone();
                        items[index] = changed;
                        each(Value::Array(items), place);
                    });
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    let dot = if place.is_empty() { "" } else { "." };
                    go(
                        field,
                        &format!("{place}{dot}{name}"),
                        &mut |changed, place| {
                            let mut fields = fields.clone();
                            fields.insert(name.clone(), changed);
                            each(Value::Object(fields), place);
                        },
                    );
                }
                let mut fields = fields.clone();
                fields.insert("strange_one".to_owned(), json!("nobody"));
                each(Value::Object(fields), place.to_owned());
            }
            _ => {}
        }
    }
    go(value, "", each);
}

#[test]
fn no_secret_is_written_or_said() {
    for (import, text, secrets) in [
        (
            larger as Import,
            MULTI,
            &[
                "sk-siliconflow-0001",
                "sk-own-query-key",
                "azure-key-000",
                "alice-secret-key",
            ][..],
        ),
        (
            of_litellm,
            LITELLM,
            &[
                "sk-literal-openai-key",
                "sk-1234-master",
                "never-shown",
                "user:pass",
            ],
        ),
    ] {
        let whole: Value = serde_yaml::from_str(text).unwrap();
        for with in [json!([]), json!("x")] {
            mutated(&whole, &with, &mut |changed| {
                let changed = changed.to_string();
                let said = format!("{:?}", import(&changed));
                for secret in secrets {
                    assert!(!said.contains(secret), "{secret}: {said}\nof {changed}");
                }
            });
        }
    }
}

#[test]
fn broken_files_say_where() {
    let deep = |open: &str| open.repeat(10_000);
    for text in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "1".to_owned(),
        "\u{0}".to_owned(),
        "\u{feff}".to_owned(),
        "#END\n".to_owned(),
        "a: &a [*a]".to_owned(),
        "? {a: b}\n: c".to_owned(),
        deep("["),
        deep("{\"a\":"),
        deep("- "),
        r#"{"plugins": {"ai-proxy": {"provider": "deepseek"}}, "plugins": {}}"#.to_owned(),
        r#"{"plugins": {"ai-proxy": {"options": {"n": 1e400}}}}"#.to_owned(),
        r#"{"plugins": {"ai-proxy": {"options": {"n": "\ud800"}}}}"#.to_owned(),
    ] {
        for import in [larger as Import, of_litellm] {
            assert!(!holds(import, &text), "{}", text.get(..40).unwrap_or(&text));
        }
    }
    for text in [MULTI, LITELLM] {
        for end in (0..text.len()).step_by(37) {
            holds(larger, &text[..end]);
            holds(of_litellm, &text[..end]);
        }
    }
}
