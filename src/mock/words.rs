//! What the mock says. Every provider says the same, so that one can go on where another broke.

use super::plan::Plan;

/// Each is the inside of a JSON string, and one token's worth of text.
const WORDS: [&str; 16] = [
    "Water", " finds", " its", " own", " level", ";", " 溢出", " of", " one", " basin", " fills",
    " the", " next", ",", " quietly", ".\\n",
];

/// The reasoning, in the escapes that a gateway must not touch.
pub const REASONING: [&str; 4] = [
    "Let me think: ",
    r"\u4e2d\u6587, ",
    r"a\/b and \ud83d\ude00",
    r".\n",
];

/// The tool calls' arguments, in the pieces a stream brings them.
pub const TOOLS: [(&str, [&str; 4]); 2] = [
    (
        "get_weather",
        [r#"{\"ci"#, r#"ty\": "#, r#"\"Par"#, r#"is\"}"#],
    ),
    (
        "get_time",
        [r#"{\"zo"#, r#"ne\": "#, r#"\"Europe\/"#, r#"Paris\"}"#],
    ),
];

/// How far along the words another text begins.
const ELSEWHERE: u32 = 5;

const LINE: &str = "The river does not ask where the sea is, it goes on downhill. ";
const OTHER_LINE: &str = "A mill does not care which brook it is that turns the wheel now. ";

/// Appends the content of one chunk, but not its first bytes.
pub fn chunk(out: &mut Vec<u8>, plan: &Plan, index: u32, skip: usize) {
    let differs = plan.differs.is_some_and(|from| index >= from);
    match plan.size {
        0 => {
            let word = word(if differs {
                index.wrapping_add(ELSEWHERE)
            } else {
                index
            });
            out.extend_from_slice(word.as_bytes().get(skip..).unwrap_or_default());
        }
        size => {
            let line = if differs { OTHER_LINE } else { LINE };
            filler(out, line.as_bytes(), size, skip);
        }
    }
}

/// Where each character of some text begins; an escape is one character.
pub fn characters(text: &[u8]) -> Vec<usize> {
    let mut escaped = false;
    let mut begins = |byte: u8| {
        let continues = escaped || byte & 0xC0 == 0x80;
        escaped = !escaped && byte == b'\\';
        !continues
    };
    let places = text.iter().enumerate();
    places
        .filter_map(|(at, byte)| begins(*byte).then_some(at))
        .collect()
}

/// How many bytes of white space some text begins with.
pub fn leading_space(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some(after) = rest.strip_prefix(b" ").or(rest.strip_prefix(br"\n")) {
        rest = after;
    }
    text.len() - rest.len()
}

fn word(index: u32) -> &'static str {
    WORDS
        .get(index as usize % WORDS.len())
        .copied()
        .unwrap_or_default()
}

fn filler(out: &mut Vec<u8>, line: &[u8], size: usize, skip: usize) {
    let end = out.len() + size.saturating_sub(skip);
    let mut from = skip % line.len();
    while out.len() < end {
        let room = (end - out.len()).min(line.len() - from);
        out.extend_from_slice(line.get(from..from + room).unwrap_or_default());
        from = 0;
    }
}
