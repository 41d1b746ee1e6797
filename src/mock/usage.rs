//! The tokens an answer is billed for.

use std::io::{self, Write};

use super::answer::Answer;
use super::fault::Fault;
use super::words::REASONING;

#[derive(Clone, Copy)]
pub struct Tokens {
    pub prompt: u64,
    pub content: u64,
    pub reasoning: u64,
}

impl Tokens {
    /// What a complete answer costs.
    pub fn of(answer: &Answer<'_>) -> Tokens {
        let plan = answer.plan;
        let empty = plan.fault == Fault::Empty;
        Tokens {
            prompt: answer.prompt_tokens,
            content: if empty {
                0
            } else {
                u64::from(answer.text.pieces())
            },
            reasoning: if plan.reasoning && !empty {
                REASONING.len() as u64
            } else {
                0
            },
        }
    }
}

/// Appends the usage object.
pub fn write(out: &mut Vec<u8>, tokens: &Tokens) -> io::Result<()> {
    let Tokens {
        prompt,
        content,
        reasoning,
    } = tokens;
    let completion = content + reasoning;
    let total = prompt + completion;
    write!(
        out,
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#
    )
}
