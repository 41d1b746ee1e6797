//! The end of an answer too large to be held, where most providers tell its usage.

use super::usage::{Told, Usage};
use crate::body::cursor::Cursor;
use memchr::memmem;

/// A usage object has its room here several times over.
const KEPT: usize = 8 * 1024;
const NAME: &[u8] = b"\"usage\"";

#[derive(Debug, Default)]
pub struct Tail {
    kept: Vec<u8>,
    seen: u64,
}

impl Tail {
    pub fn feed(&mut self, chunk: &[u8]) {
        self.seen = self.seen.saturating_add(chunk.len() as u64);
        let last = chunk.get(chunk.len().saturating_sub(KEPT)..);
        let last = last.unwrap_or_default();
        let surplus = (self.kept.len() + last.len()).saturating_sub(KEPT);
        self.kept.drain(..surplus.min(self.kept.len()));
        self.kept.extend_from_slice(last);
    }

    /// All bytes there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The last object of that name. In a text the quotes of the name would be escaped.
    pub fn usage(&self) -> Usage {
        let mut told = Told::default();
        let found = memmem::rfind_iter(&self.kept, NAME).find_map(|at| {
            let value = self.kept.get(at + NAME.len()..)?;
            let value = value.trim_ascii_start().strip_prefix(b":")?;
            let value = value.trim_ascii_start();
            let span = Cursor::new(value).object(|inner, _| inner.pass())?;
            value.get(span)
        });
        if let Some(object) = found {
            told.read(object);
        }
        told.usage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str, step: usize) -> Tail {
        let mut tail = Tail::default();
        text.as_bytes()
            .chunks(step)
            .for_each(|chunk| tail.feed(chunk));
        tail
    }

    #[test]
    fn usage_at_the_end_is_found_however_it_is_cut() {
        let text = format!(
            r#"{{"data":["{}\"usage\":{{}}"], "usage" : {{"prompt_tokens":9,"total_tokens":9}},"x":"usage"}}"#,
            "x".repeat(3 * KEPT)
        );
        for step in [1, 7, KEPT - 1, KEPT, KEPT + 1, text.len()] {
            let tail = tail(&text, step);
            assert_eq!(tail.usage().input, Some(9), "by {step}");
            assert_eq!(tail.seen(), text.len() as u64);
            assert!(tail.kept.len() <= KEPT);
        }
    }

    #[test]
    fn where_there_is_none_nothing_is_told() {
        let early = format!(
            r#"{{"usage":{{"prompt_tokens":9}},"x":"{}"}}"#,
            "x".repeat(2 * KEPT)
        );
        for text in [
            "",
            "{}",
            r#"{"usage":null}"#,
            r#"{"usage":{"prompt_tokens":9"#,
            &early,
        ] {
            assert_eq!(tail(text, 100).usage(), Usage::default(), "{text}");
        }
    }
}
