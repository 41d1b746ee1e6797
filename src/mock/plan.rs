//! What one request gets, read from words in its model name.
//!
//! The words stand after the name, joined by `+` or `,`: `any/model+cut,chunks=60,at=40`. A name
//! that is itself a word counts too (`503`), and `ok` is always fine. Any fault followed by
//! `-once` strikes the first request for that exact model name alone; `first=N` the first N,
//! `every=N` each Nth beginning with the first. `id=…` only makes a name unlike the others.

use std::time::Duration;

use super::fault::{self, Fault};
use super::units;

/// Which requests a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recurrence {
    Always,
    First(u64),
    Every(u64),
}

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
    pub chunks: u32,
    /// The size of each content delta, or of a whole answer's content; 0: as the words are.
    pub size: usize,
    /// How many content chunks come before the fault; half of them unless said.
    pub at: Option<u32>,
    pub reasoning: bool,
    pub tools: bool,
    pub comments: bool,
    pub gzip: bool,
    pub crlf: bool,
    pub split: bool,
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
            chunks: 16,
            size: 0,
            at: None,
            reasoning: false,
            tools: false,
            comments: false,
            gzip: false,
            crlf: false,
            split: false,
            usage: Usage::Asked,
            finish: None,
            status: None,
            code: None,
            retry_after: None,
        }
    }
}

/// Longer than any patience under test, shorter than a night.
const SLOW: Duration = Duration::from_secs(20);
const BIG: usize = 2 << 20;

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

    /// The content chunks that come before a fault in mid-stream.
    pub fn chunks_before_fault(&self) -> u32 {
        self.at.unwrap_or(self.chunks / 2).min(self.chunks)
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
        if let Some((key, value)) = word.split_once('=') {
            return self.set(key, value);
        }
        if let Some(fault) = word.strip_suffix("-once") {
            self.recurrence = Recurrence::First(1);
            return Ok(self.strike(fault));
        }
        match word {
            "slow-first-token" => self.first_token = SLOW,
            "slow-headers" => self.delay = SLOW,
            "big" => self.size = BIG,
            "reasoning" => self.reasoning = true,
            "tools" => self.tools = true,
            "comments" => self.comments = true,
            "gzip" => self.gzip = true,
            "crlf" => self.crlf = true,
            "split" => self.split = true,
            "usage-every" => self.usage = Usage::Every,
            "usage-finish" => self.usage = Usage::Finish,
            "usage-twice" => self.usage = Usage::Twice,
            "usage-groq" => self.usage = Usage::Groq,
            "usage-always" => self.usage = Usage::Always,
            "usage-never" => self.usage = Usage::Never,
            _ => return Ok(self.strike(word)),
        }
        Ok(true)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "delay" | "slow-headers" => self.delay = units::duration(value)?,
            "first-token" | "slow-first-token" => self.first_token = units::duration(value)?,
            "pace" => self.pace = units::duration(value)?,
            "stall" => self.fault = Fault::Stall(Some(units::duration(value)?)),
            "chunks" => self.chunks = number(value)?,
            "size" => self.size = units::size(value)?,
            "at" => self.at = Some(number(value)?),
            "first" => self.recurrence = Recurrence::First(number(value)?),
            "every" => self.recurrence = Recurrence::Every(number(value)?),
            "status" => self.status = Some(status(value)?),
            "code" => self.code = Some(number(value)?),
            "retry-after" => self.retry_after = Some(header_value(value)?),
            "finish" => self.finish = Some(finish(value)?),
            "id" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn strike(&mut self, word: &str) -> bool {
        match fault::named(word) {
            Some(fault) => self.fault = fault,
            None => return false,
        }
        true
    }
}

/// Every word, for messages and for the list of models.
pub fn words() -> impl Iterator<Item = &'static str> {
    const SHAPES: [&str; 15] = [
        "slow-first-token",
        "slow-headers",
        "big",
        "reasoning",
        "tools",
        "comments",
        "gzip",
        "crlf",
        "split",
        "usage-every",
        "usage-finish",
        "usage-twice",
        "usage-groq",
        "usage-always",
        "usage-never",
    ];
    fault::words().chain(SHAPES)
}

fn words_known() -> String {
    const KEYS: &str = "delay= first-token= pace= stall= chunks= size= at= first= every= status= \
                        code= retry-after= finish= id=, any status from 400 to 599, and -once \
                        after a fault";
    let mut known = words().collect::<Vec<_>>().join(" ");
    known.push(' ');
    known.push_str(KEYS);
    known
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is not a number that fits here"))
}

fn status(value: &str) -> Result<u16, String> {
    fault::status(value).ok_or_else(|| format!("{value:?} is not a status from 400 to 599"))
}

fn header_value(value: &str) -> Result<String, String> {
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(value.to_owned())
    } else {
        Err(format!("{value:?} cannot stand in a header"))
    }
}

fn finish(value: &str) -> Result<&'static str, String> {
    ["stop", "length", "tool_calls", "content_filter"]
        .into_iter()
        .find(|known| *known == value)
        .ok_or_else(|| format!("{value:?} is not stop, length, tool_calls or content_filter"))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            plan.fault,
            Fault::Cut {
                reset: false,
                inside: false
            }
        );
        assert_eq!((plan.chunks, plan.chunks_before_fault()), (60, 40));
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
    }

    #[test]
    fn a_slip_is_told() {
        for model in [
            "m+rest",
            "m+delay=5",
            "m+at=x",
            "m+status=200",
            "m+finish=soon",
        ] {
            assert!(Plan::default().for_model(model).is_err(), "{model}");
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
