//! What an error body says: its codes and sentences, wherever its shape puts them.

use serde_json::{Map, Value};

/// Errors are short; what is longer quotes the request back.
const LOOKED_AT: usize = 64 * 1024;

/// Objects, or lists of them, that hold an error's parts. `choices` and `response`: an answer that
/// failed half way carries its error inside.
const NESTED: [&str; 13] = [
    "error",
    "Error",
    "errors",
    "base_resp",
    "ResponseMetadata",
    "innererror",
    "inner_error",
    "detail",
    "details",
    "metadata",
    "availability",
    "response",
    "choices",
];
const CODES: [&str; 11] = [
    "code",
    "Code",
    "type",
    "__type",
    "status",
    "status_code",
    "error",
    "error_code",
    "error_type",
    "provider_code",
    "reason",
];
const SENTENCES: [&str; 10] = [
    "message",
    "Message",
    "msg",
    "error",
    "error_msg",
    "error_message",
    "error_description",
    "status_msg",
    "detail",
    "title",
];

/// The gist of an error body. Codes and text are in lower case, to be compared.
#[derive(Debug, Default)]
pub struct Said {
    pub codes: Vec<String>,
    /// All sentences, one a line.
    pub text: String,
    /// An error that the provider got itself, quoted whole (OpenRouter's `metadata.raw`).
    pub relayed: String,
    /// The first HTTP error status the body states.
    pub status: Option<u16>,
    /// The first sentence, as it was written.
    pub message: Option<String>,
}

impl Said {
    /// Reads any shape: objects of many makes, lists of them, a bare JSON string, plain text.
    /// What is cut off, broken or a web page says nothing.
    pub fn read(body: &[u8]) -> Said {
        let text = String::from_utf8_lossy(beginning(body));
        let text = text.trim();
        let mut said = Said::default();
        match serde_json::from_str::<Value>(text) {
            Ok(value) => said.value(&value),
            Err(_) if text.starts_with(['<', '{', '[', '"']) => {}
            Err(_) => said.sentence(text),
        }
        said
    }

    /// Adds a code found elsewhere, such as in a header.
    pub fn code(&mut self, code: &str) {
        let code = code.trim();
        // AWS writes `com.amazon.coral#ThrottlingException` and `ThrottlingException:http://…`.
        let code = code.rsplit_once('#').map_or(code, |(_, name)| name);
        let code = code.split_once(':').map_or(code, |(name, _)| name);
        let wordy = code.contains(char::is_whitespace);
        if !code.is_empty() && !wordy {
            self.codes.push(code.to_lowercase());
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(sentence) => self.sentence(sentence),
            // Serde's own limit on depth bounds this recursion.
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(map) => self.object(map),
            _ => {}
        }
    }

    fn object(&mut self, map: &Map<String, Value>) {
        for value in NESTED.iter().filter_map(|key| map.get(*key)) {
            if value.is_object() || value.is_array() {
                self.value(value);
            }
        }
        for value in CODES.iter().filter_map(|key| map.get(*key)) {
            match value {
                Value::String(code) => self.code(code),
                Value::Number(number) => self.code(&number.to_string()),
                _ => continue,
            }
            self.status = self.status.or_else(|| stated_status(value));
        }
        for value in SENTENCES.iter().filter_map(|key| map.get(*key)) {
            if let Value::String(sentence) = value {
                self.sentence(sentence);
            }
        }
        if let Some(Value::String(raw)) = map.get("raw") {
            self.relayed.push_str(&raw.to_lowercase());
        }
        // OpenRouter's sign of moderation is a field, not a code.
        if map.contains_key("flagged_input") {
            self.codes.push("flagged_input".to_owned());
        }
    }

    fn sentence(&mut self, sentence: &str) {
        let sentence = sentence.trim();
        if sentence.is_empty() {
            return;
        }
        self.text.push_str(&sentence.to_lowercase());
        self.text.push('\n');
        self.message.get_or_insert_with(|| sentence.to_owned());
    }
}

/// As much of an error body as is worth reading.
pub fn beginning(body: &[u8]) -> &[u8] {
    body.get(..LOOKED_AT).unwrap_or(body)
}

fn stated_status(value: &Value) -> Option<u16> {
    let number = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    u16::try_from(number)
        .ok()
        .filter(|status| (400..=599).contains(status))
}
