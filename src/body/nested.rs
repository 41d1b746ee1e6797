//! The end of a nested array or object: strings and brackets are followed, all else is passed over.
//!
//! Blocks of 64 bytes become bit masks, one bit a byte, so that the cost does not depend on how
//! short the strings are.

use super::block::{BLOCK, Marks, Strings, bits, load};
use super::error::ScanError;

/// How deep brackets may nest, the outermost object included.
pub(super) const MAX_DEPTH: u32 = 128;

/// The offset after the bracket that closes the one at `open`, which itself stands at depth 2.
pub(super) fn end(body: &[u8], open: usize) -> Result<usize, ScanError> {
    let mut brackets = Brackets { kinds: 0, depth: 1 };
    let mut strings = Strings::new(false);
    let mut at = open;
    while at < body.len() {
        let mut padded = [0; BLOCK];
        let block = load(body, at, &mut padded);
        let Marks {
            quotes,
            backslashes,
        } = strings.marks(block);
        if strings.inside() && quotes == 0 {
            at = strings
                .read_on(body, at + BLOCK)
                .ok_or(ScanError::Truncated)?;
            continue;
        }
        let outside = !strings.cover(quotes);
        let mut visits = (special(block) | backslashes) & outside;
        while visits != 0 {
            let offset = visits.trailing_zeros() as usize;
            visits &= visits - 1;
            let Some(byte) = block.get(offset) else { break };
            if brackets.step(*byte, at + offset)? {
                return Ok(at + offset + 1);
            }
        }
        at += BLOCK;
    }
    Err(ScanError::Truncated)
}

/// All brackets, and what a lenient reader could take for a comment or a string: there it would
/// stand elsewhere than this scan does. The masks let `+`, `_`, `Y` and `y` through as well.
#[inline]
fn special(block: &[u8; BLOCK]) -> u64 {
    bits(block, 0xd9, 0x59) | bits(block, 0xf3, 0x23)
}

/// The brackets that are open, the innermost in the lowest bit: 1 for an object, 0 for an array.
struct Brackets {
    kinds: u128,
    /// Of the innermost one.
    depth: u32,
}

impl Brackets {
    /// Takes one special byte; true when the outermost bracket was closed.
    #[inline]
    fn step(&mut self, byte: u8, at: usize) -> Result<bool, ScanError> {
        match byte {
            b'{' | b'[' => {
                if self.depth == MAX_DEPTH {
                    return Err(ScanError::TooDeep);
                }
                self.depth += 1;
                self.kinds = (self.kinds << 1) | u128::from(byte == b'{');
            }
            b'}' | b']' => {
                let object = self.kinds & 1 == 1;
                if object != (byte == b'}') {
                    let expected = if object { "'}'" } else { "']'" };
                    return Err(ScanError::Malformed { at, expected });
                }
                self.kinds >>= 1;
                self.depth -= 1;
            }
            b'+' => {}
            _ => {
                return Err(ScanError::Malformed {
                    at,
                    expected: "a JSON value",
                });
            }
        }
        Ok(self.depth == 1)
    }
}
