//! How the answer of another target is joined to what was delivered of the first: what of it has
//! been heard before is left out.

use super::delivered::Delivered;

#[derive(Debug)]
pub enum Graft {
    /// It was asked to go on from the delivered text, whose end of white space was not sent.
    Prefill {
        /// Skipped if it comes again; what is left of it.
        space: String,
    },
    /// It was asked anew and has to say the same first.
    Afresh {
        content: Repeated,
        reasoning: Repeated,
    },
}

/// How much of a text has been said again, and how much there is to say.
#[derive(Debug)]
pub struct Repeated {
    said: usize,
    of: usize,
}

/// The new answer is another one.
#[derive(Debug, PartialEq, Eq)]
pub struct Differs;

impl Graft {
    pub fn prefill(delivered: &Delivered) -> Graft {
        let sent = delivered.content.trim_end().len();
        Graft::Prefill {
            space: delivered.content.get(sent..).unwrap_or_default().to_owned(),
        }
    }

    pub fn afresh(delivered: &Delivered) -> Graft {
        let all = |text: &str| Repeated {
            said: 0,
            of: text.len(),
        };
        Graft::Afresh {
            content: all(&delivered.content),
            reasoning: all(&delivered.reasoning),
        }
    }

    /// How many bytes of a new piece of content have been delivered already.
    pub fn content(&mut self, delivered: &Delivered, said: &str) -> Result<usize, Differs> {
        match self {
            Graft::Prefill { space } => {
                let again: usize = space
                    .chars()
                    .zip(said.chars())
                    .take_while(|(old, new)| old == new)
                    .map(|(old, _)| old.len_utf8())
                    .sum();
                *space = match space.get(again..) {
                    // All of it was space: more of it may come.
                    Some(rest) if again == said.len() => rest.to_owned(),
                    _ => String::new(),
                };
                Ok(again)
            }
            Graft::Afresh { content, reasoning } => {
                if !said.is_empty() && !reasoning.is_done() {
                    return Err(Differs);
                }
                content.compare(&delivered.content, said)
            }
        }
    }

    /// How many bytes of a new piece of reasoning are not to be delivered.
    pub fn reasoning(&mut self, delivered: &Delivered, said: &str) -> Result<usize, Differs> {
        match self {
            // Whoever goes on from an answer has no more to think about it.
            Graft::Prefill { .. } => Ok(said.len()),
            Graft::Afresh { reasoning, content } => {
                let skipped = reasoning.compare(&delivered.reasoning, said)?;
                if skipped < said.len() && content.of > 0 {
                    return Err(Differs);
                }
                Ok(skipped)
            }
        }
    }

    /// Whether all that was delivered has been said again.
    pub fn has_caught_up(&self) -> bool {
        match self {
            Graft::Prefill { .. } => true,
            Graft::Afresh { content, reasoning } => content.is_done() && reasoning.is_done(),
        }
    }
}

impl Repeated {
    fn is_done(&self) -> bool {
        self.said == self.of
    }

    /// Compares a piece with what comes next in the old text.
    fn compare(&mut self, old: &str, piece: &str) -> Result<usize, Differs> {
        let rest = old.get(self.said..self.of).unwrap_or_default();
        let common = rest.len().min(piece.len());
        if rest.as_bytes().get(..common) != piece.as_bytes().get(..common) {
            return Err(Differs);
        }
        self.said += common;
        Ok(common)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delivered(content: &str, reasoning: &str) -> Delivered {
        let mut delivered = Delivered::default();
        delivered.add(content, reasoning);
        delivered
    }

    fn contents(graft: &mut Graft, delivered: &Delivered, pieces: &[&str]) -> String {
        pieces
            .iter()
            .map(|piece| &piece[graft.content(delivered, piece).unwrap()..])
            .collect()
    }

    #[test]
    fn white_space_that_was_cut_off_comes_once() {
        let before = delivered("one \n", "");
        for (pieces, passes) in [
            (&["two"][..], "two"),
            (&[" \ntwo"], "two"),
            (&[" ", "\n", "two"], "two"),
            (&[" ", "two", " \n"], "two \n"),
            (&[" \n\n", " two"], "\n two"),
            (&["\n two"], "\n two"),
        ] {
            let mut graft = Graft::prefill(&before);
            assert_eq!(contents(&mut graft, &before, pieces), passes, "{pieces:?}");
        }
    }

    #[test]
    fn a_continuation_has_no_reasoning() {
        let before = delivered("one", "hm");
        assert_eq!(Graft::prefill(&before).reasoning(&before, "more"), Ok(4));
    }

    #[test]
    fn an_answer_afresh_is_heard_out_until_it_says_more() {
        let before = delivered("héllo wor", "think");
        let mut graft = Graft::afresh(&before);
        assert_eq!(graft.reasoning(&before, "thi"), Ok(3));
        assert_eq!(graft.reasoning(&before, "nk"), Ok(2));
        assert!(!graft.has_caught_up());
        assert_eq!(
            contents(&mut graft, &before, &["hé", "llo ", "world", "!"]),
            "ld!"
        );
        assert!(graft.has_caught_up());
    }

    #[test]
    fn the_first_difference_is_told() {
        let before = delivered("hello", "think");
        let mut graft = Graft::afresh(&before);
        assert_eq!(
            graft.content(&before, "h"),
            Err(Differs),
            "before it has thought"
        );
        assert_eq!(graft.reasoning(&before, "thonk"), Err(Differs));
        let mut graft = Graft::afresh(&before);
        assert_eq!(graft.reasoning(&before, "think more"), Err(Differs));
        let mut graft = Graft::afresh(&before);
        graft.reasoning(&before, "think").unwrap();
        assert_eq!(graft.content(&before, "help"), Err(Differs));
        // Where nothing but reasoning was delivered, more of it is welcome.
        let before = delivered("", "think");
        let mut graft = Graft::afresh(&before);
        assert_eq!(graft.reasoning(&before, "think more"), Ok(5));
        assert_eq!(graft.content(&before, "answer"), Ok(0));
    }

    proptest! {
        #[test]
        fn together_they_are_the_one_answer(
            text in "[a-c é😀\n]{0,30}", at in 0usize..30, cuts in prop::collection::vec(1usize..6, 40)
        ) {
            let at = text.char_indices().map(|(at, _)| at).take(at + 1).last().unwrap_or(0);
            let before = delivered(&text[..at], "");
            let mut graft = Graft::afresh(&before);
            let mut whole = before.content.clone();
            let mut rest: String = text.clone();
            for cut in cuts {
                let piece: String = rest.chars().take(cut).collect();
                rest = rest.split_off(piece.len());
                whole.push_str(&piece[graft.content(&before, &piece).unwrap()..]);
            }
            prop_assert_eq!(whole, text);
        }
    }
}
