//! What a client's library makes of a stream of chat chunks.

use super::client::Reply;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub struct Said {
    pub content: String,
    pub reasoning: String,
    pub finishes: Vec<String>,
    pub usage: Vec<Value>,
    pub error: Option<Value>,
    /// Events `[DONE]`.
    pub done: usize,
    pub roles: usize,
    pub pings: usize,
    /// Every value there was of these in chunks with a choice.
    pub ids: BTreeSet<String>,
    pub created: BTreeSet<String>,
    pub models: BTreeSet<String>,
    pub indexes: BTreeSet<String>,
}

impl Said {
    pub fn of(reply: &Reply) -> Said {
        Said::in_text(&reply.text())
    }

    /// Fails the test at what is no JSON, and at data after the end.
    pub fn in_text(text: &str) -> Said {
        let mut said = Said::default();
        for line in text.lines() {
            if line.starts_with(": ping") {
                said.pings += 1;
            }
            let Some(data) = line.strip_prefix("data:").map(str::trim) else {
                continue;
            };
            let over = said.done > 0 || said.error.is_some();
            assert!(!over, "an event after the end: {text}");
            if data == "[DONE]" {
                said.done += 1;
                continue;
            }
            let event = serde_json::from_str(data)
                .unwrap_or_else(|error| panic!("not JSON ({error}): {data}"));
            said.take(&event);
        }
        said
    }

    fn take(&mut self, event: &Value) {
        if event.get("error").is_some_and(|error| !error.is_null()) {
            self.error = Some(event["error"].clone());
            return;
        }
        if event.get("usage").is_some_and(|usage| !usage.is_null()) {
            self.usage.push(event["usage"].clone());
        }
        for choice in event["choices"].as_array().into_iter().flatten() {
            self.ids.insert(event["id"].to_string());
            self.created.insert(event["created"].to_string());
            self.models.insert(event["model"].to_string());
            self.indexes.insert(choice["index"].to_string());
            let delta = &choice["delta"];
            let text = |field: &str| delta[field].as_str().unwrap_or_default();
            self.content += text("content");
            self.reasoning += text("reasoning_content");
            self.roles += usize::from(delta["role"].is_string());
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.finishes.push(reason.to_string());
            }
        }
    }

    /// One answer with this content, to its good end.
    pub fn whole(&self, content: &str) {
        same(&self.content, content);
        assert_eq!(self.error, None);
        assert_eq!(
            (self.done, self.finishes.as_slice()),
            (1, &["stop".to_string()][..])
        );
        self.one_voice();
    }

    /// So much of an answer and no more, and an error that names why.
    pub fn broken(&self, content: &str, reason: &str) {
        same(&self.content, content);
        let error = self
            .error
            .as_ref()
            .unwrap_or_else(|| panic!("no error: {self:?}"));
        assert_eq!(error["metadata"]["reason"], reason, "{error}");
        assert!(error["message"].is_string(), "{error}");
        assert_eq!((self.done, self.finishes.len()), (0, 0), "{self:?}");
        self.one_voice();
    }

    /// All chunks belong to one answer under the canonical name.
    fn one_voice(&self) {
        for values in [&self.ids, &self.created, &self.indexes] {
            assert!(values.len() <= 1, "two answers in one: {self:?}");
        }
        let models: Vec<_> = self.models.iter().map(String::as_str).collect();
        assert!(
            models.is_empty() || models == ["\"acme/chat\""],
            "{models:?}"
        );
        assert!(self.roles <= 1, "{} roles", self.roles);
    }
}

/// Fails the test at the first difference, and says no more than that of two long texts.
fn same(text: &str, expected: &str) {
    let letters = text.chars().zip(expected.chars());
    let alike = letters.take_while(|(a, b)| a == b).count();
    let after = |text: &str| text.chars().skip(alike).take(40).collect::<String>();
    assert!(
        text == expected,
        "after {alike} characters: {:?}, not {:?}",
        after(text),
        after(expected)
    );
}
