//! The events of one streamed chat answer, and what a model says that can go on where another
//! stopped.

use super::Act;
use super::answers::{DONE, last, part, sse_head};
use super::provider::Seen;
use serde_json::{Value, json};

/// Whose answer it is: what stands in each of its chunks.
#[derive(Clone, Copy)]
pub struct Voice {
    pub id: &'static str,
    pub created: u64,
    pub model: &'static str,
}

pub const ONE: Voice = Voice {
    id: "chatcmpl-one",
    created: 1001,
    model: "one-chat",
};
pub const TWO: Voice = Voice {
    id: "chatcmpl-two",
    created: 2002,
    model: "two-chat",
};
pub const THREE: Voice = Voice {
    id: "chatcmpl-three",
    created: 3003,
    model: "three-chat",
};

impl Voice {
    /// One event; `choices` and whatever else `more` has.
    fn event(&self, choices: Value, more: Value) -> String {
        let mut data = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created,
            "model": self.model, "choices": choices
        });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        format!("data: {data}\n\n")
    }

    pub fn delta(&self, delta: Value) -> String {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        self.event(json!([choice]), json!({}))
    }

    pub fn role(&self) -> String {
        self.delta(json!({"role": "assistant", "content": ""}))
    }

    pub fn say(&self, text: &str) -> String {
        self.delta(json!({"content": text}))
    }

    /// The same with the usage so far, as some providers tell it in each chunk.
    pub fn say_counting(&self, text: &str, prompt: u64, completion: u64) -> String {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
        self.event(json!([choice]), counted(prompt, completion))
    }

    pub fn think(&self, text: &str) -> String {
        self.delta(json!({"reasoning_content": text}))
    }

    pub fn finish(&self, reason: &str) -> String {
        let choice = json!({"index": 0, "delta": {}, "finish_reason": reason});
        self.event(json!([choice]), json!({}))
    }

    pub fn usage(&self, prompt: u64, completion: u64) -> String {
        self.event(json!([]), counted(prompt, completion))
    }

    /// A whole stream of these pieces.
    pub fn stream<'a>(&self, pieces: impl IntoIterator<Item = &'a str>) -> Vec<Act> {
        let mut acts = vec![sse_head(), part(self.role())];
        acts.extend(pieces.into_iter().map(|piece| part(self.say(piece))));
        acts.extend(self.end());
        acts
    }

    /// How a stream ends well.
    pub fn end(&self) -> [Act; 3] {
        [part(self.finish("stop")), part(DONE), last()]
    }
}

fn counted(prompt: u64, completion: u64) -> Value {
    json!({"usage": {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion
    }})
}

/// What the request has the assistant saying already, where it ends in that.
pub fn prefill(seen: &Seen) -> Option<String> {
    let body = seen.json();
    let last = body["messages"].as_array()?.last()?;
    (last["role"] == "assistant").then(|| last["content"].as_str().unwrap_or_default().to_string())
}
