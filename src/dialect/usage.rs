//! What a provider says a call has used, under whichever names it says it.

use crate::body::cursor::Cursor;

/// Tokens, each as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: Option<u64>,
    pub output: Option<u64>,
    /// Of the input, read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the output.
    pub reasoning: Option<u64>,
}

/// No call uses more; whatever says so is not believed.
const MOST: u64 = 1 << 32;

impl Usage {
    pub fn is_known(&self) -> bool {
        *self != Usage::default()
    }

    /// Takes what a usage object tells. Providers tell it in every chunk, or twice: the last word
    /// counts, nothing is added up. What is missing in it stays as it was.
    pub fn read(&mut self, json: &[u8]) {
        // Read whole or not at all: half an object says nothing.
        let mut told = *self;
        if told.object(&mut Cursor::new(json)).is_some() {
            *self = told;
        }
    }

    fn object(&mut self, cursor: &mut Cursor) -> Option<()> {
        cursor
            .object(|inner, key| {
                let field = match key {
                    b"prompt_tokens" | b"input_tokens" => &mut self.input,
                    b"completion_tokens" | b"output_tokens" => &mut self.output,
                    b"cached_tokens" | b"prompt_cache_hit_tokens" | b"cache_read_input_tokens" => {
                        &mut self.cached
                    }
                    b"reasoning_tokens" => &mut self.reasoning,
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
                if let Some(count) = count(inner.text(&value)) {
                    *field = Some(count);
                }
                Some(())
            })
            .map(drop)
    }
}

fn count(json: &[u8]) -> Option<u64> {
    let count = std::str::from_utf8(json).ok()?.parse().ok()?;
    (count <= MOST).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Usage {
        let mut usage = Usage::default();
        for text in texts {
            usage.read(text.as_bytes());
        }
        usage
    }

    fn usage(input: u64, output: u64, cached: Option<u64>, reasoning: Option<u64>) -> Usage {
        Usage {
            input: Some(input),
            output: Some(output),
            cached,
            reasoning,
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
                r#"{"input_tokens":9,"cache_read_input_tokens":2,"output_tokens":5}"#,
                usage(9, 5, Some(2), None),
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
            r#"{"prompt_tokens":4294967297,"completion_tokens":1.5}"#,
        ] {
            assert!(!read(&[text]).is_known(), "{text}");
        }
    }
}
