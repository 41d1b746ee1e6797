//! An assistant message at a request's end: the beginning of an answer that is to go on from it.

use serde::Deserialize;
use serde_json::Value;

use super::scan::Scan;

/// How a request marks such a message as one to continue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Not at all: it stands last, which is enough.
    Plain,
    /// `prefix: true` in the message.
    Prefix,
    /// `partial: true` in the message.
    Partial,
    /// `continue_final_message: true` in the request.
    Continue,
    /// No mark will do.
    Unknown,
}

impl Form {
    pub fn named(word: &str) -> Result<Form, String> {
        match word {
            "assistant" => Ok(Form::Plain),
            "prefix" => Ok(Form::Prefix),
            "partial" => Ok(Form::Partial),
            "continue" | "continue_final_message" => Ok(Form::Continue),
            "none" => Ok(Form::Unknown),
            _ => Err(format!(
                "{word:?} is not assistant, prefix, partial, continue or none"
            )),
        }
    }
}

pub struct Prefill {
    pub text: String,
    prefix: bool,
    partial: bool,
    whole_request: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
    prefix: Option<bool>,
    partial: Option<bool>,
}

impl Prefill {
    /// The request's last message, if it is the assistant's.
    pub fn of(scan: &Scan) -> Option<Prefill> {
        let bytes = scan.last_message();
        memchr::memmem::find(bytes, b"assistant")?;
        // What follows it, the end of the list, was captured too.
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Message>();
        let message = values.next()?.ok()?;
        (message.role == "assistant").then(|| Prefill {
            text: text(&message.content),
            prefix: message.prefix == Some(true),
            partial: message.partial == Some(true),
            whole_request: scan.continues_final_message(),
        })
    }

    /// Whether a provider that knows only this form continues it.
    pub fn has(&self, form: Form) -> bool {
        match form {
            Form::Plain => true,
            Form::Prefix => self.prefix,
            Form::Partial => self.partial,
            Form::Continue => self.whole_request,
            Form::Unknown => false,
        }
    }
}

/// A string, or the texts of its parts.
fn text(content: &Value) -> String {
    let part = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(part).collect(),
        _ => String::new(),
    }
}
