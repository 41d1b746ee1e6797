//! The events of a stream, as bytes.

use std::io::{self, Write};

use super::answer::{Answer, Endpoint};
use super::plan::Usage;
use super::usage::{self, Tokens};
use super::whole::{self, OPENROUTER};

/// Writes one event at a time.
pub struct Event<'a> {
    answer: &'a Answer<'a>,
    /// Every event begins with it, up to and with `"choices":[`.
    prefix: Vec<u8>,
    /// What was said so far, for usage that grows.
    pub said: Tokens,
    bytes: Vec<u8>,
}

impl<'a> Event<'a> {
    pub fn new(answer: &'a Answer<'a>) -> Self {
        let Answer {
            id,
            created,
            model,
            name,
            ..
        } = answer;
        let (kind, object) = match answer.endpoint {
            Endpoint::Completions => ("cmpl", "text_completion"),
            _ => ("chatcmpl", "chat.completion.chunk"),
        };
        let prefix = format!(
            r#"{{"id":"{kind}-{id:016x}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"fp_{name}","choices":["#
        );
        Event {
            answer,
            prefix: prefix.into(),
            said: Tokens {
                prompt: answer.prompt_tokens,
                content: 0,
                reasoning: 0,
            },
            bytes: Vec::with_capacity(512),
        }
    }

    pub fn chat(&self) -> bool {
        self.answer.endpoint == Endpoint::Chat
    }

    /// An event whose delta is `field` and `value`, both pieces of JSON.
    pub fn delta(&mut self, field: &[u8], value: &[u8]) -> io::Result<&[u8]> {
        self.begin();
        let (open, close): (&[u8], &[u8]) = match self.chat() {
            true => (br#"{"index":0,"delta":{"#, b"}"),
            false => (br#"{"index":0,"#, b""),
        };
        let parts = [
            open,
            field,
            value,
            close,
            br#","logprobs":null,"finish_reason":null}]"#,
        ];
        parts
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        if self.answer.plan.usage == Usage::Every {
            self.usage(r#","usage":"#)?;
        } else {
            self.no_usage_yet();
        }
        self.end()
    }

    /// A delta of content; `text` is the inside of a JSON string, with its closing quote.
    pub fn content(&mut self, text: &[u8]) -> io::Result<&[u8]> {
        let field: &[u8] = if self.chat() {
            br#""content":""#
        } else {
            br#""text":""#
        };
        self.delta(field, text)
    }

    pub fn finish(&mut self) -> io::Result<&[u8]> {
        let usage = self.answer.plan.usage;
        let finish = whole::finish(self.answer);
        self.begin();
        let empty = self.empty_delta();
        write!(
            self.bytes,
            r#"{{"index":0,{empty},"logprobs":null,"finish_reason":"{finish}""#
        )?;
        if usage == Usage::Twice {
            self.usage(r#","usage":"#)?;
        }
        self.bytes.extend_from_slice(b"}]");
        match usage {
            Usage::Finish | Usage::Every => self.usage(r#","usage":"#)?,
            Usage::Groq => {
                self.usage(r#","x_groq":{"usage":"#)?;
                self.bytes.push(b'}');
            }
            _ => self.no_usage_yet(),
        }
        self.end()
    }

    /// The chunk after the last choice, where there is to be one.
    pub fn last(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.last_has_usage() {
            return Ok(None);
        }
        self.begin();
        self.bytes.push(b']');
        self.usage(r#","usage":"#)?;
        self.end().map(Some)
    }

    /// An error with a choice beside it.
    pub fn openrouter_error(&mut self) -> io::Result<&[u8]> {
        self.begin();
        let empty = self.empty_delta();
        write!(
            self.bytes,
            r#"{{"index":0,{empty},"finish_reason":"error","native_finish_reason":"error"}}],{OPENROUTER}"#
        )?;
        self.end()
    }

    /// An event's beginning, up to somewhere inside its choice.
    pub fn half(&mut self) -> &[u8] {
        self.begin();
        self.bytes.extend_from_slice(br#"{"index":0,"del"#);
        &self.bytes
    }

    fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.prefix);
    }

    fn end(&mut self) -> io::Result<&[u8]> {
        self.bytes.push(b'}');
        Ok(&self.bytes)
    }

    fn empty_delta(&self) -> &'static str {
        if self.chat() {
            r#""delta":{}"#
        } else {
            r#""text":"""#
        }
    }

    fn usage(&mut self, before: &str) -> io::Result<()> {
        self.bytes.extend_from_slice(before.as_bytes());
        usage::write(&mut self.bytes, &self.said)
    }

    /// OpenAI's mark on every chunk but the last, once usage was asked for.
    fn no_usage_yet(&mut self) {
        if self.last_has_usage() {
            self.bytes.extend_from_slice(br#","usage":null"#);
        }
    }

    fn last_has_usage(&self) -> bool {
        match self.answer.plan.usage {
            Usage::Asked => self.answer.wants_usage,
            Usage::Always | Usage::Twice => true,
            Usage::Never | Usage::Every | Usage::Finish | Usage::Groq => false,
        }
    }
}
