//! What a provider says a call has used, under whichever names it says it.

use crate::body::cursor::Cursor;
use crate::config::money::Micros;

/// Tokens, each as far as it is known, and what the provider itself says they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of the prompt: what came from a cache or went into one is a part of it.
    pub input: Option<u64>,
    /// All of the answer, reasoning included.
    pub output: Option<u64>,
    /// Of the input, read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the input, written into the provider's cache.
    pub written: Option<u64>,
    /// Of the output.
    pub reasoning: Option<u64>,
    pub cost: Option<Micros>,
    /// Something that was told cannot be, and was left out or cut down to what can.
    pub doubtful: bool,
}

/// No call uses more; whatever says so is not believed.
const MOST: u64 = 100_000_000;
/// No call costs more.
const DEAREST: Micros = Micros::new(10_000_000_000);

/// What usage objects have told so far, each number as it was told: what it is a part of differs
/// by dialect, and shows only in what stands beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    input: Option<u64>,
    /// The prompt without what a cache has to do with it, and these beside it.
    fresh: Option<u64>,
    cache_read: Option<u64>,
    cache_written: Option<u64>,
    cached: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    /// Reasoning that the output does not hold.
    thoughts: Option<u64>,
    total: Option<u64>,
    cost: Option<Micros>,
    doubtful: bool,
}

impl Told {
    /// Takes what a usage object tells. Providers tell it in every chunk, or twice: the last word
    /// counts, nothing is added up. What is missing in it stays as it was.
    pub fn read(&mut self, json: &[u8]) {
        // Read whole or not at all: half an object says nothing.
        let mut told = *self;
        if told.object(&mut Cursor::new(json)).is_some() {
            *self = told;
        }
    }

    /// How much was said has been told, up to then.
    pub fn counts_output(&self) -> bool {
        self.output.is_some()
    }

    /// What it comes to.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            cost: self.cost,
            doubtful: self.doubtful,
            ..Usage::default()
        };
        usage.cached = self.cached.or(self.cache_read);
        usage.written = self.cache_written;
        usage.input = self.input.or_else(|| {
            let beside = [self.cache_read, self.cache_written].into_iter().flatten();
            self.fresh
                .map(|fresh| beside.fold(fresh, u64::saturating_add))
        });
        usage.reasoning = self.reasoning.or(self.thoughts);
        usage.output = self
            .output
            .map(|output| output.saturating_add(self.beside(output)));
        usage.fit();
        usage
    }

    /// Tokens of reasoning that the output does not count: so it is where the total says so.
    fn beside(&self, output: u64) -> u64 {
        if let Some(thoughts) = self.thoughts {
            return thoughts;
        }
        let told = self
            .total
            .zip(self.input.or(self.fresh))
            .zip(self.reasoning);
        match told {
            Some(((total, input), reasoning)) if total == input + output + reasoning => reasoning,
            _ => 0,
        }
    }

    fn object(&mut self, cursor: &mut Cursor) -> Option<()> {
        cursor
            .object(|inner, key| {
                let field = match key {
                    b"prompt_tokens" | b"promptTokenCount" => &mut self.input,
                    b"input_tokens" => &mut self.fresh,
                    b"completion_tokens" | b"output_tokens" | b"candidatesTokenCount" => {
                        &mut self.output
                    }
                    b"cached_tokens" | b"prompt_cache_hit_tokens" | b"cachedContentTokenCount" => {
                        &mut self.cached
                    }
                    b"cache_read_input_tokens" => &mut self.cache_read,
                    b"cache_creation_input_tokens" | b"cache_write_tokens" => {
                        &mut self.cache_written
                    }
                    b"reasoning_tokens" => &mut self.reasoning,
                    b"thoughtsTokenCount" => &mut self.thoughts,
                    b"total_tokens" | b"totalTokenCount" => &mut self.total,
                    b"cost" => return self.cost(inner),
                    b"prompt_tokens_details"
                    | b"input_tokens_details"
                    | b"completion_tokens_details"
                    | b"output_tokens_details"
                        if inner.peek()? == b'{' =>
                    {
                        return self.object(inner);
                    }
                    _ => return inner.pass(),
                };
                let value = inner.skip()?;
                match inner.text(&value) {
                    b"null" => {}
                    json => match count(json) {
                        Some(count) => *field = Some(count),
                        None => self.doubtful = true,
                    },
                }
                Some(())
            })
            .map(drop)
    }

    /// A number of dollars, also as a string; or parts of it and their total.
    fn cost(&mut self, cursor: &mut Cursor) -> Option<()> {
        if cursor.peek()? == b'{' {
            return cursor
                .object(|inner, key| match key {
                    b"total_cost" => self.cost(inner),
                    _ => inner.pass(),
                })
                .map(drop);
        }
        let value = cursor.skip()?;
        match cursor.text(&value) {
            b"null" => {}
            json => match dollars(json) {
                Some(cost) => self.cost = Some(cost),
                None => self.doubtful = true,
            },
        }
        Some(())
    }
}

impl Usage {
    /// A part is no larger than the whole.
    fn fit(&mut self) {
        let mut room = self.input;
        for part in [&mut self.cached, &mut self.written] {
            self.doubtful |= cut(part, room);
            room = room.map(|room| room.saturating_sub(part.unwrap_or(0)));
        }
        self.doubtful |= cut(&mut self.reasoning, self.output);
    }
}

/// True where it was larger.
fn cut(part: &mut Option<u64>, whole: Option<u64>) -> bool {
    match (&part, whole) {
        (Some(told), Some(whole)) if *told > whole => {
            *part = Some(whole);
            true
        }
        _ => false,
    }
}

fn count(json: &[u8]) -> Option<u64> {
    let count = std::str::from_utf8(json).ok()?.parse().ok()?;
    (count <= MOST).then_some(count)
}

fn dollars(json: &[u8]) -> Option<Micros> {
    let quoted = json
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let text = std::str::from_utf8(quoted.unwrap_or(json)).ok()?;
    Micros::of_dollars(text).filter(|cost| *cost <= DEAREST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Usage {
        let mut told = Told::default();
        for text in texts {
            told.read(text.as_bytes());
        }
        told.usage()
    }

    fn usage(input: u64, output: u64, cached: Option<u64>, reasoning: Option<u64>) -> Usage {
        Usage {
            input: Some(input),
            output: Some(output),
            cached,
            reasoning,
            ..Usage::default()
        }
    }

    #[test]
    fn every_vendors_names_are_understood() {
        for (text, expected) in [
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}"#,
                usage(9, 5, None, None),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},
                    "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":0}}"#,
                usage(9, 5, Some(4), Some(3)),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_cache_hit_tokens":8,
                    "prompt_tokens_details":null}"#,
                usage(9, 5, Some(8), None),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":17,
                    "completion_tokens_details":{"reasoning_tokens":3}}"#,
                usage(9, 8, None, Some(3)),
            ),
            (
                r#"{"promptTokenCount":9,"candidatesTokenCount":5,"thoughtsTokenCount":3,
                    "cachedContentTokenCount":4,"totalTokenCount":17}"#,
                usage(9, 8, Some(4), Some(3)),
            ),
            (
                r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":1},"output_tokens":5,
                    "output_tokens_details":{"reasoning_tokens":4}}"#,
                usage(9, 5, Some(1), Some(4)),
            ),
        ] {
            assert_eq!(read(&[text]), expected, "{text}");
        }
    }

    #[test]
    fn what_a_cache_has_to_do_with_is_part_of_the_prompt_or_beside_it() {
        let with_cache = |input| Usage {
            written: Some(3),
            ..usage(input, 5, Some(2), None)
        };
        for (text, input) in [
            (
                r#"{"input_tokens":9,"cache_read_input_tokens":2,"cache_creation_input_tokens":3,
                    "output_tokens":5}"#,
                14,
            ),
            (
                r#"{"prompt_tokens":9,"input_tokens":9,"cache_read_input_tokens":2,
                    "cache_creation_input_tokens":3,"completion_tokens":5}"#,
                9,
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,
                    "prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":3}}"#,
                9,
            ),
        ] {
            assert_eq!(read(&[text]), with_cache(input), "{text}");
        }
        let twice = [
            r#"{"input_tokens":9,"cache_read_input_tokens":2,"cache_creation_input_tokens":3,
                "output_tokens":1}"#,
            r#"{"input_tokens":9,"output_tokens":5}"#,
        ];
        assert_eq!(read(&twice), with_cache(14));
    }

    #[test]
    fn a_providers_own_cost_is_read_to_the_micro_dollar() {
        for (cost, micros) in [
            ("0.000123", Some(123)),
            ("1.2e-05", Some(12)),
            ("0", Some(0)),
            ("\"0.25\"", Some(250_000)),
            (
                r#"{"input_tokens_cost":0.1,"request_cost":0.2,"total_cost":0.3}"#,
                Some(300_000),
            ),
            ("null", None),
        ] {
            let told = read(&[&format!(r#"{{"cost":{cost},"cost_details":{{"cost":9}}}}"#)]);
            assert_eq!(told.cost, micros.map(Micros::new), "{cost}");
            assert!(!told.doubtful, "{cost}");
        }
        for cost in [
            "-1",
            "10000.01",
            "NaN",
            "-Infinity",
            "\"much\"",
            "\"\"",
            "true",
            "[1]",
            "1e9",
        ] {
            let told = read(&[&format!(r#"{{"prompt_tokens":1,"cost":{cost}}}"#)]);
            assert_eq!((told.cost, told.doubtful), (None, true), "{cost}");
        }
    }

    #[test]
    fn no_part_is_larger_than_the_whole() {
        let told = read(&[
            r#"{"prompt_tokens":9,"completion_tokens":5,"cache_creation_input_tokens":7,
                "prompt_tokens_details":{"cached_tokens":5},
                "completion_tokens_details":{"reasoning_tokens":6}}"#,
        ]);
        let cut = Usage {
            written: Some(4),
            doubtful: true,
            ..usage(9, 5, Some(5), Some(5))
        };
        assert_eq!(told, cut);
    }

    #[test]
    fn the_last_word_counts_and_halves_complete_each_other() {
        let grown = [
            r#"{"prompt_tokens":9,"completion_tokens":1}"#,
            r#"{"prompt_tokens":9,"completion_tokens":2}"#,
        ];
        assert_eq!(read(&grown), usage(9, 2, None, None));
        let halves = [
            r#"{"input_tokens":9,"output_tokens":1}"#,
            r#"{"output_tokens":7}"#,
        ];
        assert_eq!(read(&halves), usage(9, 7, None, None));
    }

    #[test]
    fn nonsense_is_not_believed() {
        for text in [
            "null",
            "7",
            "{",
            r#"{"prompt_tokens":9"#,
            r#"{"prompt_tokens":-9,"completion_tokens":"5"}"#,
            r#"{"prompt_tokens":99999999999999999999,"completion_tokens":1e3}"#,
            r#"{"prompt_tokens":100000001,"completion_tokens":1.5}"#,
            r#"{"prompt_tokens":null,"completion_tokens":null,"cost":null}"#,
        ] {
            let told = read(&[text]);
            // What says nothing is not doubtful.
            let nothing = Usage {
                doubtful: text.ends_with('}') && !text.contains("null"),
                ..Usage::default()
            };
            assert_eq!(told, nothing, "{text}");
        }
    }
}
