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

/// Appends the content of one chunk.
pub fn chunk(out: &mut Vec<u8>, plan: &Plan, index: u32) {
    match plan.size {
        0 => out.extend_from_slice(word(index).as_bytes()),
        size => filler(out, size),
    }
}

/// Appends the content of a whole answer: what a stream's chunks make together, or so many bytes.
pub fn whole(out: &mut Vec<u8>, plan: &Plan) {
    match plan.size {
        0 => (0..plan.chunks).for_each(|index| out.extend_from_slice(word(index).as_bytes())),
        size => filler(out, size),
    }
}

fn word(index: u32) -> &'static str {
    WORDS
        .get(index as usize % WORDS.len())
        .copied()
        .unwrap_or_default()
}

fn filler(out: &mut Vec<u8>, size: usize) {
    const LINE: &[u8] = b"The river does not ask where the sea is, it goes on downhill. ";
    let end = out.len() + size;
    while out.len() < end {
        let room = (end - out.len()).min(LINE.len());
        out.extend_from_slice(LINE.get(..room).unwrap_or_default());
    }
}
