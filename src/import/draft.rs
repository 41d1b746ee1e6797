//! Our configuration in the making: values, and beside each why it is so.

use crate::catalog::{KnownAuth, catalog};
use crate::config::document::{Content, Meaning, Node};
use crate::import::secrets::Secrets;

/// A value as YAML in one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Written as it is: numbers, times, words of the grammar.
    Word(String),
    /// From the input: quoted wherever that makes a difference, and never a reference.
    Text(String),
    /// `${NAME}`.
    Reference(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: &'static str,
    pub value: Value,
    pub why: Vec<String>,
}

/// Name and value: what two of the same kind are compared by.
impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        self.name == other.name && self.value == other.value
    }
}

#[derive(Clone, Debug, Default)]
pub struct Provider {
    pub name: String,
    /// The catalogue's name for it: under another one all that the catalogue says is written out.
    pub known: Option<&'static str>,
    pub why: Vec<String>,
    pub fields: Vec<Field>,
    /// The fields it came with.
    pub identity: Vec<Field>,
    /// By canonical id.
    pub models: Vec<(String, Value)>,
}

#[derive(Clone, Debug, Default)]
pub struct Target {
    pub why: Vec<String>,
    pub fields: Vec<(String, Value)>,
}

#[derive(Clone, Debug, Default)]
pub struct Route {
    pub name: String,
    pub why: Vec<String>,
    pub matches: Vec<(String, Value)>,
    pub targets: Vec<Target>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Key {
    pub why: Vec<String>,
    pub name: String,
    pub secret: String,
}

pub struct Draft {
    /// What the result was made from.
    pub title: String,
    pub secrets: Secrets,
    pub server: Vec<Field>,
    pub providers: Vec<Provider>,
    pub routes: Vec<Route>,
    pub keys: Vec<Key>,
}

impl Value {
    pub fn word(word: impl ToString) -> Value {
        Value::Word(word.to_string())
    }

    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    pub fn words<W: ToString>(words: impl IntoIterator<Item = W>) -> Value {
        Value::List(words.into_iter().map(Value::word).collect())
    }

    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Value {
        Value::List(texts.into_iter().map(Value::text).collect())
    }

    pub fn map(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        let fields = fields.into_iter();
        Value::Map(
            fields
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// A part of the input as it stands there; None where a number is beyond all bounds.
    pub fn of(node: &Node) -> Option<Value> {
        Some(match &node.content {
            Content::Scalar(scalar) => match scalar.meaning() {
                Meaning::Text => Value::Text(scalar.text.to_string()),
                Meaning::Float(number) if !number.is_finite() => return None,
                Meaning::Null => return None,
                _ => Value::Word(scalar.text.to_string()),
            },
            Content::Sequence(items) => {
                Value::List(items.iter().map(Value::of).collect::<Option<_>>()?)
            }
            Content::Mapping(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| Some((entry.key.to_string(), Value::of(&entry.value)?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

impl Field {
    pub fn new(name: &'static str, value: Value) -> Field {
        Field {
            name,
            value,
            why: vec![],
        }
    }

    pub fn because(mut self, why: impl Into<String>) -> Field {
        self.why.push(why.into());
        self
    }
}

impl Provider {
    fn spell_out(&mut self) {
        let Some(known) = self.known.and_then(|name| catalog().get(name)) else {
            return;
        };
        let has = |fields: &[Field], name| fields.iter().any(|field| field.name == name);
        if let Some(base_url) = known
            .base_url
            .as_ref()
            .filter(|_| !has(&self.fields, "base_url"))
        {
            let field = Field::new("base_url", Value::text(base_url));
            self.fields
                .insert(0, field.because("another account of the same provider"));
        }
        if let KnownAuth::Header(header) = &known.auth {
            for field in self
                .fields
                .iter_mut()
                .filter(|field| field.name == "api_key")
            {
                let pair = Value::Map(vec![(header.clone(), field.value.clone())]);
                field.name = "auth";
                field.value = Value::map([("header", pair)]);
            }
        }
        if let Some(endpoints) = &known.endpoints {
            let words = Value::words(endpoints);
            self.fields.push(Field::new("endpoints", words));
        }
        if self.models.is_empty() {
            let models = known.models.iter();
            self.models = models
                .map(|(id, model)| (id.clone(), Value::text(&model.name)))
                .collect();
        }
    }
}

impl Draft {
    pub fn new(title: String, text: &str) -> Draft {
        Draft {
            title,
            secrets: Secrets::of(text),
            server: vec![],
            providers: vec![],
            routes: vec![],
            keys: vec![],
        }
    }

    /// The name of this account: the same one is written once, another of that name gets its own.
    /// `models` that the account names otherwise already make it another.
    pub fn account(&mut self, mut wanted: Provider, other_name: &str) -> String {
        let fits = |known: &&mut Provider| {
            let same = known.identity == wanted.fields && known.known == wanted.known;
            same && wanted.models.iter().all(|(id, model)| {
                let known = known.models.iter().find(|(known, _)| known == id);
                known.is_none_or(|(_, known)| known == model)
            })
        };
        if let Some(known) = self.providers.iter_mut().find(fits) {
            for model in wanted.models {
                if !known.models.contains(&model) {
                    known.models.push(model);
                }
            }
            return known.name.clone();
        }
        let taken = |name: &str| self.providers.iter().any(|known| known.name == name);
        wanted.identity.clone_from(&wanted.fields);
        if taken(&wanted.name) {
            wanted.name = free(other_name, taken);
            wanted.spell_out();
        }
        let name = wanted.name.clone();
        self.providers.push(wanted);
        name
    }

    pub fn route_name(&self, wanted: &str) -> String {
        let wanted = name(wanted);
        free(&wanted, |name| {
            self.routes.iter().any(|route| route.name == name)
        })
    }
}

fn free(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut count = 1;
    while taken(&name) {
        count += 1;
        name = format!("{wanted}-{count}");
    }
    name
}

/// A name of ours made of one that may have anything in it.
pub fn name(text: &str) -> String {
    const LONGEST: usize = 200;
    let sign = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' | '/' | ':' => letter,
        _ => '-',
    };
    let name: String = text.chars().take(LONGEST).map(sign).collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name.to_owned()
    }
}
