//! What one request gets, read from words in its model name.
//!
//! The words stand after the name, joined by `+` or `,`: `any/model+cut,chunks=60,at=40`. A name
//! that is itself a word counts too (`503`), `ok` is always fine, and `_` is as good as `-`.
//! `fault.rs` and `refusal.rs` have what can go wrong, one fault an answer; the rest is here.
//!
//! **When.** Any fault followed by `-once` strikes the first request for that exact model name
//! alone; `first=N` the first N, `every=N` each Nth beginning with the first. `from=5s` and
//! `for=60s` strike in a span of time counted from the first request for that name, and `down=5s`
//! is `503,for=5s` unless a fault is named. `id=…` only makes a name unlike the others.
//!
//! **Where.** `at=N`: after N content chunks, or tool call fragments; about half of them unless
//! said. `in-reasoning`: in the reasoning, and `at` counts its pieces.
//!
//! **How fast.** `delay=` (or `slow-headers`) before the headers, `first-token=` (or
//! `slow-first-token`) before the content, `pace=` between chunks, `beat=` between comments,
//! `stall=` for a silence that ends.
//!
//! **What is said.** `chunks=`, `size=` (of each delta) or `big`, `reasoning`, `tools`,
//! `finish=`, `usage-…`; `status=`, `code=` and `retry-after=` for errors. Two mocks say the same
//! text; `differs` makes it another one, `differs=N` after N chunks. `stamp`: the text of each
//! content chunk of a stream is when it was written, in nanoseconds since 1970.
//!
//! **How it is written.** `gzip`, `crlf`, `cr`, `no-space` (after `data:`), `multi-line` (an
//! event over several `data:` lines), `comments`, `split` (a write for each byte), `split-utf8`
//! (chunks that end inside a character).
//!
//! **How it continues.** After an assistant message the answer goes on with its own text, from as
//! many characters on as the message has. `form=prefix`, `partial` or `continue`: only where that
//! mark stands; `form=none`: never. `repeat-space`: white space at the message's end comes again;
//! `skip-space`: the continuation never begins with any. `refuse-prefill`: such a request is a
//! 400, and with `no-stream-options` one that has `stream_options` is.

use std::time::Duration;

use super::fault::{self, Fault};
use super::prefill::Form;
use super::recurrence::Recurrence;
use super::vocabulary;

/// Where a stream tells its usage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Usage {
    /// In a last chunk, if `stream_options.include_usage` asks for it.
    Asked,
    /// In a last chunk, asked or not.
    Always,
    Never,
    Every,
    /// On the chunk with the finish reason.
    Finish,
    /// In the finishing choice and in a last chunk.
    Twice,
    /// In `x_groq` on the finish chunk.
    Groq,
}

/// Everything about one answer.
#[derive(Clone, Debug)]
pub struct Plan {
    pub fault: Fault,
    pub recurrence: Recurrence,
    /// Before the headers.
    pub delay: Duration,
    /// Between the headers and the first content.
    pub first_token: Duration,
    pub pace: Duration,
    /// Between two comments.
    pub beat: Duration,
    pub chunks: u32,
    /// The size of each content delta, or of a whole answer's content; 0: as the words are.
    pub size: usize,
    /// How many content chunks come before the fault; half of them unless said.
    pub at: Option<u32>,
    /// From which content chunk on the text is not the usual one.
    pub differs: Option<u32>,
    /// A stream says the time instead of words.
    pub stamp: bool,
    pub reasoning: bool,
    /// The fault strikes there and not in the content.
    pub in_reasoning: bool,
    pub tools: bool,
    pub comments: bool,
    pub gzip: bool,
    pub newline: &'static str,
    /// What stands before an event's payload.
    pub field: &'static str,
    pub multi_line: bool,
    pub split: bool,
    pub split_utf8: bool,
    /// The only mark that makes an assistant message one to continue.
    pub form: Option<Form>,
    pub repeat_space: bool,
    pub skip_space: bool,
    pub refuse_prefill: bool,
    pub no_stream_options: bool,
    pub usage: Usage,
    pub finish: Option<&'static str>,
    /// Instead of the fault's own.
    pub status: Option<u16>,
    pub code: Option<i64>,
    pub retry_after: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            fault: Fault::None,
            recurrence: Recurrence::Always,
            delay: Duration::ZERO,
            first_token: Duration::ZERO,
            pace: Duration::ZERO,
            beat: Duration::from_millis(100),
            chunks: 16,
            size: 0,
            at: None,
            differs: None,
            stamp: false,
            reasoning: false,
            in_reasoning: false,
            tools: false,
            comments: false,
            gzip: false,
            newline: "\n",
            field: "data: ",
            multi_line: false,
            split: false,
            split_utf8: false,
            form: None,
            repeat_space: false,
            skip_space: false,
            refuse_prefill: false,
            no_stream_options: false,
            usage: Usage::Asked,
            finish: None,
            status: None,
            code: None,
            retry_after: None,
        }
    }
}

impl Plan {
    /// This plan, changed by the words in a model name. Its first part is a name unless it is a
    /// word; every other part must be one, so that a slip in a test does not pass as health.
    pub fn for_model(&self, model: &str) -> Result<Plan, String> {
        let (name, words) = match model.find(['+', ',']) {
            Some(at) => model.split_at(at),
            None => (model, ""),
        };
        let mut plan = self.clone();
        if !plan.apply(name)? {
            plan = self.clone();
        }
        plan.apply_all(words)?;
        Ok(plan)
    }

    /// This plan, changed by words that all must be known.
    pub fn with_words(mut self, words: &str) -> Result<Plan, String> {
        self.apply_all(words)?;
        Ok(self)
    }

    pub fn without_fault(mut self) -> Plan {
        self.fault = Fault::None;
        self
    }

    /// Answers with an overload at each recurrence.
    pub fn overload(&mut self, recurrence: Recurrence) {
        self.fault = Fault::Status(503);
        self.recurrence = recurrence;
    }

    /// How many of these pieces come before a fault in mid-stream.
    pub fn pieces_before_fault(&self, pieces: u32) -> u32 {
        self.at.unwrap_or(pieces / 2).min(pieces)
    }

    fn apply_all(&mut self, words: &str) -> Result<(), String> {
        for word in words.split(['+', ',']).filter(|word| !word.is_empty()) {
            if !self.apply(word)? {
                return Err(format!("unknown word {word:?}; known: {}", words_known()));
            }
        }
        Ok(())
    }

    /// Whether the word is known; an error when it is and its value is wrong.
    fn apply(&mut self, word: &str) -> Result<bool, String> {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        let key = key.replace('_', "-");
        if let Some(value) = value {
            return vocabulary::key(self, &key, value);
        }
        if let Some(fault) = key.strip_suffix("-once") {
            self.recurrence = Recurrence::First(1);
            return Ok(self.strike(fault));
        }
        Ok(vocabulary::shape(self, &key) || self.strike(&key))
    }

    fn strike(&mut self, word: &str) -> bool {
        match fault::named(word) {
            Some(fault) => self.fault = fault,
            None => return false,
        }
        true
    }
}

/// Every word that needs no value, for messages and for the list of models.
pub fn words() -> impl Iterator<Item = &'static str> {
    fault::words().chain(vocabulary::shapes())
}

fn words_known() -> String {
    let mut known = words().collect::<Vec<_>>().join(" ");
    for key in vocabulary::keys() {
        known.push_str(&format!(" {key}="));
    }
    known.push_str(", any status from 400 to 599, and -once after a fault");
    known
}

#[cfg(test)]
mod tests {
    use super::super::fault::Cut;
    use super::*;

    fn plan(model: &str) -> Plan {
        Plan::default().for_model(model).unwrap()
    }

    #[test]
    fn a_plain_name_is_fine() {
        for model in [
            "ok",
            "mock/anything",
            "deepseek/deepseek-v3.2",
            "command-r+",
            "",
        ] {
            assert_eq!(plan(model).fault, Fault::None, "{model}");
        }
    }

    #[test]
    fn words_combine() {
        let plan = plan("a/b+cut,chunks=60+at=40,pace=5ms+reasoning");
        assert_eq!(plan.fault, Fault::Cut(Cut::Fin));
        assert_eq!((plan.chunks, plan.pieces_before_fault(60)), (60, 40));
        assert_eq!(plan.pace, Duration::from_millis(5));
        assert!(plan.reasoning);
    }

    #[test]
    fn every_word_is_known_alone_and_after_a_name() {
        for word in words() {
            assert!(Plan::default().with_words(word).is_ok(), "{word}");
            assert!(
                Plan::default().for_model(&format!("m+{word}")).is_ok(),
                "{word}"
            );
        }
        assert_eq!(plan("418").fault, Fault::Status(418));
        assert_eq!(plan("m+503-once").recurrence, Recurrence::First(1));
        assert!(plan("m+repeat_space+no_stream_options").repeat_space);
    }

    #[test]
    fn a_slip_is_told() {
        for model in [
            "m+rest",
            "m+delay=5",
            "m+at=x",
            "m+status=200",
            "m+finish=soon",
            "m+form=odd",
            "m+down=5",
        ] {
            assert!(Plan::default().for_model(model).is_err(), "{model}");
        }
    }

    #[test]
    fn down_is_an_overload_unless_a_fault_is_named() {
        let span = Recurrence::Span {
            from: Duration::ZERO,
            length: Duration::from_secs(5),
        };
        for (model, status) in [
            ("m+down=5s", 503),
            ("m+500+down=5s", 500),
            ("m+down=5s+500", 500),
        ] {
            let plan = plan(model);
            assert_eq!(plan.recurrence, span, "{model}");
            assert!(
                matches!(plan.fault, Fault::Refuse(refusal) if refusal.status == status),
                "{model}"
            );
        }
    }

    #[test]
    fn ok_overrides_the_providers_own_fault() {
        let base = Plan::default().with_words("503").unwrap();
        assert!(matches!(
            base.for_model("x/y").unwrap().fault,
            Fault::Refuse(_)
        ));
        assert_eq!(base.for_model("ok").unwrap().fault, Fault::None);
    }
}
