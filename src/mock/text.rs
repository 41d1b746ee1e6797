//! One answer's content: which of the words it says, from where to where.

use super::plan::Plan;
use super::words;

/// What remains of the provider's text after a prefix, as far as a request lets it go on.
pub struct Text<'p> {
    plan: &'p Plan,
    /// The first chunk that is said, and how many of its bytes are not.
    first: u32,
    skip: usize,
    /// The chunk that is not said any more.
    end: u32,
    /// Whether there was more to say.
    pub cut_short: bool,
}

impl<'p> Text<'p> {
    pub fn new(plan: &'p Plan, prefix: Option<&str>, most: Option<u64>) -> Self {
        let mut text = Text {
            plan,
            first: 0,
            skip: 0,
            end: plan.chunks,
            cut_short: false,
        };
        if let Some(prefix) = prefix {
            text.go_on_after(prefix);
        }
        let most = most.map_or(u32::MAX, |most| u32::try_from(most).unwrap_or(u32::MAX));
        text.cut_short = text.pieces() > most;
        text.end = text.first + text.pieces().min(most);
        text
    }

    pub fn pieces(&self) -> u32 {
        self.end.saturating_sub(self.first)
    }

    /// Appends the content of one chunk.
    pub fn piece(&self, out: &mut Vec<u8>, index: u32) {
        let skip = if index == 0 { self.skip } else { 0 };
        words::chunk(out, self.plan, self.first + index, skip);
    }

    /// Appends the content of a whole answer: what a stream's chunks make together, or so many
    /// bytes.
    pub fn whole(&self, out: &mut Vec<u8>) {
        let pieces = match self.plan.size {
            0 => self.pieces(),
            // One piece is the whole of it, unless that was said already.
            _ => u32::from(self.first == 0),
        };
        (0..pieces).for_each(|index| self.piece(out, index));
    }

    /// Counts characters, so that a text that is not the provider's own is continued too.
    fn go_on_after(&mut self, prefix: &str) {
        let prefix = if self.plan.repeat_space {
            prefix.trim_end()
        } else {
            prefix
        };
        let mut left = prefix.chars().count();
        let mut chunk = Vec::new();
        while self.first < self.end {
            self.read(&mut chunk);
            let characters = words::characters(&chunk);
            if left < characters.len() {
                self.skip = characters.get(left).copied().unwrap_or_default();
                break;
            }
            left -= characters.len();
            self.first += 1;
        }
        if self.plan.skip_space {
            self.skip_space(&mut chunk);
        }
    }

    fn skip_space(&mut self, chunk: &mut Vec<u8>) {
        while self.first < self.end {
            self.read(chunk);
            let rest = chunk.get(self.skip..).unwrap_or_default();
            let black = words::leading_space(rest);
            if black < rest.len() {
                self.skip += black;
                return;
            }
            self.first += 1;
            self.skip = 0;
        }
    }

    fn read(&self, chunk: &mut Vec<u8>) {
        chunk.clear();
        words::chunk(chunk, self.plan, self.first, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str, prefix: &str, most: Option<u64>) -> (String, u32) {
        let plan = Plan::default().with_words(words).unwrap();
        let text = Text::new(&plan, Some(prefix), most);
        let mut out = Vec::new();
        text.whole(&mut out);
        let json = format!("\"{}\"", String::from_utf8(out).unwrap());
        (serde_json::from_str(&json).unwrap(), text.pieces())
    }

    #[test]
    fn a_text_goes_on_after_every_prefix_of_it() {
        let (all, chunks) = said("chunks=40", "", None);
        assert_eq!(chunks, 40);
        for (at, _) in all.char_indices() {
            let (prefix, rest) = all.split_at(at);
            assert_eq!(said("chunks=40", prefix, None).0, rest, "{prefix}");
            let spaces = prefix.len() - prefix.trim_end().len();
            let repeated = &all[at - spaces..];
            assert_eq!(said("chunks=40,repeat-space", prefix, None).0, repeated);
            let skipped = said("chunks=40,skip-space", prefix, None).0;
            assert_eq!(skipped, rest.trim_start(), "{prefix}");
        }
        assert_eq!(said("chunks=40", &all, None), (String::new(), 0));
        assert_eq!(said("chunks=4", &all, None).1, 0, "a prefix too long");
    }

    #[test]
    fn a_text_is_cut_short_by_chunks() {
        assert_eq!(said("chunks=9", "Water finds", Some(2)).0, " its own");
        let plan = Plan::default();
        assert!(Text::new(&plan, None, Some(15)).cut_short);
        assert!(!Text::new(&plan, None, Some(16)).cut_short);
        assert!(!Text::new(&plan, None, None).cut_short);
    }

    #[test]
    fn a_large_text_goes_on_too() {
        let all = said("chunks=1,size=200", "", None).0;
        assert_eq!(all.len(), 200);
        assert_eq!(said("chunks=1,size=200", &all[..77], None).0, all[77..]);
    }

    #[test]
    fn a_text_differs_from_a_chunk_on() {
        let usual = said("chunks=8", "", None).0;
        let other = said("chunks=8,differs", "", None).0;
        assert!(!other.starts_with("Water"));
        let half = said("chunks=8,differs=4", "", None).0;
        assert!(half.starts_with("Water finds its own") && half != usual);
        assert!(!half.starts_with("Water finds its own level"));
        assert_ne!(said("size=80", "", None), said("size=80,differs", "", None));
    }
}
