//! Sixty-four bytes at a time, as bit masks: one bit a byte, the first byte in the lowest.

use memchr::memchr2;
use wide::u8x16;

pub(super) const BLOCK: usize = 64;

/// The block at `at`, or what is left, made up with spaces in `padded`.
#[inline]
pub(super) fn load<'a>(body: &'a [u8], at: usize, padded: &'a mut [u8; BLOCK]) -> &'a [u8; BLOCK] {
    let rest = body.get(at..).unwrap_or_default();
    if let Some(block) = rest.first_chunk::<BLOCK>() {
        return block;
    }
    padded.fill(b' ');
    for (to, from) in padded.iter_mut().zip(rest) {
        *to = *from;
    }
    padded
}

/// The bytes that are `is` once `of` has been taken of their bits.
#[inline]
pub(super) fn bits(block: &[u8; BLOCK], of: u8, is: u8) -> u64 {
    let (of, is) = (u8x16::splat(of), u8x16::splat(is));
    let lanes = block.as_chunks::<16>().0;
    lanes.iter().rev().fold(0, |mask, lane| {
        let found = (u8x16::new(*lane) & of).simd_eq(is);
        (mask << 16) | u64::from(found.to_bitmask())
    })
}

/// After so many blocks without a quote or a backslash a vector search takes over: it is several
/// times faster on long text, but each start costs as much as a few blocks.
const QUIET: u32 = 3;

/// Follows strings from block to block.
pub(super) struct Strings {
    /// The next byte is inside a string.
    inside: bool,
    /// The next byte is escaped.
    escape: bool,
    /// Blocks in a row without a quote or a backslash.
    quiet: u32,
}

/// What matters to strings in one block.
pub(super) struct Marks {
    /// The quotes that no backslash escapes.
    pub quotes: u64,
    pub backslashes: u64,
}

impl Strings {
    pub fn new(inside: bool) -> Self {
        Strings {
            inside,
            escape: false,
            quiet: 0,
        }
    }

    pub fn inside(&self) -> bool {
        self.inside
    }

    #[inline]
    pub fn marks(&mut self, block: &[u8; BLOCK]) -> Marks {
        let backslashes = bits(block, 0xff, b'\\');
        let quotes = bits(block, 0xff, b'"');
        self.quiet = if (quotes | backslashes) == 0 {
            self.quiet + 1
        } else {
            0
        };
        Marks {
            quotes: quotes & !self.escaped(backslashes),
            backslashes,
        }
    }

    /// Where to read on after a block that lies wholly inside a string and ends at `next`; `None`
    /// where that string is seen not to end.
    #[inline]
    pub fn read_on(&mut self, body: &[u8], next: usize) -> Option<usize> {
        if self.quiet < QUIET {
            return Some(next);
        }
        self.quiet = 0;
        Some(next + memchr2(b'"', b'\\', body.get(next..)?)?)
    }

    /// The bytes inside strings, opening quotes included: the parity of the quotes up to each byte.
    #[inline]
    pub fn cover(&mut self, quotes: u64) -> u64 {
        let mut parity = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            parity ^= parity << shift;
        }
        if self.inside {
            parity = !parity;
        }
        self.inside = parity >> 63 == 1;
        parity
    }

    /// The bytes that a backslash before them escapes. In a run of backslashes the first, the
    /// third and so on escape what follows; runs that begin at even and at odd places are told
    /// apart by an addition whose carry clears the even ones.
    #[inline]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let first = u64::from(self.escape);
        let free = backslashes & !first;
        let starts = free & !(free << 1);
        let even_runs = free & !free.wrapping_add(starts & EVEN);
        let odd_runs = free ^ even_runs;
        let escaping = (even_runs & EVEN) | (odd_runs & !EVEN);
        self.escape = escaping >> 63 == 1;
        (escaping << 1) | first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_bytes_agree_with_a_byte_by_byte_reading() {
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let words = [
                seed ^ (seed >> 29),
                seed | (seed << 13),
                u64::MAX,
                seed & (seed >> 7),
            ];
            let mut strings = Strings::new(true);
            let mut escape = false;
            for backslashes in words {
                let mut expected = 0;
                for bit in 0..64 {
                    if escape {
                        expected |= 1 << bit;
                        escape = false;
                    } else {
                        escape = backslashes >> bit & 1 == 1;
                    }
                }
                assert_eq!(strings.escaped(backslashes), expected, "{backslashes:064b}");
            }
        }
    }

    #[test]
    fn a_short_rest_is_made_up_with_spaces() {
        let mut padded = [0; BLOCK];
        assert_eq!(load(b"\"\"", 1, &mut padded).trim_ascii(), b"\"");
        assert_eq!(bits(load(b"x\"\"", 1, &mut padded), 0xff, b'"'), 3);
        let body: Vec<u8> = (0..200).collect();
        assert_eq!(load(&body, 100, &mut padded).as_slice(), &body[100..164]);
        let block = load(&body, 0, &mut padded);
        assert_eq!(bits(block, 0xff, 63), 1 << 63);
        for (of, is) in [(0xff, 8), (0xd9, 0x59), (0xf3, 0x23), (0, 0), (0x80, 0x80)] {
            let expected = (0..64).filter(|at| block[*at as usize] & of == is);
            let expected = expected.fold(0, |mask, at| mask | 1u64 << at);
            assert_eq!(bits(block, of, is), expected, "{of:x} {is:x}");
        }
    }
}
