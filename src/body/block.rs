//! Sixty-four bytes at a time, as bit masks: one bit a byte, the first byte in the lowest.

use memchr::memchr2;

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

/// The bytes that `is` holds for. Written so that compilers turn the first loop into vector
/// compares; the product then gathers the lowest bits of eight bytes in its top byte.
#[inline]
pub(super) fn bits(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    let mut flags = [0u8; BLOCK];
    for (flag, byte) in flags.iter_mut().zip(block) {
        *flag = u8::from(is(*byte));
    }
    let mut mask = 0;
    for word in flags.as_chunks::<8>().0.iter().rev() {
        let gathered = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask = (mask << 8) | gathered;
    }
    mask
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
        let backslashes = bits(block, |byte| byte == b'\\');
        let quotes = bits(block, |byte| byte == b'"');
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
        assert_eq!(bits(load(b"x\"\"", 1, &mut padded), |byte| byte == b'"'), 3);
        let body: Vec<u8> = (0..200).collect();
        assert_eq!(load(&body, 100, &mut padded).as_slice(), &body[100..164]);
        assert_eq!(
            bits(load(&body, 0, &mut padded), |byte| byte == 63 || byte == 8),
            1 << 63 | 256
        );
    }
}
