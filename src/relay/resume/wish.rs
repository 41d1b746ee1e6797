//! What a request asks of its answer, as far as that decides whether the answer can be continued.

use crate::body::scan::fields;
use serde_json::value::RawValue;

/// What chat and completions requests may ask for that stands in the way of a continuation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// More than one answer.
    pub several: bool,
    pub logprobs: bool,
    /// An answer that follows a schema or a grammar; another target would begin it anew.
    pub shaped: bool,
    /// The model must call a tool.
    pub forced_tools: bool,
    /// The caller began the answer itself, or that cannot be ruled out.
    pub ends_with_assistant: bool,
}

/// Fields of self-hosted servers that hold an answer to a grammar, beside `response_format`.
const GRAMMARS: [&str; 10] = [
    "ebnf",
    "grammar",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "json_schema",
    "regex",
    "structural_tag",
    "structured_outputs",
];

impl Wish {
    /// Reads a body that the scan has accepted. Of a field that stands there twice both count, and
    /// a value that makes no sense counts as asked for.
    pub fn read(body: &[u8]) -> Wish {
        let mut wish = Wish::default();
        for field in fields(body) {
            let value = body.get(field.value).unwrap_or_default();
            if value == b"null" {
                continue;
            }
            match field.key.as_ref() {
                "n" | "best_of" => wish.several |= !at_most(value, 1.0),
                "logprobs" => wish.logprobs |= value != b"false",
                "top_logprobs" => wish.logprobs |= value != b"false" && !at_most(value, 0.0),
                "response_format" => wish.shaped |= !is_text(value),
                "tool_choice" | "function_call" => {
                    wish.forced_tools |= !says(value, &["none", "auto"]);
                }
                "messages" => wish.ends_with_assistant |= !ends_with_another(value),
                name => wish.shaped |= GRAMMARS.contains(&name),
            }
        }
        wish
    }
}

fn at_most(value: &[u8], limit: f64) -> bool {
    serde_json::from_slice::<f64>(value).is_ok_and(|number| number <= limit)
}

/// Whether this is a string that says one of these, however it is spelled.
fn says(value: &[u8], words: &[&str]) -> bool {
    serde_json::from_slice::<String>(value).is_ok_and(|text| words.contains(&text.as_str()))
}

/// Whether a `response_format` asks for nothing but text.
fn is_text(format: &[u8]) -> bool {
    let mut kinds = fields(format)
        .filter(|field| field.key == "type")
        .peekable();
    kinds.peek().is_some()
        && kinds.all(|kind| says(format.get(kind.value).unwrap_or_default(), &["text"]))
}

/// Whether the last message is surely not the assistant's, or there is none.
fn ends_with_another(messages: &[u8]) -> bool {
    let Ok(messages) = serde_json::from_slice::<Vec<&RawValue>>(messages) else {
        return false;
    };
    let last = messages.last().map_or("", |message| message.get());
    !fields(last.as_bytes()).any(|field| {
        let value = last.as_bytes().get(field.value).unwrap_or_default();
        field.key == "role" && says(value, &["assistant"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Wish = Wish {
        several: false,
        logprobs: false,
        shaped: false,
        forced_tools: false,
        ends_with_assistant: false,
    };

    fn wish(fields: &str) -> Wish {
        let body = format!("{{{fields}}}");
        crate::body::scan::scan(body.as_bytes()).unwrap();
        Wish::read(body.as_bytes())
    }

    #[test]
    fn a_plain_request_wishes_nothing() {
        for plain in [
            "",
            r#""model":"m","messages":[{"role":"user","content":"n"}],"stream":true"#,
            r#""n":1,"best_of":1,"logprobs":false,"top_logprobs":0"#,
            r#""n" : 1.0 , "logprobs" : null,"top_logprobs":false"#,
            r#""n":null,"best_of":null,"tool_choice":null,"function_call":null,"grammar":null"#,
            r#""response_format":null"#,
            r#""response_format":{"type":"text"}"#,
            r#""response_format":{ "x":{"type":"json"}, "t\u0079pe" : "te\u0078t" }"#,
            r#""tools":[{"type":"function"}],"tool_choice":"auto","function_call":"none""#,
            r#""tool_choice":"\u0061uto""#,
            r#""metadata":{"n":2,"logprobs":true,"tool_choice":"required","grammar":"x"}"#,
            r#""messages":null"#,
        ] {
            assert_eq!(wish(plain), NOTHING, "{plain}");
        }
    }

    #[test]
    fn several_answers() {
        for several in [
            r#""n":2"#,
            r#""n":1e1"#,
            r#""n":1.5"#,
            r#""\u006e":3"#,
            r#""n":99999999999999999999999"#,
            r#""n":1e400"#,
            r#""n":"2""#,
            r#""n":2,"n":1"#,
            r#""n":1,"best_of":4"#,
        ] {
            let several_only = Wish {
                several: true,
                ..NOTHING
            };
            assert_eq!(wish(several), several_only, "{several}");
        }
    }

    #[test]
    fn log_probabilities() {
        for asked in [
            r#""logprobs":true"#,
            r#""logprobs":5"#,
            r#""logprobs":0"#,
            r#""logprobs":false,"top_logprobs":2"#,
            r#""logprobs":"yes""#,
        ] {
            assert!(wish(asked).logprobs, "{asked}");
        }
    }

    #[test]
    fn shaped_answers() {
        let deep = format!(
            r#""response_format":{{"schema":{}{},"type":"json_schema"}}"#,
            "[".repeat(126),
            "]".repeat(126)
        );
        for shaped in [
            deep.as_str(),
            r#""response_format":{"type":"json_object"}"#,
            r#""response_format":{"type":"json_schema","json_schema":{"type":"text"}}"#,
            r#""response_format":{"type":"text","type":"json_object"}"#,
            r#""response_format":{"type":null}"#,
            r#""response_format":{}"#,
            r#""response_format":[]"#,
            r#""response_format":"json""#,
            r#""response_format":true"#,
            r#""guided_json":{"type":"object"}"#,
            r#""structured_outputs":{"choice":["a","b"]}"#,
            r#""gr\u0061mmar":"root ::= \"a\"""#,
            r#""regex":"a+","response_format":{"type":"text"}"#,
        ] {
            let shaped_only = Wish {
                shaped: true,
                ..NOTHING
            };
            assert_eq!(wish(shaped), shaped_only, "{shaped}");
        }
    }

    #[test]
    fn forced_tools() {
        for forced in [
            r#""tool_choice":"required""#,
            r#""tool_choice":"any""#,
            r#""tool_choice":"Auto""#,
            r#""tool_choice":{"type":"function","function":{"name":"auto"}}"#,
            r#""tool_choice":true"#,
            r#""function_call":{"name":"f"}"#,
            r#""tool_choice":"required","tool_choice":"auto""#,
        ] {
            assert!(wish(forced).forced_tools, "{forced}");
        }
    }

    #[test]
    fn an_answer_begun_by_the_caller() {
        let ends = |messages: &str| wish(&format!(r#""messages":{messages}"#)).ends_with_assistant;
        for begun in [
            r#"[{"role":"user"},{"role":"assistant","content":"I"}]"#,
            r#"[ {"content":"]}","r\u006fle" : "\u0061ssistant"} ]"#,
            r#"[{"role":"assistant","role":"user"}]"#,
            r#"[],"messages":[{"role":"assistant"}],"messages":[]"#,
            // These cannot be read.
            r#"[{"role":"assistant"},]"#,
            r#"[NaN]"#,
            r#"{"role":"assistant"}"#,
        ] {
            assert!(ends(begun), "{begun}");
        }
        for asked in [
            "[]",
            "[ ]",
            "[null]",
            r#"["assistant"]"#,
            r#"[["role","assistant"]]"#,
            r#"[{"role":"assistant"},{"role":"tool"}]"#,
            r#"[{"role":"user","content":{"role":"assistant"}}]"#,
            r#"[{"content":"role"}]"#,
            r#"[{"role":["assistant"]}]"#,
        ] {
            assert!(!ends(asked), "{asked}");
        }
        let deep = format!("[{}{}]", "[".repeat(126), "]".repeat(126));
        assert!(!ends(&deep));
    }
}
